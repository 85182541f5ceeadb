#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

#include "chat_template/values/sandbox.hpp"
#include "chat_template/values/value.hpp"

/// Python's comparisons. All throw `failure` with Python's message where Python raises.
namespace coho::trainer::jinja {

/// `left == right`: 1 equals 1.0 and True. Throws `failure` for the keys or items of dicts.
bool is_equal(sandbox& box, const value& left, const value& right);
/// `left < right`. Throws `failure` for types that have no order.
bool is_less(sandbox& box, const value& left, const value& right);
/// `left <= right`; not the opposite of `right < left` for NaN.
bool is_less_or_equal(sandbox& box, const value& left, const value& right);
/// `item in container`. Of a text: a part of it.
bool contains(sandbox& box, const value& container, const value& item);

/// A stable merge sort. Unlike std::stable_sort it stays within the items even if `before` is not an order, as with
/// NaN.
template <class Item, class Before>
void stable_sort_values(std::vector<Item>& items, Before before) {
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
