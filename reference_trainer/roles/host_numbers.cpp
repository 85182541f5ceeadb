#include "roles/host_numbers.hpp"

#include <algorithm>

namespace coho::trainer {

std::vector<double> to_doubles(const at::Tensor& tensor) {
  const at::Tensor host = tensor.detach().to(at::kCPU, at::kDouble).contiguous();
  return {host.data_ptr<double>(), host.data_ptr<double>() + host.numel()};
}

at::Tensor from_doubles(std::span<const double> numbers, const at::Tensor& like) {
  at::Tensor out = at::empty({static_cast<std::int64_t>(numbers.size())}, at::kDouble);
  std::copy(numbers.begin(), numbers.end(), out.data_ptr<double>());
  return out.to(like.device(), like.scalar_type());
}

}  // namespace coho::trainer
