#include "benchmarks/answer_writer.hpp"

#include <utility>

#include <nlohmann/json.hpp>

#include <coho/error.hpp>

#include "files/atomic_file.hpp"

namespace coho::trainer {

bool answer_writer::is_complete(const std::filesystem::path& path, answer_form form) {
  if (form != answer_form::alpaca_eval) return jsonl_writer::is_complete(path);
  // Records next to a list are of a later run.
  return std::filesystem::is_regular_file(path) && !std::filesystem::exists(path.string() + ".records") &&
         !std::filesystem::exists(path.string() + ".records.partial");
}

answer_writer::answer_writer(std::filesystem::path path, answer_form form, bool resume) : path_(std::move(path)) {
  if (form != answer_form::alpaca_eval) {
    lines_.emplace(path_, resume);
    finished_ = lines_->finished();
    return;
  }
  if (std::filesystem::is_directory(path_))
    throw file_error(path_.string(), "", "cannot be written: it is a directory", "give a file's name");
  records_ = path_;
  records_ += ".records";
  const bool listed = std::filesystem::exists(path_);
  finished_ = resume && is_complete(path_, form);
  if (finished_) return;
  std::error_code ignored;
  if (!resume) std::filesystem::remove(records_, ignored);
  lines_.emplace(records_, resume);
  if (listed) lines_->keep_empty();
  if (lines_->finished()) finish();  // everything was answered, and the run ended before the list was written
}

void answer_writer::finish() {
  if (finished_) return;
  lines_->finish();
  finished_ = true;
  if (records_.empty()) return;
  atomic_file list(path_);
  jsonl_reader reader(records_);
  const char* gap = "[\n";
  for (json record; reader.next(record); gap = ",\n") list.write(gap + record.dump());
  list.write(reader.count() == 0 ? "[]\n" : "\n]\n");
  list.commit();
  std::error_code ignored;
  std::filesystem::remove(records_, ignored);
}

}  // namespace coho::trainer
