#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "chat_template/values/sandbox.hpp"
#include "chat_template/values/value.hpp"

/// Python's operators. All throw `failure` with Python's message where Python raises, and where an integer leaves 64
/// bits.
namespace coho::trainer::jinja {

enum class binary_operator : std::uint8_t { add, subtract, multiply, divide, floor_divide, modulo, power };

value binary(sandbox& box, binary_operator op, const value& left, const value& right);
value negative(const value& operand);
value positive(const value& operand);

bool equal(sandbox& box, const value& left, const value& right);
/// `left < right`.
bool less(sandbox& box, const value& left, const value& right);
/// `left <= right`; not the opposite of `right < left` for NaN.
bool less_or_equal(sandbox& box, const value& left, const value& right);
/// `item in container`.
bool contains(sandbox& box, const value& container, const value& item);

/// The items that iteration visits: of a text its characters, of a dict its keys, of Undefined none.
next_item iterate(sandbox& box, const value& iterable);
std::vector<value> items_of(sandbox& box, const value& iterable);

/// `object.name`: an attribute or method, else the item of that name, else Undefined.
value get_attribute(sandbox& box, const value& object, std::string_view name);
/// `object[key]`: the item, else for a text the attribute or method of that name, else Undefined.
value get_item(sandbox& box, const value& object, const value& key);
/// Only an attribute or method, without the items.
std::optional<value> find_attribute(sandbox& box, const value& object, std::string_view name);
/// `object[start:stop:step]`.
value get_slice(sandbox& box, const value& object, const value& start, const value& stop, const value& step);

/// The result of a call; Undefined and what is no function fail.
value call(const value& function, const arguments& given);

/// Throws the failure of using an Undefined value.
[[noreturn]] void refuse_undefined(const value& undefined);

/// A stable sort that stays within the items whatever `before` says of them.
template <class Item, class Before>
void sort_values(std::vector<Item>& items, Before before) {
  for (std::size_t width = 1; width < items.size(); width *= 2) {
    std::vector<Item> merged;
    merged.reserve(items.size());
    for (std::size_t begin = 0; begin < items.size(); begin += 2 * width) {
      const auto middle = std::min(begin + width, items.size()), end = std::min(begin + 2 * width, items.size());
      auto left = begin, right = middle;
      while (left < middle || right < end) {
        const bool second = right < end && (left == middle || before(items[right], items[left]));
        merged.push_back(items[second ? right++ : left++]);
      }
    }
    items = std::move(merged);
  }
}

}  // namespace coho::trainer::jinja
