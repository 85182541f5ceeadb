#include "chat_template/builtins/format.hpp"

#include <charconv>
#include <cmath>
#include <optional>

#include "chat_template/builtins/number_format.hpp"
#include "chat_template/values/operators.hpp"
#include "chat_template/values/value_text.hpp"
#include "text/utf8.hpp"

namespace coho::trainer::jinja {

namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// A reader of `"%5.1f of %(name)s" % given`.
class percent_reader {
 public:
  percent_reader(sandbox& box, std::string_view format, const value& given) : box_(box), rest_(format), given_(given) {}

  std::string read() {
    while (!rest_.empty()) {
      const auto text = rest_.substr(0, rest_.find('%'));
      out_ += text;
      rest_.remove_prefix(text.size());
      if (rest_.empty()) break;
      rest_.remove_prefix(1);
      if (take('%'))
        out_ += '%';
      else
        field();
      box_.step();
      box_.require_string(out_.size());
    }
    // What can be subscripted may be a mapping, of which nothing need be used.
    const bool mapping =
        given_.is(kind::dict) || given_.is(kind::list) || given_.is(kind::range) || given_.is_undefined();
    if (used_ < count() && !mapping) throw failure("not all arguments converted during string formatting");
    return std::move(out_);
  }

 private:
  bool take(char c) {
    if (!rest_.starts_with(c)) return false;
    rest_.remove_prefix(1);
    return true;
  }

  std::size_t count() const { return given_.is(kind::tuple) ? given_.items().size() : 1; }

  value next() {
    if (used_ == count()) throw failure("not enough arguments for format string");
    return given_.is(kind::tuple) ? given_.items()[used_++] : (++used_, given_);
  }

  std::size_t number() {
    if (take('*')) {
      const auto width = next();
      if (!width.is_integral() || width.integral() < 0 || width.integral() > 10'000'000) throw failure("* wants int");
      return static_cast<std::size_t>(width.integral());
    }
    std::size_t out = 0;
    for (; !rest_.empty() && is_digit(rest_[0]); rest_.remove_prefix(1)) {
      out = out * 10 + static_cast<std::size_t>(rest_[0] - '0');
      if (out > 10'000'000) throw failure("width too big");
    }
    return out;
  }

  void field() {
    std::optional<value> item;
    if (take('(')) {
      const auto end = rest_.find(')');
      if (end == rest_.npos) throw failure("incomplete format key");
      if (!given_.is(kind::dict)) throw failure("format requires a mapping");
      const auto* const found = given_.as<dict_object>().items.find(rest_.substr(0, end));
      if (found == nullptr) throw failure("no key '" + std::string(rest_.substr(0, end)) + "' to format");
      item = *found;
      rest_.remove_prefix(end + 1);
    }
    format_specification form;
    for (bool flag = true; flag;) {
      if (take('-'))
        form.align = '<';
      else if (take('+'))
        form.sign = '+';
      else if (take(' '))
        form.sign = form.sign == '+' ? '+' : ' ';
      else if (take('#'))
        form.alternate = true;
      else if (take('0'))
        form.fill = "0";
      else
        flag = false;
    }
    form.width = number();
    if (take('.')) form.precision = number();
    while (take('l') || take('h') || take('L')) {
    }
    if (rest_.empty()) throw failure("incomplete format");
    form.type = rest_[0];
    rest_.remove_prefix(1);
    convert(item ? *item : next(), form);
  }

  void convert(const value& item, format_specification form) {
    const bool left = form.align == '<';
    if (form.type == 's' || form.type == 'r' || form.type == 'a') {
      if (form.type == 'a') throw failure("%a is not supported");
      auto text = form.type == 's' ? text_of(box_, item) : repr_of(box_, item);
      form.type = 0, form.sign = '-', form.alternate = false, form.fill = " ", form.align = left ? '<' : '>';
      out_ += padded(box_, formatted(box_, box_.text(std::move(text)), form), form, false);
      return;
    }
    if (form.type == 'c') {
      if (item.is(kind::text) && count_utf8_characters(item.text()) != 1) throw failure("%c requires int or char");
      form.fill = " ", form.align = left ? '<' : '>';
      const bool text = item.is(kind::text);
      form.type = text ? 0 : 'c', form.precision.reset(), form.sign = '-', form.alternate = false;
      if (!text && !item.is_integral()) throw failure("%c requires int or char");
      out_ += padded(box_, formatted(box_, item, form), form, false);
      return;
    }
    number(item, form, left);
  }

  void number(const value& item, format_specification form, bool left) {
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
      auto text = formatted(box_, value::integer(whole), form);
      auto at = text.find_first_not_of("+- ");
      if (form.alternate && !decimal) at += 2;
      if (text.size() - at < digits) {
        box_.require_string(digits);
        text.insert(at, digits - (text.size() - at), '0');
      }
      out_ += padded(box_, std::move(text), form, true);
    } else if (reals.find(form.type) != reals.npos) {
      out_ += padded(box_, formatted(box_, value::real(item.number()), form), form, true);
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
class brace_reader {
 public:
  brace_reader(sandbox& box, const arguments& given) : box_(box), given_(given) {}

  std::string read(std::string_view format, int level) {
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
      const auto end = closing(format, at + 1);
      out += field(format.substr(at + 1, end - at - 1), level);
      at = end + 1;
      box_.step();
      box_.require_string(out.size());
    }
    box_.work(format.size());
    return out;
  }

 private:
  static std::size_t closing(std::string_view format, std::size_t at) {
    int open = 1;
    for (; at < format.size(); ++at) {
      if (format[at] == '{') ++open;
      if (format[at] == '}' && --open == 0) return at;
    }
    throw failure("expected '}' before end of string");
  }

  std::string field(std::string_view text, int level) {
    std::size_t end = 0;
    for (bool item = false; end < text.size() && (item || (text[end] != ':' && text[end] != '!')); ++end)
      item = text[end] == '[' || (item && text[end] != ']');
    auto found = lookup(text.substr(0, end));
    text.remove_prefix(end);
    if (text.starts_with('!')) {
      if (text.size() < 2 || (text.size() > 2 && text[2] != ':'))
        throw failure("expected ':' after conversion specifier");
      if (text[1] != 's' && text[1] != 'r') throw failure("only the conversions !s and !r are supported");
      found = box_.text(text[1] == 's' ? text_of(box_, found) : repr_of(box_, found));
      text.remove_prefix(2);
    }
    const auto specification = text.empty() ? std::string() : read(text.substr(1), level + 1);
    if (specification.empty()) return text_of(box_, found);
    const auto form = read_specification(specification);
    return padded(box_, formatted(box_, found, form), form, found.is_number());
  }

  value lookup(std::string_view path) {
    const auto first = path.substr(0, path.find_first_of(".["));
    auto rest = path.substr(first.size());
    value out = argument(first);
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
        out = get_item(box_, out, key(rest.substr(1, end - 1)));
        rest.remove_prefix(end + 1);
        if (!rest.empty() && rest[0] != '.' && rest[0] != '[')
          throw failure("Only '.' or '[' may follow ']' in format field specifier");
      }
    }
    return out;
  }

  value key(std::string_view text) {
    std::int64_t number = 0;
    const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (problem == std::errc() && end == text.data() + text.size() && is_digit(text[0])) return value::integer(number);
    return box_.text(std::string(text));
  }

  value argument(std::string_view name) {
    const bool number = !name.empty() && is_digit(name[0]);
    if (name.empty() || number) {
      if ((automatic_ && number) || (numbered_ && !number))
        throw failure("cannot switch between automatic field numbering and manual field specification");
      automatic_ = !number, numbered_ = number;
      const auto at = number ? key(name).integral() : static_cast<std::int64_t>(next_++);
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
  return percent_reader(box, format, given).read();
}

std::string brace_format(sandbox& box, std::string_view format, const arguments& given) {
  return brace_reader(box, given).read(format, 0);
}

}  // namespace coho::trainer::jinja
