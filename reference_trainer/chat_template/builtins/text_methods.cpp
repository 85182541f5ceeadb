// The methods of Python's str.
#include <algorithm>
#include <iterator>
#include <string>

#include "chat_template/builtins/format.hpp"
#include "chat_template/builtins/methods.hpp"
#include "chat_template/builtins/number_format.hpp"
#include "chat_template/builtins/parameters.hpp"
#include "chat_template/values/operators.hpp"
#include "chat_template/values/python_text.hpp"
#include "text/utf8.hpp"

namespace coho::trainer::jinja {

// A name for this file, so that several files can be compiled as one.
namespace text_methods {
namespace {

value texts(sandbox& box, const std::vector<std::string_view>& parts) {
  box.require_items(parts.size());
  std::vector<value> out;
  out.reserve(parts.size());
  for (const auto part : parts) out.push_back(box.text(std::string(part)));
  return box.list(std::move(out));
}

template <side Which>
value strip(sandbox& box, const value& self, const arguments& given) {
  const parameters p("strip", given, {"chars"}, 0);
  std::optional<std::string_view> characters;
  if (!p.get(0).is_none()) characters = p.text(0);
  return box.text(std::string(stripped(self.text(), Which, characters)));
}

template <std::string (*Change)(std::string_view)>
value changed(sandbox& box, const value& self, const arguments& given) {
  const parameters none("this method", given, {}, 0);
  return box.text(Change(self.text()));
}

template <bool FromRight>
value split(sandbox& box, const value& self, const arguments& given) {
  const parameters p("split", given, {"sep", "maxsplit"}, 0);
  const auto most = static_cast<std::ptrdiff_t>(p.integer(1, -1));
  if (p.get(0).is_none()) return texts(box, split_at_space(self.text(), most, FromRight));
  if (p.text(0).empty()) throw failure("empty separator");
  return texts(box, split_at(self.text(), p.text(0), most, FromRight));
}

value splitlines(sandbox& box, const value& self, const arguments& given) {
  const parameters p("splitlines", given, {"keepends"}, 0);
  return texts(box, split_lines(self.text(), p.flag(0, false)));
}

template <bool FromRight>
value partition(sandbox& box, const value& self, const arguments& given) {
  const parameters p("partition", given, {"sep"}, 1);
  const std::string_view text = self.text(), separator = p.text(0);
  if (separator.empty()) throw failure("empty separator");
  const auto at = FromRight ? find_last_part(text, separator) : find_part(text, separator);
  const bool found = at != text.npos;
  const auto before = found ? text.substr(0, at) : FromRight ? std::string_view() : text;
  const auto after = found ? text.substr(at + separator.size()) : FromRight ? text : std::string_view();
  return box.tuple(
      {box.text(std::string(before)), box.text(std::string(found ? separator : "")), box.text(std::string(after))});
}

// The part of a text that `start` and `end` of a search name, and the characters before it; none if it is beyond.
struct window {
  std::string_view text;
  std::int64_t before = 0;
  bool valid = true;
};

window window_of(const std::string& text, const parameters& p, std::size_t start, std::size_t end) {
  const auto length = static_cast<std::int64_t>(count_utf8_characters(text));
  const auto bound = [&](std::size_t i, std::int64_t otherwise) {
    if (p.get(i).is_none()) return otherwise;
    const auto at = p.integer(i);
    return at < 0 ? std::max<std::int64_t>(0, at + length) : at;
  };
  const auto from = bound(start, 0), to = std::min(bound(end, length), length);
  if (from > length || from > to) return {{}, 0, false};
  const auto rest = std::string_view(text).substr(byte_of_character(text, static_cast<std::size_t>(from)));
  return {rest.substr(0, byte_of_character(rest, static_cast<std::size_t>(to - from))), from, true};
}

template <bool FromRight, bool Required>
value find(sandbox&, const value& self, const arguments& given) {
  const parameters p("find", given, {"sub", "start", "end"}, 1);
  const auto within = window_of(self.text(), p, 1, 2);
  auto at = std::string_view::npos;
  if (within.valid) at = FromRight ? find_last_part(within.text, p.text(0)) : find_part(within.text, p.text(0));
  if (at == std::string_view::npos) {
    if (Required) throw failure("substring not found");
    return value::integer(-1);
  }
  return value::integer(within.before + static_cast<std::int64_t>(count_utf8_characters(within.text.substr(0, at))));
}

value count(sandbox&, const value& self, const arguments& given) {
  const parameters p("count", given, {"sub", "start", "end"}, 1);
  const auto within = window_of(self.text(), p, 1, 2);
  return value::integer(within.valid ? static_cast<std::int64_t>(count_part(within.text, p.text(0))) : 0);
}

template <bool AtEnd>
value begins(sandbox& box, const value& self, const arguments& given) {
  const parameters p("startswith", given, {"prefix", "start", "end"}, 1);
  const auto within = window_of(self.text(), p, 1, 2);
  const auto one = [&](const value& part) {
    if (part.is_undefined()) refuse_undefined(part);
    if (!part.is(kind::text))
      throw failure("startswith and endswith: the first argument must be str or a tuple of str, not " +
                    std::string(type_name(part)));
    return within.valid && (AtEnd ? within.text.ends_with(part.text()) : within.text.starts_with(part.text()));
  };
  if (!p[0].is(kind::tuple)) return value::boolean(one(p[0]));
  box.step(p[0].items().size());
  return value::boolean(std::ranges::any_of(p[0].items(), one));
}

template <bool AtEnd>
value remove(sandbox& box, const value& self, const arguments& given) {
  const parameters p("removeprefix", given, {"prefix"}, 1);
  std::string_view text = self.text();
  if (AtEnd ? text.ends_with(p.text(0)) : text.starts_with(p.text(0)))
    AtEnd ? text.remove_suffix(p.text(0).size()) : text.remove_prefix(p.text(0).size());
  return box.text(std::string(text));
}

value replace(sandbox& box, const value& self, const arguments& given) {
  const parameters p("replace", given, {"old", "new", "count"}, 2);
  const auto most = p.integer(2, -1);
  const auto &old = p.text(0), &by = p.text(1);
  auto times = static_cast<std::size_t>(count_part(self.text(), old));
  if (most >= 0) times = std::min(times, static_cast<std::size_t>(most));
  if (by.size() > old.size()) {
    const auto more = by.size() - old.size();
    if (times > box.limits().string_bytes / more) box.require_string(box.limits().string_bytes + 1);
    box.require_string(self.text().size() + times * more);
  }
  return box.text(replaced(self.text(), old, by, static_cast<std::ptrdiff_t>(most)));
}

value join(sandbox& box, const value& self, const arguments& given) {
  const parameters p("join", given, {"iterable"}, 1);
  std::string out;
  std::size_t number = 0;
  const auto next = iterate(box, p[0]);
  for (auto item = next(); item; item = next(), ++number) {
    if (!item->is(kind::text))
      throw failure("sequence item " + std::to_string(number) + ": expected str instance, " +
                    std::string(type_name(*item)) + " found");
    box.work(self.text().size() + item->text().size());
    box.require_string(out.size() + self.text().size() + item->text().size());
    if (number > 0) out += self.text();
    out += item->text();
  }
  return box.text(std::move(out));
}

value format(sandbox& box, const value& self, const arguments& given) {
  return box.text(brace_format(box, self.text(), given));
}

template <char Align>
value aligned(sandbox& box, const value& self, const arguments& given) {
  const parameters p("center", given, {"width", "fillchar"}, 1);
  format_specification form;
  form.align = Align;
  form.fill = p.text(1, " ");
  if (count_utf8_characters(form.fill) != 1) throw failure("The fill character must be exactly one character long");
  const auto width = p.integer(0);
  form.width = width > 0 ? static_cast<std::size_t>(width) : 0;
  if (form.width > box.limits().string_bytes) box.require_string(form.width);
  if (Align == '^' && form.width > count_utf8_characters(self.text())) {
    // str.center puts the odd space to the left where the width is odd.
    const auto missing = form.width - count_utf8_characters(self.text());
    const auto left = missing / 2 + (missing & form.width & 1);
    box.require_string(self.text().size() + missing * form.fill.size());
    std::string out;
    for (std::size_t i = 0; i < left; ++i) out += form.fill;
    out += self.text();
    for (std::size_t i = left; i < missing; ++i) out += form.fill;
    return box.text(std::move(out));
  }
  return box.text(padded(box, self.text(), form, false));
}

value zfill(sandbox& box, const value& self, const arguments& given) {
  const parameters p("zfill", given, {"width"}, 1);
  const auto width = static_cast<std::size_t>(std::max<std::int64_t>(p.integer(0), 0));
  const auto length = count_utf8_characters(self.text());
  if (length >= width) return self;
  box.require_string(self.text().size() + width - length);
  auto out = self.text();
  out.insert(out.starts_with('+') || out.starts_with('-') ? 1 : 0, width - length, '0');
  return box.text(std::move(out));
}

template <bool (*Is)(std::string_view)>
value tested(sandbox&, const value& self, const arguments& given) {
  const parameters none("this method", given, {}, 0);
  return value::boolean(Is(self.text()));
}

bool is_alpha(std::string_view text) { return all_are(text, "alpha"); }
bool is_digit(std::string_view text) { return all_are(text, "digit"); }
bool is_decimal(std::string_view text) { return all_are(text, "decimal"); }
bool is_alnum(std::string_view text) { return all_are(text, "alnum"); }
bool is_white(std::string_view text) { return all_are(text, "space"); }
bool is_shown(std::string_view text) { return all_are(text, "printable"); }
bool is_ascii(std::string_view text) { return all_are(text, "ascii"); }

constexpr named_method methods[] = {
    {"strip", strip<side::both>},
    {"lstrip", strip<side::left>},
    {"rstrip", strip<side::right>},
    {"upper", changed<upper>},
    {"lower", changed<lower>},
    {"title", changed<title>},
    {"capitalize", changed<capitalized>},
    {"swapcase", changed<swapped_case>},
    {"split", split<false>},
    {"rsplit", split<true>},
    {"splitlines", splitlines},
    {"partition", partition<false>},
    {"rpartition", partition<true>},
    {"find", find<false, false>},
    {"rfind", find<true, false>},
    {"index", find<false, true>},
    {"rindex", find<true, true>},
    {"count", count},
    {"startswith", begins<false>},
    {"endswith", begins<true>},
    {"removeprefix", remove<false>},
    {"removesuffix", remove<true>},
    {"replace", replace},
    {"join", join},
    {"format", format},
    {"center", aligned<'^'>},
    {"ljust", aligned<'<'>},
    {"rjust", aligned<'>'>},
    {"zfill", zfill},
    {"isupper", tested<is_upper>},
    {"islower", tested<is_lower>},
    {"istitle", tested<is_title>},
    {"isalpha", tested<is_alpha>},
    {"isdigit", tested<is_digit>},
    {"isdecimal", tested<is_decimal>},
    {"isalnum", tested<is_alnum>},
    {"isspace", tested<is_white>},
    {"isprintable", tested<is_shown>},
    {"isascii", tested<is_ascii>},
};

}  // namespace
}  // namespace text_methods

method find_text_method(std::string_view name) {
  const auto* const found = std::ranges::find(text_methods::methods, name, &named_method::name);
  return found != std::end(text_methods::methods) ? found->call : nullptr;
}

}  // namespace coho::trainer::jinja
