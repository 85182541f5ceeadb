#include "chat_template/values/iteration.hpp"

#include <algorithm>
#include <string>

#include "text/utf8.hpp"

namespace coho::trainer::jinja {

namespace {

// Visits characters, in one pass over the text.
next_item iterate_characters(sandbox& box, const value& text) {
  return [&box, text, at = std::size_t{0}]() mutable -> std::optional<value> {
    const std::string_view rest = std::string_view(text.text()).substr(at);
    if (rest.empty()) return std::nullopt;
    box.count_steps();
    const auto size = std::max<std::size_t>(utf8_length(rest), 1);
    at += size;
    return box.make_text(std::string(rest.substr(0, size)));
  };
}

// What a view of a dict shows of an entry.
value view_item(sandbox& box, const dictionary::entry& entry, view_part part) {
  if (part == view_part::items) return box.make_tuple({entry.first, entry.second});
  return part == view_part::keys ? entry.first : entry.second;
}

// The entries of `dict`, which `held` keeps alive.
next_item iterate_entries(sandbox& box, const value& held, const dictionary& dict, view_part part) {
  return [&box, held, &dict, part, at = std::size_t{0}]() mutable -> std::optional<value> {
    box.count_steps();
    if (at == dict.size()) return std::nullopt;
    return view_item(box, dict.entries()[at++], part);
  };
}

}  // namespace

next_item iterate_items(sandbox& box, const value& iterable) {
  switch (iterable.kind()) {
    case kind::undefined:
      return [] { return std::optional<value>(); };
    case kind::text:
      return iterate_characters(box, iterable);
    case kind::list:
    case kind::tuple:
      return [&box, iterable, at = std::size_t{0}]() mutable -> std::optional<value> {
        box.count_steps();
        const auto& items = iterable.items();
        return at < items.size() ? std::optional(items[at++]) : std::nullopt;
      };
    case kind::dict:
      return iterate_entries(box, iterable, iterable.object_as<dict_object>().items, view_part::keys);
    case kind::view: {
      const auto& view = iterable.object_as<view_object>();
      return iterate_entries(box, iterable, view.of.object_as<dict_object>().items, view.part);
    }
    case kind::range:
      return [&box, iterable, at = std::int64_t{0}]() mutable -> std::optional<value> {
        box.count_steps();
        const auto& range = iterable.object_as<range_object>();
        return at < range.length() ? std::optional(value::integer(range.start + at++ * range.step)) : std::nullopt;
      };
    case kind::generator:
      return [&box, iterable] {
        box.count_steps();
        const sandbox::depth_guard deeper(box);
        return iterable.object_as<generator_object>().next();
      };
    case kind::loop:
      throw failure("iterating over `loop` is not supported");
    default:
      throw failure("'" + std::string(type_name(iterable)) + "' object is not iterable");
  }
}

std::vector<value> items_of(sandbox& box, const value& iterable) {
  if (iterable.is_sequence()) {
    box.count_steps(iterable.items().size());
    box.require_items_fit(iterable.items().size());
    return iterable.items();
  }
  std::vector<value> out;
  const auto next = iterate_items(box, iterable);
  for (auto item = next(); item; item = next()) {
    if (out.size() == out.capacity()) box.require_items_fit(2 * out.size() + 1);
    out.push_back(std::move(*item));
  }
  return out;
}

}  // namespace coho::trainer::jinja
