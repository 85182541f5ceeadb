#include "llama/attention.hpp"

#include <torch/version.h>

#include <cmath>
#include <limits>

namespace coho::trainer {
namespace {

// libtorch 1.13 has no public scaled_dot_product_attention; the composite is its definition.
at::Tensor scaled_dot_product(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const at::Tensor& mask) {
#if TORCH_VERSION_MAJOR >= 2
  if (mask.defined()) return at::scaled_dot_product_attention(q, k, v, mask, 0.0, /*is_causal=*/false);
  return at::scaled_dot_product_attention(q, k, v, {}, 0.0, /*is_causal=*/true);
#else
  at::Tensor scores = at::matmul(q, k.transpose(-2, -1)) * (1.0 / std::sqrt(static_cast<double>(q.size(-1))));
  scores = scores + (mask.defined() ? mask : causal_mask(q.size(-2), 0, scores.options()));
  return at::matmul(at::softmax(scores, -1), v);
#endif
}

}  // namespace

at::Tensor causal_mask(std::int64_t length, std::int64_t window, const at::TensorOptions& options) {
  const at::Tensor index = at::arange(length, options.dtype(at::kLong));
  const at::Tensor distance = index.unsqueeze(1) - index.unsqueeze(0);
  at::Tensor hidden = distance.lt(0);
  if (window > 0) hidden = hidden.logical_or(distance.ge(window));
  return at::zeros({length, length}, options).masked_fill_(hidden, -std::numeric_limits<double>::infinity());
}

at::Tensor causal_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, std::int64_t window) {
  const std::int64_t length = q.size(1), groups = q.size(2) / k.size(2);
  at::Tensor keys = k.transpose(1, 2), values = v.transpose(1, 2);
  if (groups > 1) {
    keys = keys.repeat_interleave(groups, 1);
    values = values.repeat_interleave(groups, 1);
  }
  at::Tensor mask;
  if (window > 0 && window < length) mask = causal_mask(length, window, q.options());
  return scaled_dot_product(q.transpose(1, 2), keys, values, mask).transpose(1, 2);
}

at::Tensor cached_attention(const at::Tensor& q, const at::Tensor& keys, const at::Tensor& values,
                            const at::Tensor& mask) {
  const std::int64_t n = q.size(0), heads = q.size(1), depth = q.size(2), groups = heads / keys.size(1);
  const at::Tensor grouped = q.view({n, keys.size(1), groups, depth});
  at::Tensor scores = at::matmul(grouped, keys.transpose(-2, -1)).to(at::kFloat);
  scores.mul_(1.0 / std::sqrt(static_cast<double>(depth))).add_(mask.view({n, 1, 1, mask.size(1)}));
  const at::Tensor weights = at::softmax(scores, -1).to(values.scalar_type());
  return at::matmul(weights, values).view({n, heads, depth});
}

}  // namespace coho::trainer
