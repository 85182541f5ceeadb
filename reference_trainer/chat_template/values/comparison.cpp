#include "chat_template/values/comparison.hpp"

#include <algorithm>
#include <string>

#include "chat_template/values/iteration.hpp"
#include "chat_template/values/python_text.hpp"

namespace coho::trainer::jinja {

namespace {

// Exact, unlike a conversion to double: long double has 64 bits of mantissa, or more.
bool is_number_less(const value& a, const value& b, bool or_equal) {
  if (a.is_integral() && b.is_integral()) return or_equal ? a.integral() <= b.integral() : a.integral() < b.integral();
  const auto wide = [](const value& x) {
    return x.is_integral() ? static_cast<long double>(x.integral()) : static_cast<long double>(x.number());
  };
  return or_equal ? wide(a) <= wide(b) : wide(a) < wide(b);
}

// Python's `is`, for values on the heap: containers take such items as equal without comparing them.
bool is_same_object(const value& a, const value& b) {
  return a.kind() == b.kind() && a.shared_object() != nullptr && a.shared_object() == b.shared_object();
}

// Of two lists or two tuples.
bool are_items_equal(sandbox& box, const value& left, const value& right) {
  const auto &a = left.items(), &b = right.items();
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i)
    if (!is_same_object(a[i], b[i]) && !is_equal(box, a[i], b[i])) return false;
  return true;
}

// In any order.
bool are_entries_equal(sandbox& box, const dictionary& a, const dictionary& b) {
  if (a.size() != b.size()) return false;
  for (const auto& [key, item] : a.entries()) {
    const auto* const other = b.find(key);
    if (other == nullptr || (!is_same_object(item, *other) && !is_equal(box, item, *other))) return false;
  }
  return true;
}

// `left < right`, or `<=`: numbers, texts, and lists or tuples item by item. Throws `failure` for other types.
bool is_ordered(sandbox& box, const value& left, const value& right, bool or_equal) {
  const sandbox::depth_guard deeper(box);
  box.count_steps();
  if (left.is_undefined()) refuse_undefined(left);
  if (right.is_undefined()) refuse_undefined(right);
  if (left.is_number() && right.is_number()) return is_number_less(left, right, or_equal);
  if (left.is_kind(kind::text) && right.is_kind(kind::text)) {
    box.count_bytes(std::min(left.text().size(), right.text().size()));
    // The order of UTF-8's bytes is that of the characters.
    return or_equal ? left.text() <= right.text() : left.text() < right.text();
  }
  if (left.is_sequence() && left.kind() == right.kind()) {
    const auto &a = left.items(), &b = right.items();
    for (std::size_t i = 0; i < a.size() && i < b.size(); ++i)
      if (!is_same_object(a[i], b[i]) && !is_equal(box, a[i], b[i])) return is_ordered(box, a[i], b[i], or_equal);
    return or_equal ? a.size() <= b.size() : a.size() < b.size();
  }
  throw failure("'" + std::string(or_equal ? "<=" : "<") + "' not supported between instances of '" +
                std::string(type_name(left)) + "' and '" + std::string(type_name(right)) + "'");
}

}  // namespace

bool is_equal(sandbox& box, const value& left, const value& right) {
  const sandbox::depth_guard deeper(box);
  box.count_steps();
  if (left.is_integral() && right.is_integral()) return left.integral() == right.integral();
  if (left.is_number() && right.is_number())
    return is_number_less(left, right, true) && is_number_less(right, left, true);
  if (left.kind() != right.kind()) return false;
  switch (left.kind()) {
    case kind::none:
    case kind::undefined:
      return true;
    case kind::text:
      box.count_bytes(std::min(left.text().size(), right.text().size()));
      return left.text() == right.text();
    case kind::list:
    case kind::tuple:
      return are_items_equal(box, left, right);
    case kind::dict:
      return are_entries_equal(box, left.object_as<dict_object>().items, right.object_as<dict_object>().items);
    case kind::range: {
      const auto &a = left.object_as<range_object>(), &b = right.object_as<range_object>();
      const auto length = a.length();
      return length == b.length() && (length == 0 || (a.start == b.start && (length == 1 || a.step == b.step)));
    }
    case kind::view:
      if (left.object_as<view_object>().part != view_part::values)
        throw failure("comparing the keys or items of dicts is not supported: put `| list` after them");
      [[fallthrough]];
    default:
      return is_same_object(left, right);
  }
}

bool is_less(sandbox& box, const value& left, const value& right) { return is_ordered(box, left, right, false); }

bool is_less_or_equal(sandbox& box, const value& left, const value& right) {
  return is_ordered(box, left, right, true);
}

bool contains(sandbox& box, const value& container, const value& item) {
  switch (container.kind()) {
    case kind::text:
      if (!item.is_kind(kind::text))
        throw failure("'in <string>' requires string as left operand, not " + std::string(type_name(item)));
      box.count_bytes(container.text().size());
      return find_substring(container.text(), item.text()) != std::string_view::npos;
    case kind::dict:
      box.count_steps();
      return container.object_as<dict_object>().items.find(item) != nullptr;
    default: {
      const auto next = iterate_items(box, container);
      for (auto found = next(); found; found = next())
        if (is_same_object(*found, item) || is_equal(box, *found, item)) return true;
      return false;
    }
  }
}

}  // namespace coho::trainer::jinja
