#include "decoder/layout.hpp"

#include <algorithm>

#include <coho/error.hpp>

#include "decoder/tensor_conversion.hpp"

namespace coho::trainer {
namespace {

// A tensor's shape with its first `dropped` sizes replaced by others.
std::vector<std::int64_t> replace_leading(const at::Tensor& tensor, std::initializer_list<std::int64_t> leading,
                                          std::int64_t dropped) {
  std::vector<std::int64_t> shape(leading);
  const auto sizes = tensor.sizes();
  shape.insert(shape.end(), sizes.begin() + dropped, sizes.end());
  return shape;
}

}  // namespace

sequence_layout::sequence_layout(std::span<const std::int64_t> lengths, at::Device device,
                                 std::span<const std::int64_t> first_positions)
    : sequences(static_cast<std::int64_t>(lengths.size())) {
  require_argument(first_positions.empty() || first_positions.size() == lengths.size(),
                   "sequence_layout: first_positions must have one entry per sequence");
  offsets.push_back(0);
  for (const auto length : lengths) {
    require_argument(length > 0, "sequence_layout: an empty sequence");
    longest = std::max(longest, length);
    uniform = uniform && length == lengths.front();
    offsets.push_back(offsets.back() + length);
  }
  tokens = offsets.back();

  std::vector<std::int64_t> position, padded, packed;
  position.reserve(static_cast<std::size_t>(tokens));
  for (std::size_t i = 0; i < lengths.size(); ++i) {
    const std::int64_t first = first_positions.empty() ? 0 : first_positions[i];
    for (std::int64_t t = 0; t < lengths[i]; ++t) position.push_back(first + t);
    if (uniform) continue;
    const auto row = static_cast<std::int64_t>(i) * longest;
    for (std::int64_t t = 0; t < longest; ++t) padded.push_back(offsets[i] + std::min(t, lengths[i] - 1));
    for (std::int64_t t = 0; t < lengths[i]; ++t) packed.push_back(row + t);
  }
  positions = index_tensor(position, device);
  if (!uniform) {
    to_padded = index_tensor(padded, device);
    to_packed = index_tensor(packed, device);
  }
}

at::Tensor sequence_layout::pad(const at::Tensor& packed) const {
  const at::Tensor rows = uniform ? packed : packed.index_select(0, to_padded);
  return rows.view(replace_leading(packed, {sequences, longest}, 1));
}

at::Tensor sequence_layout::pack(const at::Tensor& padded) const {
  const at::Tensor rows = padded.reshape(replace_leading(padded, {sequences * longest}, 2));
  return uniform ? rows : rows.index_select(0, to_packed);
}

}  // namespace coho::trainer
