#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace coho::trainer {

/// JSON with keys in the order of the file.
using json = nlohmann::ordered_json;

/// The longest record that is read. A longer one is a file of another kind, or damaged.
inline constexpr std::size_t max_record_bytes = std::size_t{10} << 20;

/// What a reader does with text that is not UTF-8, and with escapes of half a character: `file_error`, or U+FFFD in
/// their place.
enum class bad_text { refuse, replace };

struct jsonl_options {
  bad_text on_bad_text = bad_text::refuse;
  /// Of a file that a running program may still be writing: what stands behind the last line break, and is no JSON
  /// value, is not there yet.
  bool growing = false;
};

/// Reads JSON values one after the other in constant memory: JSON Lines, a top-level JSON array, or one object
/// whose "{" has a line of its own; plain or gzip (found by content, not by name). Blank lines and a byte order mark
/// are skipped.
///
/// Throws `file_error` with the line (and in arrays the item) for what is not JSON, not UTF-8, longer than
/// `max_record_bytes`, cut off, or a damaged gzip stream.
///
///     jsonl_reader reader("pairs.jsonl.gz");
///     for (json value; reader.next(value);) use(value);
class jsonl_reader {
 public:
  explicit jsonl_reader(const std::filesystem::path& path, const jsonl_options& options = {});
  ~jsonl_reader();
  jsonl_reader(jsonl_reader&&) noexcept;

  /// The next value, or false at the end.
  bool next(json& value);
  /// After `next` or a reading of its value threw: whether what follows can be read, which is then read next. Not where
  /// the error is one of the file as a whole: a gzip stream, an array that does not end.
  bool recover();

  /// Values read so far.
  std::size_t count() const noexcept;
  const std::filesystem::path& path() const noexcept;
  /// The last value as it stands in the file, and the number of bytes in front of it once unpacked.
  std::string_view text() const noexcept;
  std::uint64_t offset() const noexcept;
  /// Whether a value can be read again at its offset: a plain file, neither packed nor a pipe.
  bool seekable() const noexcept;
  /// "line 12" or "line 12, item 3": where the last value began. For errors about its content.
  std::string place() const;
  /// `file_error` at the last value's place.
  [[noreturn]] void fail(std::string_view what, std::string_view mend = {}) const;

 private:
  struct state;
  std::unique_ptr<state> state_;
};

/// Writes JSON Lines so that a kill at any moment loses at most the record in flight.
///
/// Records go to `<path>.partial`, each flushed when written; `finish` flushes it to the disk and gives it its name.
/// With `resume` an existing partial file is continued: whole records are counted and kept, a torn last line is cut
/// off. Where there is none, a finished file is left as it is: `finished()` is true and `count()` its number of
/// records. Without `resume` construction empties an old partial file; a finished file stays until `finish` replaces
/// it.
///
///     jsonl_writer out("pairs.jsonl", context.resume);
///     for (std::size_t i = out.count(); i < prompts.size(); ++i) out.write(make(i));
///     out.finish();
class jsonl_writer {
 public:
  jsonl_writer(const std::filesystem::path& path, bool resume);
  /// Leaves the partial file for a later resume, unless it holds no record and there is no older finished file that the
  /// resumed run would take for its own.
  ~jsonl_writer();
  jsonl_writer(const jsonl_writer&) = delete;
  jsonl_writer& operator=(const jsonl_writer&) = delete;

  /// Throws `file_error` when the system refuses. Text that is not UTF-8 is written with replacement characters.
  void write(const json& value);
  void finish();
  /// Leaves the partial file also without a record.
  void keep_empty() noexcept { keeps_empty_ = true; }

  /// Records in the file, those of earlier runs included.
  std::size_t count() const noexcept { return count_; }
  bool finished() const noexcept { return finished_; }
  const std::filesystem::path& path() const noexcept { return path_; }
  const std::filesystem::path& partial_path() const noexcept { return partial_; }

 private:
  void open_fresh();
  void continue_partial();
  [[noreturn]] void refuse(std::string_view action) const;

  std::filesystem::path path_, partial_;
  int descriptor_ = -1;
  std::size_t count_ = 0;
  bool finished_ = false, keeps_empty_ = false;
};

}  // namespace coho::trainer
