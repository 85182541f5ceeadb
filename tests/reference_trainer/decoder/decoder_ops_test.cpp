#include "decoder/decoder_ops.hpp"

#include "support/catch.hpp"
#include "support/small_models.hpp"

using namespace coho::trainer;
using namespace coho::test;

namespace {

at::Tensor leaf(const at::Tensor& values) { return values.clone().set_requires_grad(true); }

}  // namespace

TEST_CASE("decoder_ops: rms_norm and its gradients are those of the composite") {
  // More rows than one block of the kernel's.
  const at::Tensor values = random_tensor({300, 19}, 1), scale = random_tensor({19}, 2),
                   upstream = random_tensor({300, 19}, 3);
  at::Tensor x = leaf(values), w = leaf(scale), x2 = leaf(values), w2 = leaf(scale);
  const at::Tensor y = rms_norm(x, w, 1e-5), y2 = x2 * at::rsqrt(x2.square().mean(-1, true) + 1e-5) * w2;
  CHECK(largest_difference(y, y2) < 1e-5);
  y.backward(upstream);
  y2.backward(upstream);
  CHECK(largest_difference(x.grad(), x2.grad()) < 1e-4);
  CHECK(largest_difference(w.grad(), w2.grad()) < 1e-3);
}

TEST_CASE("decoder_ops: the rotary embedding and its gradient are those of the composite") {
  const at::Tensor values = random_tensor({9, 3, 8}, 4), angle = random_tensor({9, 4}, 5),
                   upstream = random_tensor({9, 3, 8}, 6);
  const at::Tensor cos = angle.cos(), sin = angle.sin(), c = cos.unsqueeze(1), s = sin.unsqueeze(1);
  at::Tensor x = leaf(values), x2 = leaf(values);
  const at::Tensor y = apply_rope(x, cos, sin);
  const at::Tensor a = x2.narrow(2, 0, 4), b = x2.narrow(2, 4, 4);
  const at::Tensor y2 = at::cat({a * c - b * s, b * c + a * s}, 2);
  CHECK(largest_difference(y, y2) < 1e-6);
  y.backward(upstream);
  y2.backward(upstream);
  CHECK(largest_difference(x.grad(), x2.grad()) < 1e-6);
  // A rotation keeps lengths.
  CHECK(largest_difference(y.square().sum(), values.square().sum()) < 1e-3);
}
