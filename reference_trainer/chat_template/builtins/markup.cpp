#include "chat_template/builtins/markup.hpp"

#include <utility>

namespace coho::trainer::jinja {

std::string html_escaped(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    constexpr std::string_view special = "&<>'\"";
    constexpr std::string_view entities[] = {"&amp;", "&lt;", "&gt;", "&#39;", "&#34;"};
    if (const auto at = special.find(c); at != special.npos)
      out += entities[at];
    else
      out += c;
  }
  return out;
}

std::string as_markup(const value& text) { return text.is_markup() ? text.text() : html_escaped(text.text()); }

value marked_up(sandbox& box, const value& value) {
  if (value.is(kind::text)) return box.text(value.text(), true);
  if (!value.is_sequence()) return value;
  std::vector<jinja::value> items;
  items.reserve(value.items().size());
  for (const auto& item : value.items()) items.push_back(marked_up(box, item));
  return box.sequence(value.kind(), std::move(items));
}

}  // namespace coho::trainer::jinja
