#include "checkpoint/train_state.hpp"

#include <algorithm>
#include <charconv>
#include <string>
#include <system_error>
#include <utility>

#include <coho/error.hpp>

#include "files/atomic_file.hpp"
#include "files/json_file.hpp"

namespace coho::trainer {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view prefix = "step-";
constexpr std::string_view unfinished = ".unfinished", replaced = ".replaced";

// "step-00000012": at least eight digits, so that names sort like numbers.
std::string step_directory_name(std::uint64_t step) {
  auto digits = std::to_string(step);
  return std::string(prefix) + std::string(digits.size() < 8 ? 8 - digits.size() : 0, '0') + digits;
}

// The step in a directory's name; nothing for other names.
std::optional<std::uint64_t> parse_step_directory(std::string_view name) {
  if (!name.starts_with(prefix)) return std::nullopt;
  name.remove_prefix(prefix.size());
  std::uint64_t step = 0;
  const auto [end, problem] = std::from_chars(name.data(), name.data() + name.size(), step);
  if (problem != std::errc() || end != name.data() + name.size()) return std::nullopt;
  return step;
}

// Throws `file_error` naming the target.
void rename_directory(const fs::path& from, const fs::path& to) {
  std::error_code problem;
  fs::rename(from, to, problem);
  if (problem) throw file_error(to.string(), "", "cannot be renamed to its final name: " + problem.message());
}

// Removes what interrupted saves left: unfinished directories, and replaced ones whose successor exists.
void remove_leftovers(const fs::path& root) {
  std::vector<fs::path> leftovers;
  for (const auto& entry : fs::directory_iterator(root)) {
    const auto name = entry.path().filename().string();
    const bool superseded =
        name.ends_with(replaced) && fs::exists(root / name.substr(0, name.size() - replaced.size()));
    if (name.starts_with(prefix) && (name.ends_with(unfinished) || superseded)) leftovers.push_back(entry.path());
  }
  for (const auto& path : leftovers) fs::remove_all(path);
}

fs::path with_suffix(fs::path path, std::string_view suffix) { return path += suffix; }

}  // namespace

fs::path save_train_state(const fs::path& root, std::uint64_t step, const train_state& state, std::size_t keep,
                          const std::function<void(const fs::path&)>& write_more) {
  std::error_code problem;
  fs::create_directories(root, problem);
  if (problem) throw file_error(root.string(), "", "cannot be created: " + problem.message());
  remove_leftovers(root);

  const auto target = root / step_directory_name(step);
  const auto building = with_suffix(target, unfinished);
  try {
    fs::create_directory(building);
    write_tensors(building / "tensors.safetensors", state.tensors);
    write_json(building / "state.json", {{"step", step}, {"values", state.values}});
    if (write_more) write_more(building);
    flush_directory(building);
  } catch (...) {
    fs::remove_all(building, problem);
    throw;
  }
  // A directory cannot be renamed over one that is not empty, so the old one is moved aside first.
  const auto aside = with_suffix(target, replaced);
  const bool replaces = fs::exists(target);
  if (replaces) rename_directory(target, aside);
  rename_directory(building, target);
  flush_directory(root);
  if (replaces) fs::remove_all(aside, problem);

  if (keep > 0) {
    auto steps = saved_steps(root);
    // The one just written stays even if later steps of an abandoned run exist.
    std::erase_if(steps, [&](const saved_step& saved) { return saved.step == step; });
    while (steps.size() + 1 > keep) {
      fs::remove_all(steps.front().directory, problem);
      steps.erase(steps.begin());
    }
  }
  return target;
}

train_state load_train_state(const fs::path& directory) {
  const auto path = directory / "state.json";
  const auto json = read_json(path);
  if (!json.is_object() || !json.contains("values") || !json["values"].is_object())
    throw file_error(path.string(), "values", "is missing or not an object");
  return {read_tensors(directory / "tensors.safetensors"), json["values"]};
}

std::vector<saved_step> saved_steps(const fs::path& root) {
  std::vector<saved_step> steps;
  if (!fs::is_directory(root)) return steps;
  for (const auto& entry : fs::directory_iterator(root)) {
    auto name = entry.path().filename().string();
    // A save that stopped between its two renames left the step that it was replacing.
    if (name.ends_with(replaced) && !fs::exists(root / name.substr(0, name.size() - replaced.size()))) {
      name.resize(name.size() - replaced.size());
    }
    const auto step = parse_step_directory(name);
    if (step && fs::exists(entry.path() / "state.json")) steps.push_back({*step, entry.path()});
  }
  std::ranges::sort(steps, {}, &saved_step::step);
  return steps;
}

std::optional<saved_step> latest_step(const fs::path& root) {
  auto steps = saved_steps(root);
  if (steps.empty()) return std::nullopt;
  return std::move(steps.back());
}

}  // namespace coho::trainer
