#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

#include "files/file_descriptor.hpp"

namespace coho::trainer {

/// JSON with keys in file order.
using json = nlohmann::ordered_json;

/// The longest record that is read. A file with a longer one is of another kind, or damaged.
inline constexpr std::size_t max_record_bytes = std::size_t{10} << 20;

/// What a reader does with text that is not UTF-8, and with escapes of unpaired surrogates: throw `file_error`, or
/// substitute U+FFFD.
enum class bad_text { refuse, replace };

/// The columns that are read, each under the name that a stage knows: {"prompt", "question"} reads "question" as the
/// prompt. Paths are those of `find_column`; a last "?" marks a column that records may lack. Empty: all, as they are.
using column_choice = std::map<std::string, std::string>;

struct jsonl_options {
  bad_text on_bad_text = bad_text::refuse;
  /// For a file that a running program may still be writing: text after the last line break that is not a JSON value
  /// counts as not yet written.
  bool growing = false;
};

/// Reads a stream of JSON values in constant memory: JSON Lines, a top-level JSON array, or one object whose "{" has a
/// line of its own, plain or packed with gzip or zstd; or the rows of a Parquet file, each as an object of its columns.
/// The form is detected by content, not by name. Blank lines and a byte order mark are skipped. A folder is read as its
/// data files, one after the other (`list_data_files`).
///
/// Throws `file_error` with the line (and in arrays the item), or the row, for text that is not JSON, not UTF-8, longer
/// than `max_record_bytes` or cut off, and for a damaged file.
///
///     jsonl_reader reader("pairs.jsonl.gz");
///     for (json value; reader.next(value);) use(value);
class jsonl_reader {
 public:
  /// Reads the beginning, from which the form is recognised. Throws `file_error` for a file that is missing or of
  /// another kind.
  explicit jsonl_reader(const std::filesystem::path& path, const jsonl_options& options = {});
  /// Reads only some columns, under other names. Throws `file_error` for a Parquet file without one of them; `next`
  /// does for a record.
  jsonl_reader(const std::filesystem::path& path, const jsonl_options& options, const column_choice& columns);
  ~jsonl_reader();
  jsonl_reader(jsonl_reader&&) noexcept;

  /// The next value, or false at the end.
  bool next(json& value);
  /// After `next`, or the interpretation of its value, threw: whether reading can continue with the next value. Not if
  /// the error concerns the file as a whole: a packed stream, an array that does not end.
  bool recover();

  /// Values read so far.
  std::size_t count() const noexcept;
  const std::filesystem::path& path() const noexcept;
  /// The last value as JSON text, verbatim where the file is text, and its offset in bytes in the unpacked file.
  std::string_view text() const;
  std::uint64_t offset() const noexcept;
  /// A value that was parsed from such a text, with the chosen columns.
  json with_columns(json value) const;
  /// Whether a value can be read again at its offset: a plain file of text, neither packed nor a pipe.
  bool can_reread() const noexcept;
  /// "line 12", "line 12, item 3" or "row 12"; of a folder after the file's name: where the last value began. For
  /// errors about its content.
  std::string place() const;
  /// `file_error` at the last value's place.
  [[noreturn]] void fail(std::string_view what, std::string_view mend = {}) const;

 private:
  struct state;
  std::unique_ptr<state> state_;
};

/// Writes JSON Lines so that a kill at any moment loses at most the record in flight.
///
/// Records go to `<path>.partial`, each flushed when written; `finish` flushes the file to the disk and renames it to
/// `<path>`. With `resume` an existing partial file is continued: whole records are counted and kept, a torn last line
/// is cut off. If there is no partial file, a finished file is left as it is: `finished()` is true and `count()` its
/// number of records. Without `resume`, construction empties an old partial file; a finished file stays until `finish`
/// replaces it.
///
///     jsonl_writer out("pairs.jsonl", context.resume);
///     for (std::size_t i = out.count(); i < prompts.size(); ++i) out.write(make(i));
///     out.finish();
class jsonl_writer {
 public:
  /// Creates the folder if it is missing.
  jsonl_writer(const std::filesystem::path& path, bool resume);
  /// Whether a run that resumes would find the file finished. Changes nothing.
  static bool is_complete(const std::filesystem::path& path);
  /// Leaves the partial file for a later resume, unless it has no records and there is no older finished file, which
  /// the resumed run would mistake for its own.
  ~jsonl_writer();
  jsonl_writer(const jsonl_writer&) = delete;
  jsonl_writer& operator=(const jsonl_writer&) = delete;

  /// Throws `file_error` when the system refuses. Text that is not UTF-8 is written with replacement characters.
  void write(const json& value);
  /// Renames the file to its final name; does nothing if it was finished before.
  void finish();
  /// Keeps the partial file even without records.
  void keep_empty() noexcept { keeps_empty_ = true; }

  /// Records in the file, including those of earlier runs.
  std::size_t count() const noexcept { return count_; }
  bool finished() const noexcept { return finished_; }
  const std::filesystem::path& path() const noexcept { return path_; }

 private:
  void open_fresh();
  /// Counts the lines of the partial file and cuts off a torn last one.
  void continue_partial();
  /// Throws `file_error` with the reason in errno.
  [[noreturn]] void throw_errno(std::string_view action) const;

  std::filesystem::path path_, partial_;
  file_descriptor file_;  ///< of the partial file; closed when finished
  std::size_t count_ = 0;
  bool finished_ = false, keeps_empty_ = false;
};

}  // namespace coho::trainer
