#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <vector>

#include <coho/error.hpp>

namespace coho::inline v0_1 {

/// A token id.
using token = std::int32_t;

/// Sequences of different lengths concatenated without padding.
///
/// Sequence i is `values[offsets[i], offsets[i + 1])`; `offsets` starts at 0 and has one entry more than there are
/// sequences. Empty sequences are allowed.
///
///     coho::packed<int> batch;
///     batch.push_back({1, 2, 3});
///     batch[0].size();  // 3
template <class T>
struct packed {
  std::vector<T> values;
  std::vector<std::size_t> offsets{0};

  packed() = default;
  packed(std::initializer_list<std::initializer_list<T>> sequences) {
    for (const auto& sequence : sequences) push_back(sequence);
  }

  /// Number of sequences.
  std::size_t size() const noexcept { return offsets.size() - 1; }
  bool empty() const noexcept { return size() == 0; }
  /// Number of values in all sequences.
  std::size_t total() const noexcept { return values.size(); }
  std::size_t length(std::size_t i) const noexcept { return offsets[i + 1] - offsets[i]; }

  std::span<const T> operator[](std::size_t i) const noexcept { return {values.data() + offsets[i], length(i)}; }
  std::span<T> operator[](std::size_t i) noexcept { return {values.data() + offsets[i], length(i)}; }

  template <class Range>
  void push_back(const Range& sequence) {
    for (const auto& value : sequence) values.push_back(static_cast<T>(value));
    offsets.push_back(values.size());
  }
  void push_back(std::initializer_list<T> sequence) {
    values.insert(values.end(), sequence);
    offsets.push_back(values.size());
  }

  /// The sequences at the given indices, in the order of that range.
  template <class Indices>
  packed select(const Indices& indices) const {
    packed out;
    for (auto index : indices) out.push_back((*this)[static_cast<std::size_t>(index)]);
    return out;
  }

  friend bool operator==(const packed&, const packed&) = default;
};

/// Prompts with one response each: the batch over which policies and value models are evaluated.
/// Outputs are laid out as `responses.values`: one number per response token, sequence by sequence.
struct token_batch {
  packed<token> prompts;
  packed<token> responses;

  std::size_t size() const noexcept { return prompts.size(); }

  /// The sequences at the given indices, in the order of that range.
  template <class Indices>
  token_batch select(const Indices& indices) const {
    return {prompts.select(indices), responses.select(indices)};
  }
};

}  // namespace coho::inline v0_1
