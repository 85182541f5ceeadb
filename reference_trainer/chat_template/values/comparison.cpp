#include <cstring>
#include <string>

#include "chat_template/values/operators.hpp"
#include "chat_template/values/python_text.hpp"
#include "text/utf8.hpp"

namespace coho::trainer::jinja {

namespace {

// Exact, unlike a conversion to double: long double has 64 bits of mantissa, or more.
bool less_number(const value& a, const value& b, bool or_equal) {
  if (a.is_integral() && b.is_integral()) return or_equal ? a.integral() <= b.integral() : a.integral() < b.integral();
  const auto wide = [](const value& x) {
    return x.is_integral() ? static_cast<long double>(x.integral()) : static_cast<long double>(x.number());
  };
  return or_equal ? wide(a) <= wide(b) : wide(a) < wide(b);
}

bool same(const value& a, const value& b) {
  return a.kind() == b.kind() && a.shared() != nullptr && a.shared() == b.shared();
}

bool equal_items(sandbox& box, const value& left, const value& right) {
  const auto &a = left.items(), &b = right.items();
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i)
    if (!same(a[i], b[i]) && !equal(box, a[i], b[i])) return false;
  return true;
}

bool equal_entries(sandbox& box, const dictionary& a, const dictionary& b) {
  if (a.size() != b.size()) return false;
  for (const auto& [key, item] : a.entries()) {
    const auto* const other = b.find(key);
    if (other == nullptr || (!same(item, *other) && !equal(box, item, *other))) return false;
  }
  return true;
}

bool ordered(sandbox& box, const value& left, const value& right, bool or_equal) {
  const sandbox::level deeper(box);
  box.step();
  if (left.is_undefined()) refuse_undefined(left);
  if (right.is_undefined()) refuse_undefined(right);
  if (left.is_number() && right.is_number()) return less_number(left, right, or_equal);
  if (left.is(kind::text) && right.is(kind::text)) {
    box.work(std::min(left.text().size(), right.text().size()));
    // The order of UTF-8's bytes is that of the characters.
    return or_equal ? left.text() <= right.text() : left.text() < right.text();
  }
  if (left.is_sequence() && left.kind() == right.kind()) {
    const auto &a = left.items(), &b = right.items();
    for (std::size_t i = 0; i < a.size() && i < b.size(); ++i)
      if (!same(a[i], b[i]) && !equal(box, a[i], b[i])) return ordered(box, a[i], b[i], or_equal);
    return or_equal ? a.size() <= b.size() : a.size() < b.size();
  }
  throw failure("'" + std::string(or_equal ? "<=" : "<") + "' not supported between instances of '" +
                std::string(type_name(left)) + "' and '" + std::string(type_name(right)) + "'");
}

// Visits characters, in one pass over the text.
next_item characters(sandbox& box, const value& text) {
  return [&box, text, at = std::size_t{0}]() mutable -> std::optional<value> {
    const std::string_view rest = std::string_view(text.text()).substr(at);
    if (rest.empty()) return std::nullopt;
    box.step();
    const auto size = std::max<std::size_t>(utf8_length(rest), 1);
    at += size;
    return box.text(std::string(rest.substr(0, size)));
  };
}

value part_of(sandbox& box, const dictionary::entry& entry, view_part part) {
  if (part == view_part::items) return box.tuple({entry.first, entry.second});
  return part == view_part::keys ? entry.first : entry.second;
}

// The entries of `dict`, which `held` keeps alive.
next_item entries(sandbox& box, const value& held, const dictionary& dict, view_part part) {
  return [&box, held, &dict, part, at = std::size_t{0}]() mutable -> std::optional<value> {
    box.step();
    if (at == dict.size()) return std::nullopt;
    return part_of(box, dict.entries()[at++], part);
  };
}

}  // namespace

bool equal(sandbox& box, const value& left, const value& right) {
  const sandbox::level deeper(box);
  box.step();
  if (left.is_integral() && right.is_integral()) return left.integral() == right.integral();
  if (left.is_number() && right.is_number()) return less_number(left, right, true) && less_number(right, left, true);
  if (left.kind() != right.kind()) return false;
  switch (left.kind()) {
    case kind::none:
    case kind::undefined:
      return true;
    case kind::text:
      box.work(std::min(left.text().size(), right.text().size()));
      return left.text() == right.text();
    case kind::list:
    case kind::tuple:
      return equal_items(box, left, right);
    case kind::dict:
      return equal_entries(box, left.as<dict_object>().items, right.as<dict_object>().items);
    case kind::range: {
      const auto &a = left.as<range_object>(), &b = right.as<range_object>();
      const auto length = a.length();
      return length == b.length() && (length == 0 || (a.start == b.start && (length == 1 || a.step == b.step)));
    }
    case kind::view:
      if (left.as<view_object>().part != view_part::values)
        throw failure("comparing the keys or items of dicts is not supported: put `| list` after them");
      [[fallthrough]];
    default:
      return same(left, right);
  }
}

bool less(sandbox& box, const value& left, const value& right) { return ordered(box, left, right, false); }

bool less_or_equal(sandbox& box, const value& left, const value& right) { return ordered(box, left, right, true); }

bool contains(sandbox& box, const value& container, const value& item) {
  switch (container.kind()) {
    case kind::text:
      if (!item.is(kind::text))
        throw failure("'in <string>' requires string as left operand, not " + std::string(type_name(item)));
      box.work(container.text().size());
      return find_part(container.text(), item.text()) != std::string_view::npos;
    case kind::dict:
      box.step();
      return container.as<dict_object>().items.find(item) != nullptr;
    default: {
      const auto next = iterate(box, container);
      for (auto found = next(); found; found = next())
        if (same(*found, item) || equal(box, *found, item)) return true;
      return false;
    }
  }
}

next_item iterate(sandbox& box, const value& iterable) {
  switch (iterable.kind()) {
    case kind::undefined:
      return [] { return std::optional<value>(); };
    case kind::text:
      return characters(box, iterable);
    case kind::list:
    case kind::tuple:
      return [&box, iterable, at = std::size_t{0}]() mutable -> std::optional<value> {
        box.step();
        const auto& items = iterable.items();
        return at < items.size() ? std::optional(items[at++]) : std::nullopt;
      };
    case kind::dict:
      return entries(box, iterable, iterable.as<dict_object>().items, view_part::keys);
    case kind::view: {
      const auto& view = iterable.as<view_object>();
      return entries(box, iterable, view.of.as<dict_object>().items, view.part);
    }
    case kind::range:
      return [&box, iterable, at = std::int64_t{0}]() mutable -> std::optional<value> {
        box.step();
        const auto& range = iterable.as<range_object>();
        return at < range.length() ? std::optional(value::integer(range.start + at++ * range.step)) : std::nullopt;
      };
    case kind::generator:
      return [&box, iterable] {
        box.step();
        const sandbox::level deeper(box);
        return iterable.as<generator_object>().next();
      };
    case kind::loop:
      throw failure("iterating over `loop` is not supported");
    default:
      throw failure("'" + std::string(type_name(iterable)) + "' object is not iterable");
  }
}

std::vector<value> items_of(sandbox& box, const value& iterable) {
  if (iterable.is_sequence()) {
    box.step(iterable.items().size());
    box.require_items(iterable.items().size());
    return iterable.items();
  }
  std::vector<value> out;
  const auto next = iterate(box, iterable);
  for (auto item = next(); item; item = next()) {
    if (out.size() == out.capacity()) box.require_items(2 * out.size() + 1);
    out.push_back(std::move(*item));
  }
  return out;
}

}  // namespace coho::trainer::jinja
