#include "chat_template/builtins/format.hpp"

#include <charconv>
#include <cmath>
#include <optional>

#include "chat_template/builtins/access.hpp"
#include "chat_template/builtins/format_specification.hpp"
#include "chat_template/values/python_number.hpp"
#include "chat_template/values/value_text.hpp"
#include "text/utf8.hpp"

namespace coho::trainer::jinja {

namespace {

// A reader of `"%5.1f of %(name)s" % given`.
class percent_formatter {
 public:
  percent_formatter(sandbox& box, std::string_view format, const value& given)
      : box_(box), rest_(format), given_(given) {}

  // The whole text. Called once.
  std::string format_text() {
    while (!rest_.empty()) {
      const auto text = rest_.substr(0, rest_.find('%'));
      out_ += text;
      rest_.remove_prefix(text.size());
      if (rest_.empty()) break;
      rest_.remove_prefix(1);
      if (take_character('%'))
        out_ += '%';
      else
        append_field();
      box_.count_steps();
      box_.require_string_fits(out_.size());
    }
    // What can be subscripted may be a mapping, of which nothing need be used.
    const bool mapping = given_.is_kind(kind::dict) || given_.is_kind(kind::list) || given_.is_kind(kind::range) ||
                         given_.is_undefined();
    if (used_ < argument_count() && !mapping) throw failure("not all arguments converted during string formatting");
    return std::move(out_);
  }

 private:
  // Removes the character if it is next.
  bool take_character(char c) {
    if (!rest_.starts_with(c)) return false;
    rest_.remove_prefix(1);
    return true;
  }

  // A tuple has many arguments; anything else is one.
  std::size_t argument_count() const { return given_.is_kind(kind::tuple) ? given_.items().size() : 1; }

  // Throws `failure` if all are used.
  value next_argument() {
    if (used_ == argument_count()) throw failure("not enough arguments for format string");
    return given_.is_kind(kind::tuple) ? given_.items()[used_++] : (++used_, given_);
  }

  // A width or precision in digits, 0 if there are none, or `*`: the next argument.
  std::size_t read_size() {
    if (take_character('*')) {
      const auto width = next_argument();
      if (!width.is_integral() || width.integral() < 0 || width.integral() > 10'000'000) throw failure("* wants int");
      return static_cast<std::size_t>(width.integral());
    }
    std::size_t out = 0;
    for (; !rest_.empty() && is_decimal_digit(rest_[0]); rest_.remove_prefix(1)) {
      out = out * 10 + static_cast<std::size_t>(rest_[0] - '0');
      if (out > 10'000'000) throw failure("width too big");
    }
    return out;
  }

  // The field after a `%`: key, flags, width, precision, length and type.
  void append_field() {
    std::optional<value> item;
    if (take_character('(')) {
      const auto end = rest_.find(')');
      if (end == rest_.npos) throw failure("incomplete format key");
      if (!given_.is_kind(kind::dict)) throw failure("format requires a mapping");
      const auto* const found = given_.object_as<dict_object>().items.find(rest_.substr(0, end));
      if (found == nullptr) throw failure("no key '" + std::string(rest_.substr(0, end)) + "' to format");
      item = *found;
      rest_.remove_prefix(end + 1);
    }
    format_specification form;
    for (bool flag = true; flag;) {
      if (take_character('-'))
        form.align = '<';
      else if (take_character('+'))
        form.sign = '+';
      else if (take_character(' '))
        form.sign = form.sign == '+' ? '+' : ' ';
      else if (take_character('#'))
        form.alternate = true;
      else if (take_character('0'))
        form.fill = "0";
      else
        flag = false;
    }
    form.width = read_size();
    if (take_character('.')) form.precision = read_size();
    while (take_character('l') || take_character('h') || take_character('L')) {
    }
    if (rest_.empty()) throw failure("incomplete format");
    form.type = rest_[0];
    rest_.remove_prefix(1);
    append_converted(item ? *item : next_argument(), form);
  }

  // An argument by its type: s and r as texts, c as a character, anything else as a number.
  void append_converted(const value& item, format_specification form) {
    const bool left = form.align == '<';
    if (form.type == 's' || form.type == 'r' || form.type == 'a') {
      if (form.type == 'a') throw failure("%a is not supported");
      auto text = form.type == 's' ? text_of(box_, item) : repr_of(box_, item);
      form.type = 0, form.sign = '-', form.alternate = false, form.fill = " ", form.align = left ? '<' : '>';
      out_ += pad_to_width(box_, format_value(box_, box_.make_text(std::move(text)), form), form, false);
      return;
    }
    if (form.type == 'c') {
      if (item.is_kind(kind::text) && count_utf8_characters(item.text()) != 1) throw failure("%c requires int or char");
      form.fill = " ", form.align = left ? '<' : '>';
      const bool text = item.is_kind(kind::text);
      form.type = text ? 0 : 'c', form.precision.reset(), form.sign = '-', form.alternate = false;
      if (!text && !item.is_integral()) throw failure("%c requires int or char");
      out_ += pad_to_width(box_, format_value(box_, item, form), form, false);
      return;
    }
    append_number(item, form, left);
  }

  // `left`: aligned to the left, where zeros do not fill.
  void append_number(const value& item, format_specification form, bool left) {
    if (item.is_undefined()) refuse_undefined(item);
    if (!item.is_number())
      throw failure(std::string("%") + form.type + " format: a real number is required, not " +
                    std::string(type_name(item)));
    // Zeros go between the sign and the digits.
    form.align = left ? '<' : form.fill == "0" ? '=' : '>';
    if (left) form.fill = " ";
    constexpr std::string_view integers = "diuxXo", reals = "eEfFgG";
    if (integers.find(form.type) != integers.npos) {
      const bool decimal = form.type == 'd' || form.type == 'i' || form.type == 'u';
      if (!decimal && !item.is_integral())
        throw failure(std::string("%") + form.type + " format: an integer is required, not float");
      if (!std::isfinite(item.number()) || std::fabs(item.number()) >= 0x1p63)
        throw failure("an integer of more than 64 bits is not supported");
      const auto whole = item.is_integral() ? item.integral() : static_cast<std::int64_t>(item.number());
      if (decimal) form.type = 'd';
      const auto digits = form.precision.value_or(0);
      form.precision.reset();
      auto text = format_value(box_, value::integer(whole), form);
      auto at = text.find_first_not_of("+- ");
      if (form.alternate && !decimal) at += 2;
      if (text.size() - at < digits) {
        box_.require_string_fits(digits);
        text.insert(at, digits - (text.size() - at), '0');
      }
      out_ += pad_to_width(box_, std::move(text), form, true);
    } else if (reals.find(form.type) != reals.npos) {
      out_ += pad_to_width(box_, format_value(box_, value::real(item.number()), form), form, true);
    } else {
      throw failure(std::string("unsupported format character '") + form.type + "'");
    }
  }

  sandbox& box_;
  std::string_view rest_;
  const value& given_;
  std::size_t used_ = 0;
  std::string out_;
};

// A reader of `"{0:>5} of {name!r}".format(…)`.
class brace_formatter {
 public:
  brace_formatter(sandbox& box, const arguments& given) : box_(box), given_(given) {}

  // `level`: of fields within format specifications, of which Python allows two.
  std::string format_text(std::string_view format, int level) {
    if (level > 2) throw failure("Max string recursion exceeded");
    std::string out;
    for (std::size_t at = 0; at < format.size();) {
      const char c = format[at];
      const bool brace = c == '{' || c == '}';
      if (!brace || (at + 1 < format.size() && format[at + 1] == c)) {
        out += c;
        at += brace ? 2 : 1;
        continue;
      }
      if (c == '}') throw failure("Single '}' encountered in format string");
      const auto end = closing_brace(format, at + 1);
      out += format_field(format.substr(at + 1, end - at - 1), level);
      at = end + 1;
      box_.count_steps();
      box_.require_string_fits(out.size());
    }
    box_.count_bytes(format.size());
    return out;
  }

 private:
  // Of the field whose content begins at `at`. Throws `failure` if there is none.
  static std::size_t closing_brace(std::string_view format, std::size_t at) {
    int open = 1;
    for (; at < format.size(); ++at) {
      if (format[at] == '{') ++open;
      if (format[at] == '}' && --open == 0) return at;
    }
    throw failure("expected '}' before end of string");
  }

  // `name!conversion:specification`.
  std::string format_field(std::string_view text, int level) {
    std::size_t end = 0;
    for (bool item = false; end < text.size() && (item || (text[end] != ':' && text[end] != '!')); ++end)
      item = text[end] == '[' || (item && text[end] != ']');
    auto found = field_value(text.substr(0, end));
    text.remove_prefix(end);
    if (text.starts_with('!')) {
      if (text.size() < 2 || (text.size() > 2 && text[2] != ':'))
        throw failure("expected ':' after conversion specifier");
      if (text[1] != 's' && text[1] != 'r') throw failure("only the conversions !s and !r are supported");
      found = box_.make_text(text[1] == 's' ? text_of(box_, found) : repr_of(box_, found));
      text.remove_prefix(2);
    }
    const auto specification = text.empty() ? std::string() : format_text(text.substr(1), level + 1);
    if (specification.empty()) return text_of(box_, found);
    const auto form = parse_format_specification(specification);
    return pad_to_width(box_, format_value(box_, found, form), form, found.is_number());
  }

  // An argument, followed along `.name` and `[key]`.
  value field_value(std::string_view path) {
    const auto first = path.substr(0, path.find_first_of(".["));
    auto rest = path.substr(first.size());
    value out = field_argument(first);
    while (!rest.empty()) {
      if (rest[0] == '.') {
        rest.remove_prefix(1);
        const auto name = rest.substr(0, rest.find_first_of(".["));
        if (name.empty()) throw failure("Empty attribute in format string");
        out = get_attribute(box_, out, name);
        rest.remove_prefix(name.size());
      } else {
        const auto end = rest.find(']');
        if (end == rest.npos || end == 1) throw failure("Missing ']' in format string");
        out = get_item(box_, out, field_key(rest.substr(1, end - 1)));
        rest.remove_prefix(end + 1);
        if (!rest.empty() && rest[0] != '.' && rest[0] != '[')
          throw failure("Only '.' or '[' may follow ']' in format field specifier");
      }
    }
    return out;
  }

  // What is between brackets: an index if it is a number, else a text.
  value field_key(std::string_view text) {
    std::int64_t number = 0;
    const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (problem == std::errc() && end == text.data() + text.size() && is_decimal_digit(text[0]))
      return value::integer(number);
    return box_.make_text(std::string(text));
  }

  // By name, by number, or the next one if there is no name. Throws `failure` where numbers and none are mixed.
  value field_argument(std::string_view name) {
    const bool number = !name.empty() && is_decimal_digit(name[0]);
    if (name.empty() || number) {
      if ((automatic_ && number) || (numbered_ && !number))
        throw failure("cannot switch between automatic field numbering and manual field specification");
      automatic_ = !number, numbered_ = number;
      const auto at = number ? field_key(name).integral() : static_cast<std::int64_t>(next_++);
      if (at < 0 || static_cast<std::size_t>(at) >= given_.positional.size())
        throw failure("Replacement index " + std::to_string(at) + " out of range for positional args tuple");
      return given_.positional[static_cast<std::size_t>(at)];
    }
    for (const auto& [key, item] : given_.named)
      if (key == name) return item;
    throw failure("no argument '" + std::string(name) + "' to format");
  }

  sandbox& box_;
  const arguments& given_;
  std::size_t next_ = 0;
  bool automatic_ = false, numbered_ = false;
};

}  // namespace

std::string percent_format(sandbox& box, std::string_view format, const value& given) {
  return percent_formatter(box, format, given).format_text();
}

std::string brace_format(sandbox& box, std::string_view format, const arguments& given) {
  return brace_formatter(box, given).format_text(format, 0);
}

}  // namespace coho::trainer::jinja
