#include <algorithm>
#include <string>

#include "chat_template/builtins/filters.hpp"
#include "chat_template/builtins/format.hpp"
#include "chat_template/builtins/methods.hpp"
#include "chat_template/builtins/parameters.hpp"
#include "chat_template/values/iteration.hpp"
#include "chat_template/values/markup.hpp"
#include "chat_template/values/python_text.hpp"
#include "chat_template/values/value_text.hpp"
#include "text/utf8.hpp"
#include "unicode/unicode_text.hpp"

namespace coho::trainer::jinja {

// A name for this file, so that several files can be compiled as one.
namespace text_filtering {
namespace {

// A text itself, Markup included; of other values their text.
value to_text(sandbox& box, const value& input) {
  return input.is_kind(kind::text) ? input : box.make_text(text_of(box, input));
}

// A filter that is a method of str, of the input's text.
value apply_text_method(sandbox& box, std::string_view name, const value& input, const arguments& given) {
  const auto text = to_text(box, input);
  box.count_bytes(text.text().size());
  const auto out = find_method(kind::text, name)(box, text, given);
  return text.is_markup() ? to_markup(box, out) : out;
}

// trim(chars=None): str.strip.
value trim_filter(sandbox& box, const value& input, const arguments& given) {
  const parameters p("trim", given, {"chars"}, 0);
  return apply_text_method(box, "strip", input, p.is_given(0) ? arguments{{p[0]}, {}} : arguments{});
}

value upper_filter(sandbox& box, const value& input, const arguments& given) {
  return apply_text_method(box, "upper", input, given);
}

value lower_filter(sandbox& box, const value& input, const arguments& given) {
  return apply_text_method(box, "lower", input, given);
}

value capitalize_filter(sandbox& box, const value& input, const arguments& given) {
  return apply_text_method(box, "capitalize", input, given);
}

// Not str.title: words begin after hyphens, spaces and opening brackets only.
value title_filter(sandbox& box, const value& input, const arguments& given) {
  const parameters none("title", given, {}, 0);
  const auto text = to_text(box, input);
  const auto separates = [](char32_t c) {
    return is_space(c) || std::u32string_view(U"-({[<").find(c) != std::u32string_view::npos;
  };
  std::string out, word;
  const auto flush = [&] {
    const auto first = word.empty() ? 0 : utf8_length(word);
    out += upper_case(std::string_view(word).substr(0, first)) + lower_case(std::string_view(word).substr(first));
    word.clear();
  };
  box.count_bytes(8 * text.text().size());
  for (const char32_t c : code_points(text.text())) {
    if (separates(c)) flush();
    append_utf8(separates(c) ? out : word, c);
  }
  flush();
  return box.make_text(std::move(out));
}

// replace(old, new, count=None): Markup is replaced in as a plain text.
value replace_filter(sandbox& box, const value& input, const arguments& given) {
  const parameters p("replace", given, {"old", "new", "count"}, 2);
  arguments texts{{to_text(box, p[0]), to_text(box, p[1])}, {}};
  if (!p.value_or_none(2).is_none()) texts.positional.push_back(p[2]);
  return apply_text_method(box, "replace", box.make_text(text_of(box, input)), texts);
}

// string: Markup stays Markup.
value string_filter(sandbox& box, const value& input, const arguments& given) {
  const parameters none("string", given, {}, 0);
  return to_text(box, input);
}

// safe: Markup with the text as it is.
value safe_filter(sandbox& box, const value& input, const arguments& given) {
  const parameters none("safe", given, {}, 0);
  return box.make_text(text_of(box, input), true);
}

// forceescape: Markup is escaped once more.
value forceescape_filter(sandbox& box, const value& input, const arguments& given) {
  const parameters none("forceescape", given, {}, 0);
  auto out = escape_html(text_of(box, input));
  box.count_bytes(out.size());
  return box.make_text(std::move(out), true);
}

// escape: Markup is not escaped again.
value escape_filter(sandbox& box, const value& input, const arguments& given) {
  const parameters none("escape", given, {}, 0);
  return input.is_markup() ? input : forceescape_filter(box, input, given);
}

// indent(width=4, first=false, blank=false): `width` may be a text. Throws `failure` for what is not a text.
value indent_filter(sandbox& box, const value& input, const arguments& given) {
  const parameters p("indent", given, {"width", "first", "blank"}, 0);
  if (input.is_undefined()) refuse_undefined(input);
  if (!input.is_kind(kind::text)) throw failure("can only indent a str, not " + std::string(type_name(input)));
  std::string indentation;
  if (p.is_given(0) && p[0].is_kind(kind::text)) {
    indentation = p.text(0);
  } else if (const auto width = p.integer(0, 4); width > 0) {
    box.require_string_fits(static_cast<std::size_t>(width));
    indentation.assign(static_cast<std::size_t>(width), ' ');
  }
  const bool blank = p.flag(2, false);
  const auto text = input.text() + '\n';
  const auto lines = split_lines(text, false);
  const auto size = text.size() + (lines.size() + 1) * (indentation.size() + 1);
  box.count_bytes(size);
  box.require_string_fits(size);
  std::string out = p.flag(1, false) ? indentation : std::string();
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (i > 0) out += '\n';
    if (i > 0 && (blank || !lines[i].empty())) out += indentation;
    out += lines[i];
  }
  return box.make_text(std::move(out), input.is_markup());
}

// center(width=80).
value center_filter(sandbox& box, const value& input, const arguments& given) {
  const parameters p("center", given, {"width"}, 0);
  return apply_text_method(box, "center", input, {{p.is_given(0) ? p[0] : value::integer(80)}, {}});
}

// wordcount: runs of letters, digits and underscores.
value wordcount_filter(sandbox& box, const value& input, const arguments& given) {
  const parameters none("wordcount", given, {}, 0);
  const auto text = to_text(box, input);
  box.count_bytes(4 * text.text().size());
  std::int64_t words = 0;
  bool within = false;
  for (const char32_t c : code_points(text.text())) {
    const bool word = is_word_character(c);
    words += word && !within ? 1 : 0;
    within = word;
  }
  return value::integer(words);
}

// format(…): `input % arguments`. Throws `failure` for positional and named arguments together.
value format_filter(sandbox& box, const value& input, const arguments& given) {
  if (!given.positional.empty() && !given.named.empty())
    throw failure("can't handle positional and keyword arguments at the same time");
  const auto text = to_text(box, input);
  if (text.is_markup()) throw failure("formatting a safe or escaped text is not supported");
  if (given.named.empty()) return box.make_text(percent_format(box, text.text(), box.make_tuple(given.positional)));
  dictionary named;
  for (const auto& [name, item] : given.named) named.set(box.make_text(name), item);
  return box.make_text(percent_format(box, text.text(), box.make_dict(std::move(named))));
}

// tojson(ensure_ascii=false, indent=None, separators=None, sort_keys=false): that of transformers, not of Jinja, which
// escapes HTML and sorts keys. Without `separators` they are ", " and ": "; with `indent` the first is ",".
value tojson_filter(sandbox& box, const value& input, const arguments& given) {
  const parameters p("tojson", given, {"ensure_ascii", "indent", "separators", "sort_keys"}, 0);
  json_form form;
  form.ensure_ascii = p.flag(0, false);
  form.sort_keys = p.flag(3, false);
  if (const auto width = p.value_or_none(1); !width.is_none()) {
    if (!width.is_kind(kind::text) && p.integer(1) > 0) box.require_string_fits(static_cast<std::size_t>(p.integer(1)));
    form.indent = width.is_kind(kind::text)
                      ? width.text()
                      : std::string(static_cast<std::size_t>(std::max<std::int64_t>(0, p.integer(1))), ' ');
    form.item_separator = ",";
  }
  if (!p.value_or_none(2).is_none()) {
    const auto pair = items_of(box, p[2]);
    if (pair.size() != 2 || !pair[0].is_kind(kind::text) || !pair[1].is_kind(kind::text))
      p.refuse_type(2, "two strings");
    form.item_separator = pair[0].text();
    form.key_separator = pair[1].text();
  }
  return box.make_text(json_text_of(box, input, form));
}

constexpr named_filter filters[] = {
    {"trim", trim_filter},           {"upper", upper_filter},
    {"lower", lower_filter},         {"capitalize", capitalize_filter},
    {"title", title_filter},         {"replace", replace_filter},
    {"string", string_filter},       {"safe", safe_filter},
    {"escape", escape_filter},       {"e", escape_filter},
    {"indent", indent_filter},       {"center", center_filter},
    {"format", format_filter},       {"tojson", tojson_filter},
    {"wordcount", wordcount_filter}, {"forceescape", forceescape_filter},
};

}  // namespace
}  // namespace text_filtering

std::span<const named_filter> text_filters() { return text_filtering::filters; }

}  // namespace coho::trainer::jinja
