#include "observe/metrics_log.hpp"

#include <cerrno>
#include <cmath>
#include <cstring>

#include <nlohmann/json.hpp>

#include <coho/error.hpp>

#include "files/atomic_file.hpp"
#include "files/json_text.hpp"
#include "files/read_file.hpp"
#include "jsonl/jsonl.hpp"

namespace coho::trainer {

namespace {

// The curve of a name, a new one at the end if there is none.
curve& find_or_add_curve(std::vector<std::pair<std::string, curve>>& curves,
                         std::map<std::string, std::size_t, std::less<>>& index, std::string_view name) {
  const auto [found, added] = index.try_emplace(std::string(name), curves.size());
  if (added) curves.emplace_back(std::string(name), curve{});
  return curves[found->second].second;
}

// Adds the numbers of one line of the file to the curves of their names.
void append_line(std::vector<std::pair<std::string, curve>>& curves,
                 std::map<std::string, std::size_t, std::less<>>& index, const json& line) {
  const auto step = line["step"].get<std::int64_t>();
  for (const auto& [name, value] : line.items())
    if (name != "step" && value.is_number())
      find_or_add_curve(curves, index, name).emplace_back(step, value.get<double>());
}

// The whole lines of a file whose last line a kill may have torn.
std::string read_complete_lines(const std::filesystem::path& path) {
  auto text = read_file(path);
  text.resize(text.rfind('\n') + 1);
  return text;
}

}  // namespace

metrics_log::metrics_log(const std::filesystem::path& directory, std::optional<std::int64_t> resume_from) {
  if (directory.empty()) return;
  if (!resume_from) std::filesystem::remove_all(directory / "tensorboard");  // two runs in one folder would overlay
  path_ = directory / "metrics.jsonl";
  if (resume_from && std::filesystem::exists(path_)) drop_lines_from(*resume_from);
  board_.emplace(directory / "tensorboard", resume_from);
  file_ = std::fopen(path_.c_str(), resume_from ? "abe" : "wbe");
  if (file_ == nullptr) throw file_error(path_.string(), "", std::string("cannot be written: ") + std::strerror(errno));
}

void metrics_log::drop_lines_from(std::int64_t step) {
  std::string kept;
  const auto text = read_complete_lines(path_);
  std::size_t number = 1;
  for (std::size_t begin = 0; begin < text.size(); ++number) {
    const auto end = text.find('\n', begin) + 1;
    json line;
    if (const auto fault = parse_json(std::string_view(text).substr(begin, end - begin), line))
      throw file_error(path_.string(), "line " + std::to_string(number),
                       (fault->what.empty() ? std::string("is not JSON") : fault->what) + ", at character " +
                           std::to_string(fault->byte),
                       "remove the line, or start again without --resume");
    if (line.is_object() && line.contains("step") && line["step"].is_number_integer() &&
        line["step"].get<std::int64_t>() < step) {
      kept.append(text, begin, end - begin);
      append_line(curves_, index_, line);
    }
    begin = end;
  }
  write_file(path_, kept);
}

metrics_log::~metrics_log() {
  try {
    write_line();
  } catch (...) {
    // The run's results matter more than its last line of metrics; a full disk is reported when those are written.
  }
  if (file_ != nullptr) std::fclose(file_);
}

void metrics_log::add_scalar(std::string_view name, std::int64_t step, double value) {
  if (step != step_) write_line();
  step_ = step;
  find_or_add_curve(curves_, index_, name).emplace_back(step, value);
  if (file_ == nullptr) return;
  pending_.emplace_back(name, value);
  board_->add_scalar(name, step, value);
}

void metrics_log::add_scalars(std::int64_t step, std::initializer_list<std::pair<std::string_view, double>> values) {
  for (const auto& [name, value] : values) add_scalar(name, step, value);
}

void metrics_log::add_text(std::string_view name, std::int64_t step, std::string_view markdown) {
  if (board_) board_->add_text(name, step, markdown);
}

void metrics_log::add_histogram(std::string_view name, std::int64_t step, std::span<const double> values) {
  if (board_) board_->add_histogram(name, step, values);
}

void metrics_log::write_line() {
  if (pending_.empty() || file_ == nullptr) return;
  json line;
  line["step"] = step_;
  for (const auto& [name, value] : pending_) line[name] = std::isfinite(value) ? json(value) : json();
  pending_.clear();
  const auto text = line.dump() + "\n";
  if (std::fwrite(text.data(), 1, text.size(), file_) != text.size() || std::fflush(file_) != 0) {
    throw file_error(path_.string(), "", std::string("cannot be written: ") + std::strerror(errno));
  }
}

void metrics_log::flush() {
  write_line();
  if (board_) board_->flush();
}

const curve& metrics_log::find(std::string_view name) const noexcept {
  static const curve none;
  const auto found = index_.find(name);
  return found == index_.end() ? none : curves_[found->second].second;
}

std::vector<std::pair<std::string, curve>> metrics_log::read(const std::filesystem::path& directory) {
  std::vector<std::pair<std::string, curve>> curves;
  std::map<std::string, std::size_t, std::less<>> index;
  jsonl_reader reader(directory / "metrics.jsonl", {.growing = true});
  for (json line; reader.next(line);) {
    if (!line.is_object() || !line.contains("step") || !line["step"].is_number_integer()) {
      reader.fail("a line of metrics needs an integer \"step\"");
    }
    append_line(curves, index, line);
  }
  return curves;
}

}  // namespace coho::trainer
