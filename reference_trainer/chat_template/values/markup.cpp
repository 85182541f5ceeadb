#include "chat_template/values/markup.hpp"

#include <utility>

namespace coho::trainer::jinja {

std::string escape_html(std::string_view text) {
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

std::string markup_text(const value& text) { return text.is_markup() ? text.text() : escape_html(text.text()); }

value to_markup(sandbox& box, const value& value) {
  if (value.is_kind(kind::text)) return box.make_text(value.text(), true);
  if (!value.is_sequence()) return value;
  std::vector<jinja::value> items;
  items.reserve(value.items().size());
  for (const auto& item : value.items()) items.push_back(to_markup(box, item));
  return box.make_sequence(value.kind(), std::move(items));
}

}  // namespace coho::trainer::jinja
