#include "chat_template/builtins/filters.hpp"

#include <algorithm>
#include <string>

#include "chat_template/builtins/access.hpp"
#include "chat_template/values/python_text.hpp"

namespace coho::trainer::jinja {

filter find_filter(std::string_view name) {
  for (const auto filters : {text_filters(), number_filters(), sequence_filters(), lazy_filters()})
    if (const auto found = std::ranges::find(filters, name, &named_filter::name); found != filters.end())
      return found->apply;
  return nullptr;
}

value follow_attribute(sandbox& box, value object, const value& path, const value& otherwise) {
  if (path.is_none()) return object;
  const auto follow = [&](const value& key) {
    object = get_item(box, object, key);
    if (object.is_undefined() && !otherwise.is_none()) object = otherwise;
  };
  if (!path.is_kind(kind::text)) {
    follow(path);
    return object;
  }
  for (const auto part : split_at_separator(path.text(), ".", -1, false)) {
    const bool number = all_characters_are(part, "ascii") && all_characters_are(part, "decimal") && part.size() < 18;
    follow(number ? value::integer(std::stoll(std::string(part))) : box.make_text(std::string(part)));
  }
  return object;
}

value lower_case_key(sandbox& box, const value& value) {
  if (!value.is_kind(kind::text)) return value;
  box.count_bytes(value.text().size());
  return box.make_text(lower_case(value.text()));
}

}  // namespace coho::trainer::jinja
