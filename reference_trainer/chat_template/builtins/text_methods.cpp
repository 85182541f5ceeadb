// The methods of Python's str.
#include <algorithm>
#include <iterator>
#include <string>

#include "chat_template/builtins/format.hpp"
#include "chat_template/builtins/format_specification.hpp"
#include "chat_template/builtins/methods.hpp"
#include "chat_template/builtins/parameters.hpp"
#include "chat_template/values/iteration.hpp"
#include "chat_template/values/python_text.hpp"
#include "text/utf8.hpp"

namespace coho::trainer::jinja {

// A name for this file, so that several files can be compiled as one.
namespace text_method_table {
namespace {

// Throws `failure` at the bounds of the sandbox.
value make_text_list(sandbox& box, const std::vector<std::string_view>& parts) {
  box.require_items_fit(parts.size());
  std::vector<value> out;
  out.reserve(parts.size());
  for (const auto part : parts) out.push_back(box.make_text(std::string(part)));
  return box.make_list(std::move(out));
}

// strip(chars=None), lstrip and rstrip.
template <side Which>
value strip_method(sandbox& box, const value& self, const arguments& given) {
  const positional_parameters p("strip", given, {"chars"}, 0);
  std::optional<std::string_view> characters;
  if (!p.value_or_none(0).is_none()) characters = p.text(0);
  return box.make_text(std::string(strip_characters(self.text(), Which, characters)));
}

// upper, lower, title, capitalize and swapcase.
template <std::string (*Change)(std::string_view)>
value convert_method(sandbox& box, const value& self, const arguments& given) {
  const parameters none("this method", given, {}, 0);
  return box.make_text(Change(self.text()));
}

// split(sep=None, maxsplit=-1) and rsplit. Throws `failure` for an empty separator.
template <bool FromRight>
value split_method(sandbox& box, const value& self, const arguments& given) {
  const parameters p("split", given, {"sep", "maxsplit"}, 0);
  const auto most = static_cast<std::ptrdiff_t>(p.integer(1, -1));
  if (p.value_or_none(0).is_none()) return make_text_list(box, split_at_white_space(self.text(), most, FromRight));
  if (p.text(0).empty()) throw failure("empty separator");
  return make_text_list(box, split_at_separator(self.text(), p.text(0), most, FromRight));
}

// splitlines(keepends=false).
value splitlines_method(sandbox& box, const value& self, const arguments& given) {
  const parameters p("splitlines", given, {"keepends"}, 0);
  return make_text_list(box, split_lines(self.text(), p.whole_flag(0, false)));
}

// partition(sep) and rpartition: three texts.
template <bool FromRight>
value partition_method(sandbox& box, const value& self, const arguments& given) {
  const positional_parameters p("partition", given, {"sep"}, 1);
  const std::string_view text = self.text(), separator = p.text(0);
  if (separator.empty()) throw failure("empty separator");
  const auto at = FromRight ? find_last_substring(text, separator) : find_substring(text, separator);
  const bool found = at != text.npos;
  const auto before = found ? text.substr(0, at) : FromRight ? std::string_view() : text;
  const auto after = found ? text.substr(at + separator.size()) : FromRight ? text : std::string_view();
  return box.make_tuple({box.make_text(std::string(before)), box.make_text(std::string(found ? separator : "")),
                         box.make_text(std::string(after))});
}

// The part of a text that `start` and `end` of a search name, and the characters before it; none if it is beyond.
struct window {
  std::string_view text;
  std::int64_t before = 0;
  bool valid = true;
};

// `start`, `end`: the numbers of the parameters, which may be negative or None.
window search_window(const std::string& text, const parameters& p, std::size_t start, std::size_t end) {
  const auto length = static_cast<std::int64_t>(count_utf8_characters(text));
  const auto bound = [&](std::size_t i, std::int64_t otherwise) {
    if (p.value_or_none(i).is_none()) return otherwise;
    const auto at = p.integer(i);
    return at < 0 ? std::max<std::int64_t>(0, at + length) : at;
  };
  const auto from = bound(start, 0), to = std::min(bound(end, length), length);
  if (from > length || from > to) return {{}, 0, false};
  const auto rest = std::string_view(text).substr(byte_offset_of_character(text, static_cast<std::size_t>(from)));
  return {rest.substr(0, byte_offset_of_character(rest, static_cast<std::size_t>(to - from))), from, true};
}

// find, rfind, index and rindex, in characters: −1 if there is none, or `failure` if it is required.
template <bool FromRight, bool Required>
value find_substring_method(sandbox&, const value& self, const arguments& given) {
  const positional_parameters p("find", given, {"sub", "start", "end"}, 1);
  const auto within = search_window(self.text(), p, 1, 2);
  auto at = std::string_view::npos;
  if (within.valid)
    at = FromRight ? find_last_substring(within.text, p.text(0)) : find_substring(within.text, p.text(0));
  if (at == std::string_view::npos) {
    if (Required) throw failure("substring not found");
    return value::integer(-1);
  }
  return value::integer(within.before + static_cast<std::int64_t>(count_utf8_characters(within.text.substr(0, at))));
}

// count(sub, start, end): without overlap.
value count_method(sandbox&, const value& self, const arguments& given) {
  const positional_parameters p("count", given, {"sub", "start", "end"}, 1);
  const auto within = search_window(self.text(), p, 1, 2);
  return value::integer(within.valid ? static_cast<std::int64_t>(count_substring(within.text, p.text(0))) : 0);
}

// startswith(prefix, start, end) and endswith: `prefix` may be a tuple of texts.
template <bool AtEnd>
value affix_method(sandbox& box, const value& self, const arguments& given) {
  const positional_parameters p("startswith", given, {"prefix", "start", "end"}, 1);
  const auto within = search_window(self.text(), p, 1, 2);
  const auto one = [&](const value& part) {
    if (part.is_undefined()) refuse_undefined(part);
    if (!part.is_kind(kind::text))
      throw failure("startswith and endswith: the first argument must be str or a tuple of str, not " +
                    std::string(type_name(part)));
    return within.valid && (AtEnd ? within.text.ends_with(part.text()) : within.text.starts_with(part.text()));
  };
  if (!p[0].is_kind(kind::tuple)) return value::boolean(one(p[0]));
  box.count_steps(p[0].items().size());
  return value::boolean(std::ranges::any_of(p[0].items(), one));
}

// removeprefix(prefix) and removesuffix.
template <bool AtEnd>
value remove_affix_method(sandbox& box, const value& self, const arguments& given) {
  const positional_parameters p("removeprefix", given, {"prefix"}, 1);
  std::string_view text = self.text();
  if (AtEnd ? text.ends_with(p.text(0)) : text.starts_with(p.text(0)))
    AtEnd ? text.remove_suffix(p.text(0).size()) : text.remove_prefix(p.text(0).size());
  return box.make_text(std::string(text));
}

// replace(old, new, count=-1). Throws `failure` at `string_bytes`, before the text is made.
value replace_method(sandbox& box, const value& self, const arguments& given) {
  const parameters p("replace", given, {"old", "new", "count"}, 2);
  const auto most = p.integer(2, -1);
  const auto &old = p.text(0), &by = p.text(1);
  auto times = static_cast<std::size_t>(count_substring(self.text(), old));
  if (most >= 0) times = std::min(times, static_cast<std::size_t>(most));
  if (by.size() > old.size()) {
    const auto more = by.size() - old.size();
    if (times > box.limits().string_bytes / more) box.require_string_fits(box.limits().string_bytes + 1);
    box.require_string_fits(self.text().size() + times * more);
  }
  return box.make_text(replace_substring(self.text(), old, by, static_cast<std::ptrdiff_t>(most)));
}

// join(iterable). Throws `failure` for items that are not texts.
value join_method(sandbox& box, const value& self, const arguments& given) {
  const positional_parameters p("join", given, {"iterable"}, 1);
  std::string out;
  std::size_t number = 0;
  const auto next = iterate_items(box, p[0]);
  for (auto item = next(); item; item = next(), ++number) {
    if (!item->is_kind(kind::text))
      throw failure("sequence item " + std::to_string(number) + ": expected str instance, " +
                    std::string(type_name(*item)) + " found");
    box.count_bytes(self.text().size() + item->text().size());
    box.require_string_fits(out.size() + self.text().size() + item->text().size());
    if (number > 0) out += self.text();
    out += item->text();
  }
  return box.make_text(std::move(out));
}

// format(…): see `brace_format`.
value format_method(sandbox& box, const value& self, const arguments& given) {
  return box.make_text(brace_format(box, self.text(), given));
}

// center, ljust and rjust(width, fillchar=' ').
template <char Align>
value align_method(sandbox& box, const value& self, const arguments& given) {
  const positional_parameters p("center", given, {"width", "fillchar"}, 1);
  format_specification form;
  form.align = Align;
  form.fill = p.text(1, " ");
  if (count_utf8_characters(form.fill) != 1) throw failure("The fill character must be exactly one character long");
  const auto width = p.integer(0);
  form.width = width > 0 ? static_cast<std::size_t>(width) : 0;
  if (form.width > box.limits().string_bytes) box.require_string_fits(form.width);
  if (Align == '^' && form.width > count_utf8_characters(self.text())) {
    // str.center puts the odd space to the left where the width is odd.
    const auto missing = form.width - count_utf8_characters(self.text());
    const auto left = missing / 2 + (missing & form.width & 1);
    box.require_string_fits(self.text().size() + missing * form.fill.size());
    std::string out;
    for (std::size_t i = 0; i < left; ++i) out += form.fill;
    out += self.text();
    for (std::size_t i = left; i < missing; ++i) out += form.fill;
    return box.make_text(std::move(out));
  }
  return box.make_text(pad_to_width(box, self.text(), form, false));
}

// zfill(width): zeros go after a sign.
value zfill_method(sandbox& box, const value& self, const arguments& given) {
  const positional_parameters p("zfill", given, {"width"}, 1);
  const auto width = static_cast<std::size_t>(std::max<std::int64_t>(p.integer(0), 0));
  const auto length = count_utf8_characters(self.text());
  if (length >= width) return self;
  box.require_string_fits(self.text().size() + width - length);
  auto out = self.text();
  out.insert(out.starts_with('+') || out.starts_with('-') ? 1 : 0, width - length, '0');
  return box.make_text(std::move(out));
}

// isalpha() and the like.
template <bool (*Is)(std::string_view)>
value property_method(sandbox&, const value& self, const arguments& given) {
  const parameters none("this method", given, {}, 0);
  return value::boolean(Is(self.text()));
}

bool is_alphabetic_text(std::string_view text) { return all_characters_are(text, "alpha"); }
bool is_digit_text(std::string_view text) { return all_characters_are(text, "digit"); }
bool is_decimal_text(std::string_view text) { return all_characters_are(text, "decimal"); }
bool is_alphanumeric_text(std::string_view text) { return all_characters_are(text, "alnum"); }
bool is_white_space_text(std::string_view text) { return all_characters_are(text, "space"); }
bool is_printable_text(std::string_view text) { return all_characters_are(text, "printable"); }
bool is_ascii_text(std::string_view text) { return all_characters_are(text, "ascii"); }

constexpr named_method methods[] = {
    {"strip", strip_method<side::both>},
    {"lstrip", strip_method<side::left>},
    {"rstrip", strip_method<side::right>},
    {"upper", convert_method<upper_case>},
    {"lower", convert_method<lower_case>},
    {"title", convert_method<title_case>},
    {"capitalize", convert_method<capitalize_text>},
    {"swapcase", convert_method<swap_case>},
    {"split", split_method<false>},
    {"rsplit", split_method<true>},
    {"splitlines", splitlines_method},
    {"partition", partition_method<false>},
    {"rpartition", partition_method<true>},
    {"find", find_substring_method<false, false>},
    {"rfind", find_substring_method<true, false>},
    {"index", find_substring_method<false, true>},
    {"rindex", find_substring_method<true, true>},
    {"count", count_method},
    {"startswith", affix_method<false>},
    {"endswith", affix_method<true>},
    {"removeprefix", remove_affix_method<false>},
    {"removesuffix", remove_affix_method<true>},
    {"replace", replace_method},
    {"join", join_method},
    {"format", format_method},
    {"center", align_method<'^'>},
    {"ljust", align_method<'<'>},
    {"rjust", align_method<'>'>},
    {"zfill", zfill_method},
    {"isupper", property_method<is_upper_case>},
    {"islower", property_method<is_lower_case>},
    {"istitle", property_method<is_title_case>},
    {"isalpha", property_method<is_alphabetic_text>},
    {"isdigit", property_method<is_digit_text>},
    {"isdecimal", property_method<is_decimal_text>},
    {"isalnum", property_method<is_alphanumeric_text>},
    {"isspace", property_method<is_white_space_text>},
    {"isprintable", property_method<is_printable_text>},
    {"isascii", property_method<is_ascii_text>},
};

}  // namespace
}  // namespace text_method_table

std::span<const named_method> text_methods() { return text_method_table::methods; }

}  // namespace coho::trainer::jinja
