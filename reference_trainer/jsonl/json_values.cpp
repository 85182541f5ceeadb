#include "jsonl/json_values.hpp"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include <coho/error.hpp>

#include "files/file_kind.hpp"
#include "files/json_text.hpp"
#include "text/utf8.hpp"

namespace coho::trainer {

namespace {

constexpr int end_of_file = -1;

bool is_space(int c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

// The file, its buffer, and the value that was read last. Bytes are read one by one, so that a value may be of any
// length up to the limit and a line is counted where it ends.
struct json_values final : value_source {
  std::filesystem::path path;
  unpacked_file file;
  std::vector<char> buffer = std::vector<char>(1 << 16);
  std::size_t begin = 0, end = 0;
  std::uint64_t before = 0, value_offset = 0;  // bytes before the buffer, and before the value
  std::size_t line = 1, value_line = 0, count = 0;
  bool array = false, document = false, done = false, torn = false;
  bool complete = false;  ///< the last value was read completely
  jsonl_options options;
  std::string record;

  json_values(const std::filesystem::path& p, unpacked_file opened, const jsonl_options& given)
      : path(p), file(std::move(opened)), options(given) {
    detect_container();
  }

  std::string place() const override {
    return "line " + std::to_string(value_line) + (array ? ", item " + std::to_string(count) : "");
  }
  std::string_view text() const override { return record; }
  std::uint64_t offset() const override { return value_offset; }
  bool can_reread() const override { return file.can_reread(); }

  [[noreturn]] void fail(std::string_view what, std::string_view mend = {}) const {
    throw file_error(path.string(), place(), what, mend);
  }

  // A fault in the JSON of a value. Of the first value of a file, what else the file may be is said instead.
  [[noreturn]] void refuse_json(const json_fault& fault) const {
    const std::string at = " at character " + std::to_string(fault.byte);
    if (!fault.what.empty()) fail(fault.what + "," + at, fault.mend);
    const bool first = count == 1 && !array;
    if (const auto other = first ? recognise_text(record) : std::nullopt) fail(other->what, other->mend);
    fail(fault.cut_off ? "the JSON value is cut off" : "is not JSON" + at,
         first ? "expected one JSON value per line, or an array" : "");
  }

  // The next byte, or end_of_file; unpacks the next block where the buffer is used up.
  int peek_byte() {
    if (begin == end) {
      const std::size_t got = file.read(buffer);
      if (got == 0 && !file.fault().empty()) {
        value_line = line;
        fail(file.fault(), "fetch it again");
      }
      before += end;
      begin = 0;
      end = got;
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
    if (record.size() >= max_record_bytes) fail("the record is longer than 10 MB", "is this a JSON Lines file?");
    record += static_cast<char>(c);
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
    record.clear();
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

  bool next(json& value) override {
    if (done || !(array ? read_item() : read_line())) {
      done = true;
      return false;
    }
    if (torn && !json::accept(record)) {
      done = true;
      --count;
      return false;
    }
    if (const auto bad = find_invalid_utf8(record); bad != std::string::npos) {
      if (options.on_bad_text == bad_text::refuse)
        fail("byte " + std::to_string(bad + 1) + " of the record is not UTF-8");
      record = repair_utf8(record);
    }
    auto fault = parse_json(record, value);
    if (fault && options.on_bad_text == bad_text::replace) {
      record = repair_surrogate_escapes(record);
      fault = parse_json(record, value);
    }
    if (fault) refuse_json(*fault);
    return true;
  }

  bool recover() override {
    if (complete) return true;
    if (array || document || count == 0) return false;
    // A line that is too long: the next value begins after it.
    for (int c = next_byte(); c != end_of_file && c != '\n'; c = next_byte()) {
    }
    return complete = true;
  }
};

}  // namespace

std::unique_ptr<value_source> open_json_values(const std::filesystem::path& path, unpacked_file file,
                                               const jsonl_options& options) {
  return std::make_unique<json_values>(path, std::move(file), options);
}

}  // namespace coho::trainer
