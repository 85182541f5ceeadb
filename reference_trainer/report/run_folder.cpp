#include "report/run_folder.hpp"

#include <algorithm>

#include <nlohmann/json.hpp>

#include <coho/error.hpp>

#include "config/config.hpp"
#include "files/data_files.hpp"
#include "files/json_file.hpp"
#include "jsonl/jsonl.hpp"
#include "run/training_run.hpp"

namespace coho::trainer {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view metrics_file = "metrics.jsonl";

// By the recipe's sections, otherwise by the metrics.
std::string infer_stage(const run_folder& run) {
  const auto has_section = [&](const std::string& name) {
    return std::ranges::any_of(run.settings, [&](const auto& entry) { return entry.first.starts_with(name + "."); });
  };
  // Sections that belong to one stage each; shared sections do not identify the stage.
  for (const char* name : {"ppo", "dpo", "preference_pretraining", "reward", "sft"})
    if (has_section(name)) return name;
  if (!run.find("kl").empty()) return "ppo";
  if (!run.find("chosen_log_prob").empty()) return "dpo";
  if (!run.find("accuracy").empty()) return "reward";
  return run.find("loss").empty() ? "run" : "sft";
}

// All numbers of a JSON document, with the dotted paths of their keys.
void add_numbers(const nlohmann::json& node, const std::string& key, std::vector<std::pair<std::string, double>>& out) {
  if (node.is_number()) out.emplace_back(key, node.get<double>());
  if (!node.is_object()) return;
  for (const auto& [name, value] : node.items()) add_numbers(value, key.empty() ? name : key + "." + name, out);
}

// A field of a line of samples; empty if it is missing or not a string.
std::string string_field(const json& line, const char* key) {
  const auto found = line.find(key);
  return found != line.end() && found->is_string() ? found->get<std::string>() : std::string();
}

// Likewise a number or flag, by the member of json that tests its type.
template <class T>
std::optional<T> optional_field(const json& line, const char* key, bool (json::*is)() const noexcept) {
  const auto found = line.find(key);
  return found != line.end() && ((*found).*is)() ? std::optional<T>(found->get<T>()) : std::nullopt;
}

// Whether a line has what every line of an evaluation has.
bool is_training_sample(const json& line) {
  const auto has = [&](const char* key, auto is) {
    const auto found = line.find(key);
    return found != line.end() && is(*found);
  };
  const auto is_text = [](const json& value) { return value.is_string(); };
  return line.is_object() && has("step", [](const json& value) { return value.is_number_integer(); }) &&
         has("prompt", is_text) && has("response", is_text);
}

// Reads the first step and the newest complete one: memory holds three steps at most, however long the file.
void read_samples(const fs::path& path, run_folder& run, std::string* note) {
  std::optional<step_samples> first, before, newest;
  jsonl_reader reader(path, {.growing = true});
  for (json line; reader.next(line);) {
    if (!is_training_sample(line)) {
      if (note != nullptr)
        *note = path.string() + ": " + reader.place() + ": has no \"step\", \"prompt\" and \"response\"; skipped";
      return;
    }
    const auto step = line["step"].get<std::int64_t>();
    if (!newest || newest->step != step) {
      if (newest && !first) first = newest;
      before = std::exchange(newest, step_samples{step, {}});
    }
    newest->samples.push_back({.prompt = string_field(line, "prompt"),
                               .type = string_field(line, "type"),
                               .response = string_field(line, "response"),
                               .score = optional_field<double>(line, "score", &json::is_number),
                               .finished = optional_field<bool>(line, "finished", &json::is_boolean),
                               .language_match = optional_field<bool>(line, "language_match", &json::is_boolean)});
  }
  if (!newest) return;
  if (!first) {
    run.first = std::move(newest);
    return;
  }
  // A run in progress may have written only a part of its newest step.
  if (before->step != first->step && newest->samples.size() < first->samples.size()) newest = std::move(before);
  run.first = std::move(first);
  run.last = std::move(newest);
}

}  // namespace

const curve& run_folder::find(std::string_view metric) const noexcept {
  static const curve none;
  const auto found = std::ranges::find(curves, metric, &std::pair<std::string, curve>::first);
  return found == curves.end() ? none : found->second;
}

std::string run_folder::setting(std::string_view key) const {
  const auto found = std::ranges::find(settings, key, &std::pair<std::string, std::string>::first);
  return found == settings.end() ? std::string() : found->second;
}

std::int64_t run_folder::steps() const noexcept {
  std::int64_t out = 0;
  for (const auto& [name, points] : curves)
    if (!points.empty()) out = std::max(out, points.back().first + 1);
  return out;
}

run_folder read_run(const fs::path& path, std::string* note) {
  if (is_missing(path / metrics_file))
    throw file_error(path.string(), "", "has no metrics.jsonl",
                     "give the output folder of `coho sft`, `coho reward` or `coho ppo`");
  run_folder run{.path = path, .name = {}, .stage = {}, .curves = metrics_log::read(path)};
  if (run.curves.empty())
    throw file_error((path / metrics_file).string(), "", "has no step yet", "wait for the first step of the run");
  if (!is_missing(path / "config.toml")) run.settings = config::load(path / "config.toml").given();
  if (!is_missing(path / "evaluation.json")) add_numbers(read_json(path / "evaluation.json"), "", run.evaluation);
  if (!is_missing(path / "samples.jsonl")) read_samples(path / "samples.jsonl", run, note);
  run.ended = holds_result(path);
  run.stage = infer_stage(run);
  return run;
}

std::vector<fs::path> find_runs(const fs::path& path) {
  if (is_missing(path)) throw file_error(path.string(), "", "does not exist");
  if (path.filename() == metrics_file) return {path.has_parent_path() ? path.parent_path() : fs::path(".")};
  if (!fs::is_directory(path))
    throw file_error(path.string(), "", "is not a folder", "give the output folder of a training stage");
  if (!is_missing(path / metrics_file)) return {path};
  std::vector<fs::path> out;
  std::error_code ignored;
  for (fs::recursive_directory_iterator entry(path, fs::directory_options::skip_permission_denied), end; entry != end;
       entry.increment(ignored)) {
    if (entry->path().filename() == metrics_file) out.push_back(entry->path().parent_path());
    if (entry.depth() >= 4) entry.disable_recursion_pending();  // below are data sets and checkpoints, not runs
  }
  if (out.empty())
    throw file_error(path.string(), "", "has no metrics.jsonl, and neither has a folder in it",
                     "give the output folder of `coho sft`, `coho reward` or `coho ppo`");
  std::ranges::sort(out);
  return out;
}

std::vector<std::string> run_names(const std::vector<fs::path>& paths) {
  std::vector<std::vector<std::string>> parts;
  for (const auto& path : paths) {
    auto& all = parts.emplace_back();
    for (const auto& part : fs::absolute(path).lexically_normal())
      if (!part.empty()) all.push_back(part.string());
  }
  std::size_t shared = 0;
  const auto same = [&](std::size_t at) {
    return std::ranges::all_of(parts, [&](const auto& all) { return at + 1 < all.size() && all[at] == parts[0][at]; });
  };
  while (!parts.empty() && same(shared)) ++shared;
  std::vector<std::string> out;
  for (const auto& all : parts) {
    std::string name;
    for (std::size_t i = shared; i < all.size(); ++i) name += (name.empty() ? "" : "/") + all[i];
    out.push_back(name);
  }
  return out;
}

}  // namespace coho::trainer
