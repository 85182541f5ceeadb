#include "decoder/tensor_conversion.hpp"

#include <algorithm>

namespace coho::trainer {

at::Tensor index_tensor(std::span<const std::int64_t> values, at::Device device) {
  at::Tensor out = at::empty({static_cast<std::int64_t>(values.size())}, at::kLong);
  std::copy(values.begin(), values.end(), out.data_ptr<std::int64_t>());
  return out.to(device);
}

at::Tensor token_tensor(std::span<const token> tokens, at::Device device) {
  at::Tensor out = at::empty({static_cast<std::int64_t>(tokens.size())}, at::kLong);
  std::copy(tokens.begin(), tokens.end(), out.data_ptr<std::int64_t>());
  return out.to(device);
}

}  // namespace coho::trainer
