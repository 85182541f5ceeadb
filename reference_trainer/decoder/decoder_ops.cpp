#include "decoder/decoder_ops.hpp"

#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include "kernels/cpu/decoder_kernels.hpp"

namespace coho::trainer {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Blocks of rows are fixed, not a function of the thread count: sums over rows are the same with any number of threads.
constexpr std::int64_t block_rows = 256;

// Whether a CPU kernel takes the tensor; libtorch's operators do the rest.
bool has_kernel(const at::Tensor& x) { return x.is_cpu() && x.scalar_type() == at::kFloat; }

// Calls body(block, first row, rows) for all blocks, on all cores.
template <class Body>
void for_row_blocks(std::int64_t rows, const Body& body) {
  const std::int64_t blocks = (rows + block_rows - 1) / block_rows;
  at::parallel_for(0, blocks, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t block = begin; block < end; ++block) {
      const std::int64_t first = block * block_rows;
      body(block, first, std::min(block_rows, rows - first));
    }
  });
}

// `rms_norm` with the handwritten backward pass.
struct rms_norm_function : torch::autograd::Function<rms_norm_function> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight, double epsilon) {
    const rms_norm_result out = rms_norm_forward(x, weight, epsilon);
    context->save_for_backward({x, weight, out.r});
    context->saved_data["with_weight"] = weight.requires_grad();
    return out.y;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const bool with_weight = context->saved_data["with_weight"].toBool();
    const rms_norm_gradient out = rms_norm_backward(gradients[0], saved[0], saved[1], saved[2], with_weight);
    return {out.x, out.weight, at::Tensor()};
  }
};

// Rotates all heads by the kernel, forward or back; x may be a slice of a wider matrix.
at::Tensor rotate_rope(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin, float direction) {
  const std::int64_t rows = x.size(0), heads = x.size(1), depth = x.size(2);
  const bool sliced = x.stride(2) == 1 && x.stride(1) == depth;
  const at::Tensor in = sliced ? x : x.contiguous();
  at::Tensor y = at::empty({rows, heads, depth}, x.options());
  for_row_blocks(rows, [&](std::int64_t, std::int64_t first, std::int64_t count) {
    cpu::apply_rope({.x = in.data_ptr<float>() + first * in.stride(0),
                     .x_stride = in.stride(0),
                     .cos = cos.data_ptr<float>() + first * (depth / 2),
                     .sin = sin.data_ptr<float>() + first * (depth / 2),
                     .y = y.data_ptr<float>() + first * heads * depth,
                     .rows = count,
                     .heads = heads,
                     .depth = depth},
                    direction);
  });
  return y;
}

// `apply_rope` by the kernel; its backward pass rotates the gradient back.
struct rope_function : torch::autograd::Function<rope_function> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& cos,
                            const at::Tensor& sin) {
    context->save_for_backward({cos, sin});
    return rotate_rope(x, cos, sin, 1.0f);
  }
  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    return {rotate_rope(gradients[0], saved[0], saved[1], -1.0f), at::Tensor(), at::Tensor()};
  }
};

}  // namespace

rms_norm_result rms_norm_forward(const at::Tensor& x_in, const at::Tensor& weight, double epsilon) {
  const at::Tensor x = x_in.contiguous();
  const std::int64_t rows = x.size(0), width = x.size(1);
  if (!has_kernel(x) || weight.scalar_type() != at::kFloat) {
    const at::Tensor wide = x.to(at::kFloat);
    const at::Tensor r = at::rsqrt(wide.square().mean(-1) + epsilon);
    return {(wide * r.unsqueeze(1)).to(x.scalar_type()) * weight, r};
  }
  const at::Tensor y = at::empty_like(x), r = at::empty({rows}, x.options());
  for_row_blocks(rows, [&](std::int64_t, std::int64_t first, std::int64_t count) {
    cpu::rms_norm_forward(
        {.x = x.data_ptr<float>() + first * width, .w = weight.data_ptr<float>(), .rows = count, .width = width},
        static_cast<float>(epsilon), y.data_ptr<float>() + first * width, r.data_ptr<float>() + first);
  });
  return {y, r};
}

at::Tensor recompute_rms_norm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& r) {
  const at::Tensor column = r.unsqueeze(1);
  // The kernel's order of products, so that the result is bit-identical.
  if (has_kernel(x)) return (x * column).mul_(weight);
  return (x.to(at::kFloat) * column).to(x.scalar_type()) * weight;
}

rms_norm_gradient rms_norm_backward(const at::Tensor& g_in, const at::Tensor& x_in, const at::Tensor& weight,
                                    const at::Tensor& r, bool with_weight) {
  const at::Tensor x = x_in.contiguous(), g = g_in.contiguous();
  const std::int64_t rows = x.size(0), width = x.size(1), blocks = (rows + block_rows - 1) / block_rows;
  if (!has_kernel(x) || weight.scalar_type() != at::kFloat) {
    const at::Tensor normed = x.to(at::kFloat) * r.unsqueeze(1), scaled = g.to(at::kFloat) * weight.to(at::kFloat);
    const at::Tensor dx = (scaled - normed * (scaled * normed).mean(-1, true)).mul_(r.unsqueeze(1)).to(x.scalar_type());
    return {dx, with_weight ? (g.to(at::kFloat) * normed).sum(0).to(weight.scalar_type()) : at::Tensor()};
  }
  at::Tensor dx = at::empty_like(x), partial = at::zeros({blocks, width}, x.options());
  for_row_blocks(rows, [&](std::int64_t block, std::int64_t first, std::int64_t count) {
    cpu::rms_norm_backward(
        {.x = x.data_ptr<float>() + first * width, .w = weight.data_ptr<float>(), .rows = count, .width = width},
        r.data_ptr<float>() + first, g.data_ptr<float>() + first * width, dx.data_ptr<float>() + first * width,
        partial.data_ptr<float>() + block * width);
  });
  return {dx, with_weight ? partial.sum(0) : at::Tensor()};
}

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double epsilon) {
  return rms_norm_function::apply(x, weight, epsilon);
}

at::Tensor apply_rope(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin) {
  if (has_kernel(x)) return rope_function::apply(x, cos.contiguous(), sin.contiguous());
  const std::int64_t half = x.size(2) / 2;
  const at::Tensor a = x.narrow(2, 0, half).to(at::kFloat), b = x.narrow(2, half, half).to(at::kFloat);
  const at::Tensor c = cos.unsqueeze(1), s = sin.unsqueeze(1);
  return at::cat({a * c - b * s, b * c + a * s}, 2).to(x.scalar_type());
}

at::Tensor gated_silu(const at::Tensor& gate, const at::Tensor& up) { return at::silu(gate).mul_(up); }

}  // namespace coho::trainer
