#include <algorithm>
#include <string>

#include "chat_template/builtins/filters.hpp"
#include "chat_template/builtins/format.hpp"
#include "chat_template/builtins/markup.hpp"
#include "chat_template/builtins/methods.hpp"
#include "chat_template/builtins/parameters.hpp"
#include "chat_template/values/operators.hpp"
#include "chat_template/values/python_text.hpp"
#include "chat_template/values/value_text.hpp"
#include "text/utf8.hpp"
#include "unicode/unicode_text.hpp"

namespace coho::trainer::jinja {

// A name for this file, so that several files can be compiled as one.
namespace text_filtering {
namespace {

value as_text(sandbox& box, const value& input) { return input.is(kind::text) ? input : box.text(text_of(box, input)); }

// A filter that is a method of str, of the input's text.
value by_method(sandbox& box, std::string_view name, const value& input, const arguments& given) {
  const auto text = as_text(box, input);
  box.work(text.text().size());
  const auto out = find_text_method(name)(box, text, given);
  return text.is_markup() ? marked_up(box, out) : out;
}

value trim(sandbox& box, const value& input, const arguments& given) {
  const parameters p("trim", given, {"chars"}, 0);
  return by_method(box, "strip", input, p.has(0) ? arguments{{p[0]}, {}} : arguments{});
}

value upper(sandbox& box, const value& input, const arguments& given) { return by_method(box, "upper", input, given); }

value lower(sandbox& box, const value& input, const arguments& given) { return by_method(box, "lower", input, given); }

value capitalize(sandbox& box, const value& input, const arguments& given) {
  return by_method(box, "capitalize", input, given);
}

// Not str.title: words begin after hyphens, spaces and opening brackets only.
value title(sandbox& box, const value& input, const arguments& given) {
  const parameters none("title", given, {}, 0);
  const auto text = as_text(box, input);
  const auto separates = [](char32_t c) {
    return is_space(c) || std::u32string_view(U"-({[<").find(c) != std::u32string_view::npos;
  };
  std::string out, word;
  const auto flush = [&] {
    const auto first = word.empty() ? 0 : utf8_length(word);
    out += jinja::upper(std::string_view(word).substr(0, first)) + jinja::lower(std::string_view(word).substr(first));
    word.clear();
  };
  box.work(8 * text.text().size());
  for (const char32_t c : code_points(text.text())) {
    if (separates(c)) flush();
    append_utf8(separates(c) ? out : word, c);
  }
  flush();
  return box.text(std::move(out));
}

value replace(sandbox& box, const value& input, const arguments& given) {
  const parameters p("replace", given, {"old", "new", "count"}, 2);
  arguments texts{{as_text(box, p[0]), as_text(box, p[1])}, {}};
  if (!p.get(2).is_none()) texts.positional.push_back(p[2]);
  return by_method(box, "replace", box.text(text_of(box, input)), texts);
}

value string(sandbox& box, const value& input, const arguments& given) {
  const parameters none("string", given, {}, 0);
  return as_text(box, input);
}

value safe(sandbox& box, const value& input, const arguments& given) {
  const parameters none("safe", given, {}, 0);
  return box.text(text_of(box, input), true);
}

value force_escape(sandbox& box, const value& input, const arguments& given) {
  const parameters none("forceescape", given, {}, 0);
  auto out = html_escaped(text_of(box, input));
  box.work(out.size());
  return box.text(std::move(out), true);
}

value escape(sandbox& box, const value& input, const arguments& given) {
  return input.is_markup() ? input : force_escape(box, input, given);
}

value indent(sandbox& box, const value& input, const arguments& given) {
  const parameters p("indent", given, {"width", "first", "blank"}, 0);
  if (input.is_undefined()) refuse_undefined(input);
  if (!input.is(kind::text)) throw failure("can only indent a str, not " + std::string(type_name(input)));
  std::string indentation;
  if (p.has(0) && p[0].is(kind::text)) {
    indentation = p.text(0);
  } else if (const auto width = p.integer(0, 4); width > 0) {
    box.require_string(static_cast<std::size_t>(width));
    indentation.assign(static_cast<std::size_t>(width), ' ');
  }
  const bool blank = p.flag(2, false);
  const auto text = input.text() + '\n';
  const auto lines = split_lines(text, false);
  const auto size = text.size() + (lines.size() + 1) * (indentation.size() + 1);
  box.work(size);
  box.require_string(size);
  std::string out = p.flag(1, false) ? indentation : std::string();
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (i > 0) out += '\n';
    if (i > 0 && (blank || !lines[i].empty())) out += indentation;
    out += lines[i];
  }
  return box.text(std::move(out), input.is_markup());
}

value center(sandbox& box, const value& input, const arguments& given) {
  const parameters p("center", given, {"width"}, 0);
  return by_method(box, "center", input, {{p.has(0) ? p[0] : value::integer(80)}, {}});
}

value wordcount(sandbox& box, const value& input, const arguments& given) {
  const parameters none("wordcount", given, {}, 0);
  const auto text = as_text(box, input);
  box.work(4 * text.text().size());
  std::int64_t words = 0;
  bool within = false;
  for (const char32_t c : code_points(text.text())) {
    const bool word = is_word_character(c);
    words += word && !within ? 1 : 0;
    within = word;
  }
  return value::integer(words);
}

value format(sandbox& box, const value& input, const arguments& given) {
  if (!given.positional.empty() && !given.named.empty())
    throw failure("can't handle positional and keyword arguments at the same time");
  const auto text = as_text(box, input);
  if (text.is_markup()) throw failure("formatting a safe or escaped text is not supported");
  if (given.named.empty()) return box.text(percent_format(box, text.text(), box.tuple(given.positional)));
  dictionary named;
  for (const auto& [name, item] : given.named) named.set(box.text(name), item);
  return box.text(percent_format(box, text.text(), box.dict(std::move(named))));
}

value tojson(sandbox& box, const value& input, const arguments& given) {
  const parameters p("tojson", given, {"ensure_ascii", "indent", "separators", "sort_keys"}, 0);
  json_form form;
  form.ensure_ascii = p.flag(0, false);
  form.sort_keys = p.flag(3, false);
  if (const auto width = p.get(1); !width.is_none()) {
    if (!width.is(kind::text) && p.integer(1) > 0) box.require_string(static_cast<std::size_t>(p.integer(1)));
    form.indent = width.is(kind::text)
                      ? width.text()
                      : std::string(static_cast<std::size_t>(std::max<std::int64_t>(0, p.integer(1))), ' ');
    form.item_separator = ",";
  }
  if (!p.get(2).is_none()) {
    const auto pair = items_of(box, p[2]);
    if (pair.size() != 2 || !pair[0].is(kind::text) || !pair[1].is(kind::text)) p.refuse(2, "two strings");
    form.item_separator = pair[0].text();
    form.key_separator = pair[1].text();
  }
  return box.text(json_of(box, input, form));
}

constexpr named_filter filters[] = {
    {"trim", trim},     {"upper", upper},     {"lower", lower},         {"capitalize", capitalize},
    {"title", title},   {"replace", replace}, {"string", string},       {"safe", safe},
    {"escape", escape}, {"e", escape},        {"indent", indent},       {"center", center},
    {"format", format}, {"tojson", tojson},   {"wordcount", wordcount}, {"forceescape", force_escape},
};

}  // namespace
}  // namespace text_filtering

std::span<const named_filter> text_filters() { return text_filtering::filters; }

}  // namespace coho::trainer::jinja
