#include "quant/linear_weight.hpp"

#include <coho/error.hpp>

namespace coho::trainer {

at::Tensor& linear_weight::dense() {
  require_argument(!is_quantized(),
                   "linear_weight: the weight is packed as NF4; a separate copy needs a base that is not quantised");
  return dense_;
}

at::Tensor linear_weight::values(at::ScalarType type) const {
  return is_quantized() ? dequantize(packed_, type) : dense_.to(type);
}

at::Tensor linear_weight::product(const at::Tensor& x, const at::Tensor& bias) const {
  if (!is_quantized()) return bias.defined() ? at::linear(x, dense_, bias) : at::linear(x, dense_);
  at::Tensor y = nf4_linear(x, packed_);
  return bias.defined() ? y.add_(bias) : y;
}

at::Tensor linear_weight::transposed_product(const at::Tensor& g) const {
  return is_quantized() ? nf4_linear_backward(g, packed_) : at::matmul(g, dense_);
}

linear_weight linear_weight::clone() const {
  linear_weight out = *this;
  out.visit([](const std::string&, at::Tensor& tensor) { tensor = tensor.detach().clone(); });
  return out;
}

linear_weight linear_weight::to(at::ScalarType type, at::Device device) const {
  if (is_quantized()) return packed_.to(device);
  return dense_.detach().to(device, type);
}

}  // namespace coho::trainer
