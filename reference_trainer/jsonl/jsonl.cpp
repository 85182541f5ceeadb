#include "jsonl/jsonl.hpp"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <unistd.h>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>
#include <zlib.h>

#include <coho/error.hpp>

#include "files/atomic_file.hpp"
#include "files/file_descriptor.hpp"
#include "files/file_kind.hpp"
#include "files/json_text.hpp"
#include "text/utf8.hpp"

namespace coho::trainer {

namespace {

constexpr int end_of_file = -1;

bool is_space(int c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

}  // namespace

// The file, its buffer, and the value that was read last. Bytes are read one by one, so that a value may be of any
// length up to the limit and a line is counted where it ends.
struct jsonl_reader::state {
  std::filesystem::path path;
  gzFile file = nullptr;
  std::vector<char> buffer = std::vector<char>(1 << 16);
  std::size_t begin = 0, end = 0;
  std::uint64_t before = 0, value_offset = 0;  // bytes before the buffer, and before the value
  std::size_t line = 1, value_line = 0, count = 0;
  bool array = false, document = false, done = false, torn = false;
  bool complete = false;  ///< the last value was read completely
  jsonl_options options;
  std::string text;

  // Opens the file; zlib reads plain files too.
  state(const std::filesystem::path& p, const jsonl_options& given) : path(p), options(given) {
    if (std::filesystem::is_directory(path))
      throw file_error(path.string(), "", "is a directory, but a file is needed");
    file = ::gzopen(path.c_str(), "rb");
    if (file == nullptr) {
      throw file_error(path.string(), "", std::string("cannot be read: ") + std::strerror(errno == 0 ? ENOMEM : errno));
    }
  }
  ~state() { ::gzclose(file); }
  state(const state&) = delete;

  std::string place() const {
    return "line " + std::to_string(value_line) + (array ? ", item " + std::to_string(count) : "");
  }
  [[noreturn]] void fail(std::string_view what, std::string_view mend = {}) const {
    throw file_error(path.string(), place(), what, mend);
  }

  // A fault in the JSON of a value. Of the first value of a file, what else the file may be is said instead.
  [[noreturn]] void refuse_json(const json_fault& fault) const {
    const std::string at = " at character " + std::to_string(fault.byte);
    if (!fault.what.empty()) fail(fault.what + "," + at, fault.mend);
    const bool first = count == 1 && !array;
    if (const auto other = first ? recognise_text(text) : std::nullopt) fail(other->what, other->mend);
    fail(fault.cut_off ? "the JSON value is cut off" : "is not JSON" + at,
         first ? "expected one JSON value per line, or an array" : "");
  }

  // The next byte, or end_of_file; unpacks the next block where the buffer is used up.
  int peek_byte() {
    if (begin == end) {
      const int got = ::gzread(file, buffer.data(), static_cast<unsigned>(buffer.size()));
      int code = Z_OK;
      const char* message = ::gzerror(file, &code);
      if (got < 0 || (code != Z_OK && code != Z_STREAM_END)) {
        value_line = line;
        fail(code == Z_BUF_ERROR ? "the gzip stream is cut off"
                                 : "the gzip stream is damaged: " + std::string(message));
      }
      before += end;
      begin = 0;
      end = static_cast<std::size_t>(got);
      if (got == 0) return end_of_file;
    }
    return static_cast<unsigned char>(buffer[begin]);
  }
  // The same, and goes on after it.
  int next_byte() {
    const int c = peek_byte();
    if (c != end_of_file) ++begin;
    line += c == '\n';
    return c;
  }
  // Adds a byte to the value, up to the limit of a record.
  void append_byte(int c) {
    if (text.size() >= max_record_bytes) fail("the record is longer than 10 MB", "is this a JSON Lines file?");
    text += static_cast<char>(c);
  }
  void skip_space() {
    while (is_space(peek_byte())) next_byte();
  }

  // Called once: a byte order mark, and whether the file is one array.
  void detect_container() {
    peek_byte();
    refuse_other_kinds(path.string(), std::string_view(buffer.data(), end), file_use::records);
    if (peek_byte() == 0xEF) {
      next_byte();
      if (next_byte() != 0xBB || next_byte() != 0xBF) {
        value_line = line;
        fail("is not UTF-8 text");
      }
    }
    skip_space();
    if (peek_byte() == '{') {
      // A "{" on a line of its own cannot begin a JSON Lines line.
      const auto next = std::string_view(buffer.data() + begin, end - begin).find_first_not_of(" \t\r", 1);
      document = next < end - begin && buffer[begin + next] == '\n';
    }
    if (peek_byte() != '[') return;
    next_byte();
    array = true;
    skip_space();
    if (peek_byte() == ']') close_array();
  }
  // After the last item: only white space may follow.
  void close_array() {
    next_byte();
    skip_space();
    value_line = line;
    if (peek_byte() != end_of_file) fail("text follows the end of the array");
    done = true;
  }

  // The place, count and text of the next value.
  void begin_value() {
    value_line = line;
    value_offset = before + begin;
    ++count;
    text.clear();
    complete = false;
  }

  // The next line that is not blank or, of a single document, the rest of the file; false at the end. A last line of a
  // growing file may be half written.
  bool read_line() {
    skip_space();
    if (peek_byte() == end_of_file) return false;
    begin_value();
    int c = next_byte();
    for (; c != end_of_file && (document || c != '\n'); c = next_byte()) append_byte(c);
    torn = options.growing && c == end_of_file;
    complete = true;
    return true;
  }

  // The next item of the array, to the comma or bracket after it: brackets are counted outside strings, where a
  // backslash hides the quote after it. What is between them is checked by the JSON parser.
  bool read_item() {
    skip_space();
    begin_value();
    std::size_t depth = 0;
    bool in_string = false;
    for (;;) {
      const int c = peek_byte();
      if (c == end_of_file) fail("the file ends inside the array");
      if (!in_string && depth == 0 && (c == ',' || c == ']')) break;
      append_byte(next_byte());
      if (in_string) {
        if (c == '\\') {
          if (peek_byte() != end_of_file) append_byte(next_byte());
        } else if (c == '"') {
          in_string = false;
        }
      } else if (c == '"') {
        in_string = true;
      } else if (c == '{' || c == '[') {
        ++depth;
      } else if (c == '}' || c == ']') {
        --depth;
      }
    }
    if (peek_byte() == ']') {
      const auto place_of_value = value_line;
      close_array();
      value_line = place_of_value;
    } else {
      next_byte();
    }
    complete = true;
    return true;
  }
};

jsonl_reader::jsonl_reader(const std::filesystem::path& path, const jsonl_options& options)
    : state_(std::make_unique<state>(path, options)) {
  state_->detect_container();
}
jsonl_reader::~jsonl_reader() = default;
jsonl_reader::jsonl_reader(jsonl_reader&&) noexcept = default;

bool jsonl_reader::next(json& value) {
  auto& s = *state_;
  if (s.done || !(s.array ? s.read_item() : s.read_line())) {
    s.done = true;
    return false;
  }
  if (s.torn && !json::accept(s.text)) {
    s.done = true;
    --s.count;
    return false;
  }
  if (const auto bad = find_invalid_utf8(s.text); bad != std::string::npos) {
    if (s.options.on_bad_text == bad_text::refuse)
      s.fail("byte " + std::to_string(bad + 1) + " of the record is not UTF-8");
    s.text = repair_utf8(s.text);
  }
  auto fault = parse_json(s.text, value);
  if (fault && s.options.on_bad_text == bad_text::replace) {
    s.text = repair_surrogate_escapes(s.text);
    fault = parse_json(s.text, value);
  }
  if (fault) s.refuse_json(*fault);
  return true;
}

bool jsonl_reader::recover() {
  auto& s = *state_;
  if (s.complete) return true;
  if (s.array || s.document || s.count == 0) return false;
  // A line that is too long: the next value begins after it.
  for (int c = s.next_byte(); c != end_of_file && c != '\n'; c = s.next_byte()) {
  }
  return s.complete = true;
}

std::size_t jsonl_reader::count() const noexcept { return state_->count; }
const std::filesystem::path& jsonl_reader::path() const noexcept { return state_->path; }
std::string_view jsonl_reader::text() const noexcept { return state_->text; }
std::uint64_t jsonl_reader::offset() const noexcept { return state_->value_offset; }
bool jsonl_reader::seekable() const noexcept {
  std::error_code none;
  return ::gzdirect(state_->file) != 0 && std::filesystem::is_regular_file(state_->path, none);
}
std::string jsonl_reader::place() const { return state_->place(); }
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
