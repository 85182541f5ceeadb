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
#include "files/file_kind.hpp"
#include "files/json_text.hpp"
#include "text/utf8.hpp"

namespace coho::trainer {

namespace {

constexpr int at_end = -1;

bool is_space(int c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

}  // namespace

struct jsonl_reader::state {
  std::filesystem::path path;
  gzFile file = nullptr;
  std::vector<char> buffer = std::vector<char>(1 << 16);
  std::size_t begin = 0, end = 0;
  std::uint64_t before = 0, value_offset = 0;  // bytes before the buffer, and before the value
  std::size_t line = 1, value_line = 0, count = 0;
  bool array = false, document = false, done = false, torn = false;
  bool whole = false;  ///< the last value was read completely
  jsonl_options options;
  std::string text;

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

  [[noreturn]] void refuse(const json_fault& fault) const {
    const std::string at = " at character " + std::to_string(fault.byte);
    if (!fault.what.empty()) fail(fault.what + "," + at, fault.mend);
    const bool first = count == 1 && !array;
    if (const auto other = first ? recognise_text(text) : std::nullopt) fail(other->what, other->mend);
    fail(fault.cut_off ? "the JSON value is cut off" : "is not JSON" + at,
         first ? "expected one JSON value per line, or an array" : "");
  }

  int peek() {
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
      if (got == 0) return at_end;
    }
    return static_cast<unsigned char>(buffer[begin]);
  }
  int take() {
    const int c = peek();
    if (c != at_end) ++begin;
    line += c == '\n';
    return c;
  }
  void keep(int c) {
    if (text.size() >= max_record_bytes) fail("the record is longer than 10 MB", "is this a JSON Lines file?");
    text += static_cast<char>(c);
  }
  void skip_space() {
    while (is_space(peek())) take();
  }

  // Called once: a byte order mark, and whether the file is one array.
  void open_container() {
    peek();
    refuse_other_kinds(path.string(), std::string_view(buffer.data(), end), file_use::records);
    if (peek() == 0xEF) {
      take();
      if (take() != 0xBB || take() != 0xBF) {
        value_line = line;
        fail("is not UTF-8 text");
      }
    }
    skip_space();
    if (peek() == '{') {
      // A "{" on a line of its own cannot begin a JSON Lines line.
      const auto next = std::string_view(buffer.data() + begin, end - begin).find_first_not_of(" \t\r", 1);
      document = next < end - begin && buffer[begin + next] == '\n';
    }
    if (peek() != '[') return;
    take();
    array = true;
    skip_space();
    if (peek() == ']') close_array();
  }
  void close_array() {
    take();
    skip_space();
    value_line = line;
    if (peek() != at_end) fail("text follows the end of the array");
    done = true;
  }

  void begin_value() {
    value_line = line;
    value_offset = before + begin;
    ++count;
    text.clear();
    whole = false;
  }

  bool take_line() {
    skip_space();
    if (peek() == at_end) return false;
    begin_value();
    int c = take();
    for (; c != at_end && (document || c != '\n'); c = take()) keep(c);
    torn = options.growing && c == at_end;
    whole = true;
    return true;
  }

  bool take_item() {
    skip_space();
    begin_value();
    std::size_t depth = 0;
    bool in_string = false;
    for (;;) {
      const int c = peek();
      if (c == at_end) fail("the file ends inside the array");
      if (!in_string && depth == 0 && (c == ',' || c == ']')) break;
      keep(take());
      if (in_string) {
        if (c == '\\') {
          if (peek() != at_end) keep(take());
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
    if (peek() == ']') {
      const auto place_of_value = value_line;
      close_array();
      value_line = place_of_value;
    } else {
      take();
    }
    whole = true;
    return true;
  }
};

jsonl_reader::jsonl_reader(const std::filesystem::path& path, const jsonl_options& options)
    : state_(std::make_unique<state>(path, options)) {
  state_->open_container();
}
jsonl_reader::~jsonl_reader() = default;
jsonl_reader::jsonl_reader(jsonl_reader&&) noexcept = default;

bool jsonl_reader::next(json& value) {
  auto& s = *state_;
  if (s.done || !(s.array ? s.take_item() : s.take_line())) {
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
  if (fault) s.refuse(*fault);
  return true;
}

bool jsonl_reader::recover() {
  auto& s = *state_;
  if (s.whole) return true;
  if (s.array || s.document || s.count == 0) return false;
  // The rest of a line that is too long.
  for (int c = s.take(); c != at_end && c != '\n'; c = s.take()) {
  }
  return s.whole = true;
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
  if (descriptor_ < 0) return;
  ::close(descriptor_);
  if (count_ == 0 && !keeps_empty_) ::unlink(partial_.c_str());
}

void jsonl_writer::refuse(std::string_view action) const {
  throw file_error(path_.string(), "", std::string(action) + ": " + std::strerror(errno));
}

void jsonl_writer::open_fresh() {
  descriptor_ = ::open(partial_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0666);
  if (descriptor_ < 0) refuse("cannot be written");
}

void jsonl_writer::continue_partial() {
  // Only the last line can be torn: a line is one write, and the file grows only at its end.
  descriptor_ = ::open(partial_.c_str(), O_RDWR | O_APPEND | O_CLOEXEC);
  if (descriptor_ < 0) refuse("cannot be continued");
  std::vector<char> buffer(1 << 16);
  off_t size = 0, whole = 0;
  for (;;) {
    const auto got = ::read(descriptor_, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) refuse("cannot be continued");
    if (got == 0) break;
    for (ssize_t i = 0; i < got; ++i) {
      if (buffer[static_cast<std::size_t>(i)] == '\n') ++count_, whole = size + i + 1;
    }
    size += got;
  }
  if (whole != size && ::ftruncate(descriptor_, whole) != 0) refuse("cannot be continued");
}

void jsonl_writer::write(const json& value) {
  if (descriptor_ < 0) throw file_error(path_.string(), "", "is already finished and cannot be written to");
  const auto text = value.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
  std::string_view rest = text;
  while (!rest.empty()) {
    const auto written = ::write(descriptor_, rest.data(), rest.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) refuse("cannot be written");
    rest.remove_prefix(static_cast<std::size_t>(written));
  }
  ++count_;
}

void jsonl_writer::finish() {
  if (finished_) return;
  if (::fsync(descriptor_) != 0) refuse("cannot be flushed to the disk");
  if (::rename(partial_.c_str(), path_.c_str()) != 0) refuse("cannot be renamed to its final name");
  ::close(std::exchange(descriptor_, -1));
  finished_ = true;
  flush_directory(path_.parent_path());
}

}  // namespace coho::trainer
