#pragma once

#include <cstddef>
#include <span>
#include <type_traits>

namespace coho::inline v0_1::detail {

/// A span over an array or a container. A function, because a written-out conversion makes the compiler check every
/// concept of ranges for each type in every file that includes the header, whether or not the conversion is used.
template <class T>
std::span<T> span_of(T* first, std::size_t size) {
  return {first, size};
}
template <class T, std::size_t Size>
std::span<T> span_of(T (&elements)[Size]) {
  return {elements, Size};
}
template <class Container>
auto span_of(Container& elements) -> std::span<std::remove_pointer_t<decltype(elements.data())>> {
  return {elements.data(), elements.size()};
}

}  // namespace coho::inline v0_1::detail
