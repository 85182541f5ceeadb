#include "jsonl/jsonl.hpp"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <unistd.h>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include <coho/error.hpp>

#include "files/atomic_file.hpp"
#include "files/data_files.hpp"
#include "files/file_descriptor.hpp"
#include "jsonl/column_choice.hpp"
#include "jsonl/json_values.hpp"
#include "jsonl/parquet_rows.hpp"

namespace coho::trainer {

// The files of the path, one after the other.
struct jsonl_reader::state {
  std::filesystem::path path;
  jsonl_options options;
  column_choice columns;
  std::vector<std::filesystem::path> files;
  std::size_t current = 0, count = 0;
  bool lacks_column = false;  ///< the last fault
  std::unique_ptr<value_source> source;

  state(const std::filesystem::path& given, const jsonl_options& how, const column_choice& chosen)
      : path(given), options(how), columns(chosen), files(list_data_files(given)) {
    open();
  }

  void open() {
    unpacked_file file(files[current]);
    source = is_parquet(file.beginning()) ? open_parquet_rows(files[current], options, columns)
                                          : open_json_values(files[current], std::move(file), options);
  }
  bool next(json& value) {
    ++count;  // also of a value that throws
    lacks_column = false;
    while (!source->next(value)) {
      if (current + 1 == files.size()) return --count, false;
      ++current;
      open();
    }
    choose(value);
    return true;
  }
  void choose(json& value) {
    if (columns.empty()) return;
    const auto missing = choose_columns(value, columns);
    if (!missing) return;
    lacks_column = true;
    fail(missing_column_text(*missing), existing_columns_text(value));
  }
  [[noreturn]] void fail(std::string_view what, std::string_view mend) const {
    throw file_error(files[current].string(), source->place(), what, mend);
  }
};

jsonl_reader::jsonl_reader(const std::filesystem::path& path, const jsonl_options& options)
    : jsonl_reader(path, options, {}) {}
jsonl_reader::jsonl_reader(const std::filesystem::path& path, const jsonl_options& options,
                           const column_choice& columns)
    : state_(std::make_unique<state>(path, options, columns)) {}
jsonl_reader::~jsonl_reader() = default;
jsonl_reader::jsonl_reader(jsonl_reader&&) noexcept = default;

bool jsonl_reader::next(json& value) { return state_->next(value); }
bool jsonl_reader::recover() { return state_->lacks_column || state_->source->recover(); }
json jsonl_reader::with_columns(json value) const {
  state_->choose(value);
  return value;
}

std::size_t jsonl_reader::count() const noexcept { return state_->count; }
const std::filesystem::path& jsonl_reader::path() const noexcept { return state_->path; }
std::string_view jsonl_reader::text() const { return state_->source->text(); }
std::uint64_t jsonl_reader::offset() const noexcept { return state_->source->offset(); }
bool jsonl_reader::can_reread() const noexcept {
  return state_->files.size() == 1 && state_->files.front() == state_->path && state_->source->can_reread();
}
std::string jsonl_reader::place() const {
  const auto& file = state_->files[state_->current];
  return (file == state_->path ? "" : file.lexically_relative(state_->path).string() + ", ") + state_->source->place();
}
void jsonl_reader::fail(std::string_view what, std::string_view mend) const { state_->fail(what, mend); }

jsonl_writer::jsonl_writer(const std::filesystem::path& path, bool resume) : path_(path), partial_(path) {
  partial_ += ".partial";
  if (std::filesystem::is_directory(path_))
    throw file_error(path_.string(), "", "cannot be written: it is a directory", "give a file's name");
  if (const auto folder = path_.parent_path(); !folder.empty()) {
    std::error_code failure;
    std::filesystem::create_directories(folder, failure);
    if (failure) throw file_error(path_.string(), "", "cannot be written: " + failure.message());
  }
  keeps_empty_ = std::filesystem::exists(path_);
  // A partial file next to a finished one comes from a later run.
  if (resume && std::filesystem::exists(partial_)) {
    continue_partial();
  } else if (resume && keeps_empty_) {
    jsonl_reader reader(path_);
    for (json ignored; reader.next(ignored);) ++count_;
    finished_ = true;
  } else {
    open_fresh();
  }
}

bool jsonl_writer::is_complete(const std::filesystem::path& path) {
  return std::filesystem::is_regular_file(path) && !std::filesystem::exists(path.string() + ".partial");
}

jsonl_writer::~jsonl_writer() {
  if (!file_.is_open()) return;
  if (count_ == 0 && !keeps_empty_) ::unlink(partial_.c_str());
}

void jsonl_writer::throw_errno(std::string_view action) const {
  throw file_error(path_.string(), "", std::string(action) + ": " + std::strerror(errno));
}

void jsonl_writer::open_fresh() {
  file_ = file_descriptor(::open(partial_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0666));
  if (!file_.is_open()) throw_errno("cannot be written");
}

void jsonl_writer::continue_partial() {
  // Only the last line can be torn: a line is one write, and the file grows only at its end.
  file_ = file_descriptor(::open(partial_.c_str(), O_RDWR | O_APPEND | O_CLOEXEC));
  if (!file_.is_open()) throw_errno("cannot be continued");
  std::vector<char> buffer(1 << 16);
  off_t size = 0, whole = 0;
  for (;;) {
    const auto got = ::read(file_.number(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw_errno("cannot be continued");
    if (got == 0) break;
    for (ssize_t i = 0; i < got; ++i) {
      if (buffer[static_cast<std::size_t>(i)] == '\n') ++count_, whole = size + i + 1;
    }
    size += got;
  }
  if (whole != size && ::ftruncate(file_.number(), whole) != 0) throw_errno("cannot be continued");
}

void jsonl_writer::write(const json& value) {
  if (!file_.is_open()) throw file_error(path_.string(), "", "is already finished and cannot be written to");
  const auto text = value.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
  if (!write_all(file_.number(), text)) throw_errno("cannot be written");
  ++count_;
}

void jsonl_writer::finish() {
  if (finished_) return;
  if (::fsync(file_.number()) != 0) throw_errno("cannot be flushed to the disk");
  if (::rename(partial_.c_str(), path_.c_str()) != 0) throw_errno("cannot be renamed to its final name");
  file_.close();
  finished_ = true;
  flush_directory(path_.parent_path());
}

}  // namespace coho::trainer
