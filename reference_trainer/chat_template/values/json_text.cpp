// `json.dumps` of Python.
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "chat_template/values/comparison.hpp"
#include "chat_template/values/python_text.hpp"
#include "chat_template/values/value_text.hpp"
#include "text/utf8.hpp"

namespace coho::trainer::jinja {

namespace {

class value_json_writer {
 public:
  value_json_writer(sandbox& box, const json_form& form) : box_(box), form_(form) {}

  // Appends the JSON of a value to `out`. Throws `failure` for what JSON cannot express.
  void write_value(const value& value) {
    const sandbox::depth_guard deeper(box_);
    switch (value.kind()) {
      case kind::none:
        out += "null";
        break;
      case kind::boolean:
        out += value.integral() != 0 ? "true" : "false";
        break;
      case kind::integer:
        out += std::to_string(value.integral());
        break;
      case kind::real:
        out += real_json(value.number());
        break;
      case kind::text:
        write_string(value.text());
        break;
      case kind::list:
      case kind::tuple:
        write_group(value.items(), '[', ']', [&](const auto& item) { write_value(item); });
        break;
      case kind::dict:
        write_object(value);
        break;
      default:
        throw failure("Object of type " + std::string(type_name(value)) + " is not JSON serializable");
    }
    box_.count_steps();
    box_.require_string_fits(out.size());
  }

  std::string out;

 private:
  // With NaN and Infinity, as Python writes them.
  static std::string real_json(double x) {
    if (std::isnan(x)) return "NaN";
    return std::isinf(x) ? (x > 0 ? "Infinity" : "-Infinity") : real_text(x);
  }

  // \uXXXX; beyond U+FFFF a pair of surrogates.
  void write_unicode_escape(char32_t c) {
    constexpr std::string_view hex = "0123456789abcdef";
    if (c >= 0x10000) {
      write_unicode_escape(0xD800 + ((c - 0x10000) >> 10));
      c = 0xDC00 + ((c - 0x10000) & 0x3FF);
    }
    out += "\\u";
    for (int shift = 12; shift >= 0; shift -= 4) out += hex[(c >> shift) & 15u];
  }

  // In quotes, with JSON's escapes; all beyond ASCII if `ensure_ascii` says so.
  void write_string(std::string_view text) {
    box_.count_bytes(text.size());
    out += '"';
    for (const char32_t c : code_points(text)) {
      constexpr std::u32string_view special = U"\"\\\n\r\t\b\f";
      if (const auto at = special.find(c); at != special.npos) {
        out += '\\';
        out += "\"\\nrtbf"[at];
      } else if (c < 0x20 || (form_.ensure_ascii && c >= 0x7F)) {
        write_unicode_escape(c);
      } else {
        append_utf8(out, c);
      }
    }
    out += '"';
  }

  // The line break and indentation before an item; nothing without `indent`.
  void write_new_line() {
    if (!form_.indent) return;
    box_.require_string_fits(out.size() + 1 + levels_ * form_.indent->size());
    out += '\n';
    for (std::size_t i = 0; i < levels_; ++i) out += *form_.indent;
  }

  // The items of an array or object between its brackets.
  template <class Items, class Write>
  void write_group(const Items& items, char open, char close, Write write_item) {
    out += open;
    if (!items.empty()) {
      ++levels_;
      bool first = true;
      for (const auto& item : items) {
        if (!first) out += form_.item_separator;
        first = false;
        write_new_line();
        write_item(item);
      }
      --levels_;
      write_new_line();
    }
    out += close;
  }

  // Numbers, booleans and None become strings.
  void write_key(const value& key) {
    switch (key.kind()) {
      case kind::text:
        return write_string(key.text());
      case kind::none:
      case kind::boolean:
      case kind::integer:
      case kind::real:
        out += '"';
        write_value(key);
        out += '"';
        return;
      default:
        throw failure("keys must be str, int, float, bool or None, not " + std::string(type_name(key)));
    }
  }

  // The entries of a dict, by key if `sort_keys` says so.
  void write_object(const value& dict) {
    auto items = dict.object_as<dict_object>().items.entries();
    if (form_.sort_keys)
      stable_sort_values(items, [&](const auto& a, const auto& b) { return is_less(box_, a.first, b.first); });
    write_group(items, '{', '}', [&](const dictionary::entry& entry) {
      write_key(entry.first);
      out += form_.key_separator;
      write_value(entry.second);
    });
  }

  sandbox& box_;
  const json_form& form_;
  std::size_t levels_ = 0;
};

}  // namespace

std::string json_text_of(sandbox& box, const value& value, const json_form& form) {
  value_json_writer out(box, form);
  out.write_value(value);
  return std::move(out.out);
}

}  // namespace coho::trainer::jinja
