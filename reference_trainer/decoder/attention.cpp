#include "decoder/attention.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include <torch/version.h>

namespace coho::trainer {
namespace {

// softmax(q kᵀ / √D + mask) v; without a mask, causal. libtorch 1.13 has no public scaled_dot_product_attention; this
// composition is its definition.
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

at::Tensor continuation_mask(std::int64_t shared, std::span<const std::int64_t> lengths, std::int64_t window,
                             const at::TensorOptions& options) {
  const std::int64_t rows = std::accumulate(lengths.begin(), lengths.end(), std::int64_t{0});
  const std::int64_t longest = *std::max_element(lengths.begin(), lengths.end());
  const double hidden = -std::numeric_limits<double>::infinity();
  const at::Tensor own = causal_mask(longest, window, options), out = at::full({rows, shared + rows}, hidden, options);
  at::Tensor before;
  if (shared > 0) {
    before = at::zeros({longest, shared}, options);
    if (window > 0) {
      const at::Tensor index = at::arange(shared + longest, options.dtype(at::kLong));
      const at::Tensor distance = index.narrow(0, shared, longest).unsqueeze(1) - index.narrow(0, 0, shared);
      before.masked_fill_(distance.ge(window), hidden);
    }
  }
  std::int64_t first = 0;
  for (const std::int64_t length : lengths) {
    const at::Tensor block = out.narrow(0, first, length);
    if (shared > 0) block.narrow(1, 0, shared).copy_(before.narrow(0, 0, length));
    block.narrow(1, shared + first, length).copy_(own.narrow(0, 0, length).narrow(1, 0, length));
    first += length;
  }
  return out;
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

at::Tensor cached_attention(const at::Tensor& q, const at::Tensor& keys, const at::Tensor& values,
                            const at::Tensor& mask, const shared_keys& shared) {
  const std::int64_t n = q.size(0), heads = q.size(1), depth = q.size(2), key_heads = keys.size(1),
                     groups = heads / key_heads;
  const std::int64_t before = shared.keys.size(1), own = keys.size(2);
  const at::Tensor grouped = q.view({n, key_heads, groups, depth});
  // For the shared keys, the queries of all sequences are the rows of one product per key head.
  const auto by_key = [&](const at::Tensor& x) {
    return x.transpose(0, 1).reshape({key_heads, n * groups, x.size(3)});
  };
  const auto by_sequence = [&](const at::Tensor& x) {
    return x.view({key_heads, n, groups, x.size(2)}).transpose(0, 1);
  };
  const at::Tensor scores = at::empty({n, key_heads, groups, before + own}, q.options().dtype(at::kFloat));
  const at::Tensor first = scores.narrow(3, 0, before), second = scores.narrow(3, before, own);
  first.copy_(by_sequence(at::matmul(by_key(grouped), shared.keys.transpose(1, 2))));
  second.copy_(at::matmul(grouped, keys.transpose(-2, -1)));
  scores.mul_(1.0 / std::sqrt(static_cast<double>(depth)));
  second.add_(mask.view({n, 1, 1, own}));
  if (shared.mask.defined()) first.add_(shared.mask.view({n, 1, 1, before}));
  const at::Tensor weights = at::softmax(scores, -1).to(values.scalar_type());
  const at::Tensor out = at::matmul(weights.narrow(3, before, own), values);
  out.add_(by_sequence(at::matmul(by_key(weights.narrow(3, 0, before)), shared.values)));
  return out.view({n, heads, depth});
}

at::Tensor continued_attention(const at::Tensor& q, const at::Tensor& keys, const at::Tensor& values,
                               const at::Tensor& mask) {
  const std::int64_t n = q.size(0), heads = q.size(1), depth = q.size(2), key_heads = keys.size(0),
                     groups = heads / key_heads;
  // The queries of a key head are rows of one product, so that every kernel takes the keys without a copy.
  const at::Tensor queries =
      q.view({n, key_heads, groups, depth}).permute({1, 2, 0, 3}).reshape({1, key_heads, -1, depth});
  const at::Tensor rows = groups > 1 ? mask.repeat({groups, 1}) : mask;
  const at::Tensor mixed = scaled_dot_product(queries, keys.unsqueeze(0), values.unsqueeze(0), rows);
  return mixed.reshape({key_heads, groups, n, depth}).permute({2, 0, 1, 3}).reshape({n, heads, depth});
}

}  // namespace coho::trainer
