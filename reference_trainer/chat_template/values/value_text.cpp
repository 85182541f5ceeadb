#include "chat_template/values/value_text.hpp"

#include <charconv>
#include <cmath>
#include <string>

#include "chat_template/values/python_text.hpp"
#include "text/utf8.hpp"

namespace coho::trainer::jinja {

std::string real_text(double x) {
  if (std::isnan(x)) return "nan";
  if (std::isinf(x)) return x > 0 ? "inf" : "-inf";
  char buffer[64];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, x, std::chars_format::scientific).ptr;
  const std::string_view all(buffer, static_cast<std::size_t>(end - buffer));
  const auto e = all.find('e');
  const int exponent = std::stoi(std::string(all.substr(e + 1)));
  if (exponent < -4 || exponent >= 16) return std::string(all);
  const auto plain = std::to_chars(buffer, buffer + sizeof buffer, x, std::chars_format::fixed).ptr;
  std::string out(buffer, plain);
  return out.find('.') == out.npos ? out + ".0" : out;
}

namespace {

// In lower case, with leading zeros.
void append_hex_digits(std::string& out, char32_t code, int digits) {
  constexpr std::string_view hex = "0123456789abcdef";
  for (int shift = 4 * (digits - 1); shift >= 0; shift -= 4) out += hex[(code >> shift) & 15u];
}

// `repr` of a str: in single quotes, or in double ones if it has single ones only; what is not printable as escapes.
void append_string_repr(std::string& out, std::string_view text) {
  const bool has_single = text.find('\'') != text.npos, has_double = text.find('"') != text.npos;
  const char quote = has_single && !has_double ? '"' : '\'';
  out += quote;
  for (const char32_t c : code_points(text)) {
    if (c == static_cast<unsigned char>(quote) || c == '\\') {
      out += '\\';
      out += static_cast<char>(c);
    } else if (c == '\n' || c == '\r' || c == '\t') {
      out += c == '\n' ? "\\n" : c == '\r' ? "\\r" : "\\t";
    } else if (is_printable(c)) {
      append_utf8(out, c);
    } else {
      out += c < 0x100 ? "\\x" : c < 0x10000 ? "\\u" : "\\U";
      append_hex_digits(out, c, c < 0x100 ? 2 : c < 0x10000 ? 4 : 8);
    }
  }
  out += quote;
}

class repr_writer {
 public:
  explicit repr_writer(sandbox& box) : box_(box) {}

  // Appends the `repr` of a value to `out`. Throws `failure` for generators and functions.
  void write_value(const value& value) {
    const sandbox::depth_guard deeper(box_);
    switch (value.kind()) {
      case kind::undefined:
        out += "Undefined";
        break;
      case kind::none:
        out += "None";
        break;
      case kind::boolean:
        out += value.integral() != 0 ? "True" : "False";
        break;
      case kind::integer:
        out += std::to_string(value.integral());
        break;
      case kind::real:
        out += real_text(value.number());
        break;
      case kind::text:
        box_.count_bytes(value.text().size());
        if (value.is_markup()) out += "Markup(";
        append_string_repr(out, value.text());
        if (value.is_markup()) out += ')';
        break;
      case kind::list:
      case kind::tuple:
        write_sequence(value);
        break;
      case kind::dict:
        write_entries(value.object_as<dict_object>().items);
        break;
      case kind::view:
        write_view(value.object_as<view_object>());
        break;
      case kind::range:
        write_range(value.object_as<range_object>());
        break;
      case kind::name_space:
        out += "<Namespace ";
        write_entries(value.object_as<namespace_object>().attributes);
        out += '>';
        break;
      case kind::loop:
        write_loop(value.object_as<loop_object>());
        break;
      case kind::generator:
        throw failure("a generator has no text: put `| list` after it");
      case kind::function:
        throw failure("'" + value.object_as<function_object>().name + "' is a function and has no text: call it");
    }
    box_.count_steps();
    box_.require_string_fits(out.size());
  }

  std::string out;

 private:
  // With commas between the items.
  template <class Items, class Write>
  void write_separated(const Items& items, Write write) {
    bool first = true;
    for (const auto& item : items) {
      if (!first) out += ", ";
      first = false;
      write(item);
    }
  }

  // A list or tuple; a tuple of one item ends with a comma.
  void write_sequence(const value& value) {
    const bool tuple = value.is_kind(kind::tuple);
    out += tuple ? '(' : '[';
    write_separated(value.items(), [&](const auto& item) { write_value(item); });
    if (tuple && value.items().size() == 1) out += ',';
    out += tuple ? ')' : ']';
  }

  // `key: value`.
  void write_entry(const dictionary::entry& entry) {
    write_value(entry.first);
    out += ": ";
    write_value(entry.second);
  }

  // A dict, or the attributes of a namespace.
  void write_entries(const dictionary& items) {
    out += '{';
    write_separated(items.entries(), [&](const auto& item) { write_entry(item); });
    out += '}';
  }

  // dict_keys([…]), dict_values([…]) or dict_items([…]).
  void write_view(const view_object& view) {
    const auto& items = view.of.object_as<dict_object>().items.entries();
    if (view.part == view_part::items) {
      out += "dict_items([";
      write_separated(items, [&](const auto& item) {
        out += '(';
        write_value(item.first);
        out += ", ";
        write_value(item.second);
        out += ')';
      });
    } else {
      const bool keys = view.part == view_part::keys;
      out += keys ? "dict_keys([" : "dict_values([";
      write_separated(items, [&](const auto& item) { write_value(keys ? item.first : item.second); });
    }
    out += "])";
  }

  // Without the step if it is 1.
  void write_range(const range_object& range) {
    out += "range(" + std::to_string(range.start) + ", " + std::to_string(range.stop);
    if (range.step != 1) out += ", " + std::to_string(range.step);
    out += ')';
  }

  // Throws `failure` if the number of items is not known.
  void write_loop(const loop_object& loop) {
    if (!loop.size) throw failure("a loop over a generator has no text");
    out += "<LoopContext " + std::to_string(loop.index + 1) + '/' + std::to_string(*loop.size) + '>';
  }

  sandbox& box_;
};

}  // namespace

std::string repr_of(sandbox& box, const value& value) {
  repr_writer out(box);
  out.write_value(value);
  return std::move(out.out);
}

std::string text_of(sandbox& box, const value& value) {
  if (value.is_kind(kind::text)) {
    box.count_bytes(value.text().size());
    return value.text();
  }
  return value.is_undefined() ? std::string() : repr_of(box, value);
}

}  // namespace coho::trainer::jinja
