#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include <ATen/ATen.h>

#include "quant/nf4.hpp"

namespace coho::trainer {

/// The weight [out, in] of one linear layer: a dense matrix, or one packed as NF4. Users request products and do not
/// see which; a packed weight is unpacked for each product and never kept unpacked.
class linear_weight {
 public:
  linear_weight() = default;
  linear_weight(at::Tensor dense) : dense_(std::move(dense)) {}
  linear_weight(nf4_tensor packed) : packed_(std::move(packed)) {}

  bool defined() const { return dense_.defined() || packed_.defined(); }
  bool is_quantized() const { return packed_.defined(); }
  std::int64_t out_features() const { return is_quantized() ? packed_.shape[0] : dense_.size(0); }
  std::int64_t in_features() const { return is_quantized() ? packed_.shape[1] : dense_.size(1); }
  std::int64_t numel() const { return out_features() * in_features(); }
  at::Device device() const { return is_quantized() ? packed_.device() : dense_.device(); }

  /// The dense matrix. Throws argument_error when the weight is packed.
  at::Tensor& dense();
  const at::Tensor& dense() const { return const_cast<linear_weight*>(this)->dense(); }
  /// The packed matrix; undefined for a dense weight.
  const nf4_tensor& packed() const { return packed_; }

  /// The matrix in a type: the dense one itself if it has that type, otherwise a new one.
  at::Tensor values(at::ScalarType type) const;
  /// x [N, in] → x Wᵀ + b [N, out], without b if it is undefined. Records no gradient for packed weights.
  at::Tensor product(const at::Tensor& x, const at::Tensor& bias = {}) const;
  /// g [N, out] → g W [N, in].
  at::Tensor transposed_product(const at::Tensor& g) const;

  /// Calls visit(part, tensor&) on each stored tensor; parts of a packed weight are identified by their suffixes
  /// (".absmax"), a dense one has an empty part.
  template <class Visitor>
  void visit(Visitor&& visitor) {
    if (!is_quantized()) {
      visitor(std::string(), dense_);
      return;
    }
    visitor(std::string(), packed_.codes);
    visitor(std::string(".absmax"), packed_.absmax);
    if (packed_.double_quantized()) {
      visitor(std::string(".nested_absmax"), packed_.nested_absmax);
      visitor(std::string(".nested_quant_map"), packed_.nested_map);
    }
  }

  /// A copy with storage of its own.
  linear_weight clone() const;
  /// A copy on another device; a dense matrix in another type too, while a packed one has no type.
  linear_weight to(at::ScalarType type, at::Device device) const;

 private:
  at::Tensor dense_;
  nf4_tensor packed_;
};

}  // namespace coho::trainer
