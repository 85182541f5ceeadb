#pragma once

#include <concepts>
#include <cstddef>
#include <span>
#include <type_traits>
#include <vector>

#include <coho/concepts.hpp>

namespace coho::inline v0_1 {

/// example_source: examples that `fit` fetches batch by batch, when they exceed memory. A span
/// of examples in memory needs none.
///  (1) `s.size()`, the number of examples, the same on all ranks;
///  (2) `s.load(indices)` with a `std::span<const std::size_t>` returns the examples at these indices in order, as
///      a contiguous range of `Example`. Data they refer to stays valid until the next call.
template <class Source, class Example>
concept example_source = requires(Source& s, std::span<const std::size_t> indices) {
  { s.size() } -> std::convertible_to<std::size_t>;
  { s.load(indices) } -> std::convertible_to<std::span<const Example>>;
};

/// A compile error that names the member which a source of `Example`s lacks.
template <class Source, class Example>
consteval bool require_example_source() {
  static_assert(
      requires(Source& s) {
        { s.size() } -> std::convertible_to<std::size_t>;
      }, "coho::example_source (1): the source has no size()");
  static_assert(
      requires(Source& s, std::span<const std::size_t> indices) {
        { s.load(indices) } -> std::convertible_to<std::span<const Example>>;
      },
      "coho::example_source (2): the source has no load(std::span<const std::size_t>) that returns a contiguous range "
      "of the driver's examples");
  return true;
}

namespace detail {

/// Examples in memory as a source. Every rank has all of them.
template <class Example>
class span_source {
 public:
  explicit span_source(std::span<const Example> data) : data_(data) {}
  std::size_t size() const noexcept { return data_.size(); }
  /// Copies of the examples at these indices, valid until the next call.
  std::span<const Example> load(std::span<const std::size_t> indices) {
    loaded_.clear();
    for (const std::size_t i : indices) loaded_.push_back(data_[i]);
    return loaded_;
  }

 private:
  std::span<const Example> data_;
  std::vector<Example> loaded_;
};

/// Whether loading costs nothing: every rank may then see the whole batch.
template <class Source>
inline constexpr bool in_memory = false;
template <class Example>
inline constexpr bool in_memory<span_source<Example>> = true;

}  // namespace detail

}  // namespace coho::inline v0_1
