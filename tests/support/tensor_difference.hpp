#pragma once

#include <ATen/ATen.h>

#include "support/catch.hpp"

namespace coho::test {

/// The largest entry of |a − b|, in double; tensors of one shape.
inline double largest_difference(const at::Tensor& a, const at::Tensor& b) {
  REQUIRE(a.sizes() == b.sizes());
  return a.numel() == 0 ? 0 : (a.detach().to(at::kDouble) - b.detach().to(at::kDouble)).abs().max().item<double>();
}

}  // namespace coho::test
