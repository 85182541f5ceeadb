#include "quant/nf4.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <string>

#include <ATen/Parallel.h>

#include <coho/error.hpp>

#include "kernels/cpu/nf4_kernels.hpp"

#ifdef COHO_HAVE_CUDA_KERNELS
#include <c10/core/DeviceGuard.h>
#include <c10/cuda/CUDAStream.h>

#include "kernels/cuda/launchers.hpp"
#endif

namespace coho::trainer {
namespace {

// Weights per thread chunk: large enough to hide the cost of a chunk, small enough for a core's cache.
constexpr std::int64_t chunk_size = 32768;
// Weights of a dequantised panel: 4 MB in fp32.
constexpr std::int64_t panel_size = 1 << 20;

// ⌈n/by⌉ for sizes far below 2^63.
std::int64_t divide_up(std::int64_t n, std::int64_t by) { return (n + by - 1) / by; }

bool is_float(at::ScalarType type) { return type == at::kFloat || type == at::kBFloat16 || type == at::kHalf; }

/// Absmax of blocks [first, first + count) as fp32: in place, or decoded into `buffer`.
const float* decode_absmax(const nf4_tensor& w, std::int64_t first, std::int64_t count, std::vector<float>& buffer) {
  if (!w.double_quantized()) return w.absmax.data_ptr<float>() + first;
  if (static_cast<std::int64_t>(buffer.size()) < count) buffer.resize(static_cast<std::size_t>(count));
  cpu::decode_nested_absmax(w.absmax.data_ptr<std::uint8_t>(), w.nested_absmax.data_ptr<float>(),
                            w.nested_map.data_ptr<float>(), w.nested_offset, w.nested_block_size, first, count,
                            buffer.data());
  return buffer.data();
}

/// Writes weights [begin, begin + count) to `out` on all cores; `begin` is the start of a block.
/// `kernel(codes, absmax, n, block_size, out)` dequantises one chunk.
template <class Output, class Kernel>
void dequantize_range(const nf4_tensor& w, std::int64_t begin, std::int64_t count, Output* out, const Kernel& kernel) {
  const std::int64_t chunk_blocks = std::max<std::int64_t>(1, chunk_size / w.block_size);
  const std::int64_t chunk = chunk_blocks * w.block_size;
  const std::uint8_t* codes = w.codes.data_ptr<std::uint8_t>();
  at::parallel_for(0, divide_up(count, chunk), 1, [&](std::int64_t first, std::int64_t last) {
    std::vector<float> buffer;
    for (std::int64_t i = first; i < last; ++i) {
      const std::int64_t at = begin + i * chunk, n = std::min(chunk, count - i * chunk);
      const float* absmax = decode_absmax(w, at / w.block_size, divide_up(n, w.block_size), buffer);
      kernel(codes + at / 2, absmax, n, w.block_size, out + i * chunk);
    }
  });
}

/// The same for an `out` of any of the three float types; fp16, for which there is no kernel, goes through fp32.
void dequantize_on_cpu(const nf4_tensor& w, std::int64_t begin, std::int64_t count, at::Tensor& out) {
  const auto& kernels = cpu::best_nf4_kernels();
  if (out.scalar_type() == at::kFloat) {
    dequantize_range(w, begin, count, out.data_ptr<float>(), kernels.dequantize);
  } else if (out.scalar_type() == at::kBFloat16) {
    auto* bits = reinterpret_cast<std::uint16_t*>(out.data_ptr<at::BFloat16>());
    dequantize_range(w, begin, count, bits, kernels.dequantize_bf16);
  } else {
    const auto through_floats = [&](const std::uint8_t* codes, const float* absmax, std::int64_t n,
                                    std::int64_t block_size, at::Half* to) {
      std::vector<float> wide(static_cast<std::size_t>(n));
      kernels.dequantize(codes, absmax, n, block_size, wide.data());
      std::copy(wide.begin(), wide.end(), to);
    };
    dequantize_range(w, begin, count, out.data_ptr<at::Half>(), through_floats);
  }
}

#ifdef COHO_HAVE_CUDA_KERNELS
/// The weight as the CUDA launchers take it: pointers into its tensors, which must outlive the launch.
coho_cuda_nf4 cuda_view(const nf4_tensor& w) {
  coho_cuda_nf4 view{};
  view.codes = w.codes.data_ptr<std::uint8_t>();
  view.absmax = w.absmax.data_ptr();
  if (w.double_quantized()) {
    view.nested_map = w.nested_map.data_ptr<float>();
    view.nested_absmax = w.nested_absmax.data_ptr<float>();
  }
  view.nested_offset = w.nested_offset;
  view.n = w.numel();
  view.block_size = w.block_size;
  view.nested_block_size = w.nested_block_size;
  return view;
}

coho_cuda_type cuda_type(at::ScalarType type) { return type == at::kBFloat16 ? coho_cuda_bfloat16 : coho_cuda_float32; }

/// Whether the kernel accepted the work: status 1 refuses sizes, which libtorch's operators then handle; any other
/// failure is thrown.
bool kernel_accepted(int status, const char* kernel) {
  if (status != 0 && status != 1) throw error(std::string(kernel) + ": CUDA error " + std::to_string(status));
  return status == 0;
}
#endif

/// Selects where to dequantise: the CPU kernel, the CUDA kernel, or libtorch's operators.
void dequantize_dispatch(const nf4_tensor& w, at::Tensor& out) {
  if (out.is_cpu()) return dequantize_on_cpu(w, 0, w.numel(), out);
#ifdef COHO_HAVE_CUDA_KERNELS
  if (out.is_cuda() && out.scalar_type() != at::kHalf) {
    const c10::DeviceGuard guard(out.device());
    const coho_cuda_nf4 view = cuda_view(w);
    void* stream = c10::cuda::getCurrentCUDAStream(out.device().index()).stream();
    if (kernel_accepted(coho_cuda_nf4_dequantize(&view, out.data_ptr(), cuda_type(out.scalar_type()), stream), "NF4"))
      return;
  }
#endif
  out.copy_(dequantize_by_gather(w, out.scalar_type()));
}

/// y = x Wᵀ for x [rows, in] in fp32, contiguous, with at most cpu::nf4_matvec_rows rows; on all cores.
void matvec_on_cpu(const at::Tensor& x, const nf4_tensor& w, at::Tensor& y) {
  const std::int64_t rows = x.size(0), in = w.shape[1], out = w.shape[0];
  std::vector<float> buffer;
  const float* absmax = decode_absmax(w, 0, w.blocks(), buffer);
  const auto& kernels = cpu::best_nf4_kernels();
  const std::int64_t step = std::max<std::int64_t>(1, chunk_size / in);
  at::parallel_for(0, divide_up(out, step), 1, [&](std::int64_t begin, std::int64_t end) {
    kernels.matvec({.x = x.data_ptr<float>(),
                    .rows = rows,
                    .in = in,
                    .codes = w.codes.data_ptr<std::uint8_t>(),
                    .absmax = absmax,
                    .block_size = w.block_size,
                    .first = begin * step,
                    .last = std::min(out, end * step),
                    .y = y.data_ptr<float>(),
                    .y_stride = out});
  });
}

/// x Wᵀ of a few rows directly from the codes if there is a kernel for it; otherwise undefined.
at::Tensor matvec_dispatch(const at::Tensor& x, const nf4_tensor& w) {
  if (x.is_cpu()) {
    at::Tensor y = at::empty({x.size(0), w.shape[0]}, x.options().dtype(at::kFloat));
    matvec_on_cpu(x.to(at::kFloat).contiguous(), w, y);
    return y.to(x.scalar_type());
  }
#ifdef COHO_HAVE_CUDA_KERNELS
  if (x.is_cuda() && x.scalar_type() != at::kHalf) {
    const c10::DeviceGuard guard(x.device());
    const coho_cuda_nf4 view = cuda_view(w);
    const at::Tensor rows = x.contiguous();
    at::Tensor y = at::empty({x.size(0), w.shape[0]}, x.options());
    void* stream = c10::cuda::getCurrentCUDAStream(x.device().index()).stream();
    if (kernel_accepted(coho_cuda_nf4_matvec(&view, rows.data_ptr(), x.size(0), w.shape[1], w.shape[0], y.data_ptr(),
                                             cuda_type(x.scalar_type()), stream),
                        "NF4")) {
      return y;
    }
  }
#endif
  return {};
}

/// Calls `body(first row, rows of W)` for panels of the weight, dequantised to fp32 into one buffer.
template <class Body>
void for_each_panel(const nf4_tensor& w, const Body& body) {
  const std::int64_t out = w.shape[0], in = w.shape[1];
  const std::int64_t step = w.block_size / std::gcd(in, w.block_size);  // this many rows are whole blocks
  const std::int64_t rows = std::min(out, divide_up(std::max<std::int64_t>(1, panel_size / in), step) * step);
  at::Tensor buffer = at::empty({rows, in}, w.codes.options().dtype(at::kFloat));
  for (std::int64_t first = 0; first < out; first += rows) {
    const std::int64_t count = std::min(rows, out - first);
    dequantize_on_cpu(w, first * in, count * in, buffer);
    body(first, buffer.narrow(0, 0, count));
  }
}

/// Throws unless x [N, W.shape[side]] can be multiplied by W; `who` is the caller's name in messages.
void check_product(const at::Tensor& x, const nf4_tensor& w, std::size_t side, const char* who) {
  w.check();
  require_argument(w.shape.size() == 2 && x.dim() == 2 && x.size(1) == w.shape[side],
                   std::string(who) + ": the input must be [rows, " +
                       (w.shape.size() == 2 ? std::to_string(w.shape[side]) : "columns of a matrix") + "]");
  require_argument(is_float(x.scalar_type()), std::string(who) + ": the input must be fp32, bf16 or fp16");
  require_argument(x.device() == w.device(), std::string(who) + ": the input and the weight are on different devices");
}

/// Calls `body(first weight, chunk)` with contiguous CPU chunks of fp32 or bf16 that begin at block boundaries; on all
/// cores if the weight is on the CPU.
template <class Body>
void for_each_chunk(const at::Tensor& weight, std::int64_t block_size, const Body& body) {
  // Rows of a matrix with any strides can be sliced without a copy of the whole; other shapes only if contiguous.
  const bool rows = weight.dim() == 2 && !weight.is_contiguous();
  const at::Tensor source = rows ? weight : weight.contiguous().view({-1, 1});
  const std::int64_t width = source.size(1), step = block_size / std::gcd(width, block_size);
  // From a device chunks are copied one after another: larger ones, 4 Mi weights, hide the latency of a copy.
  const std::int64_t size = weight.is_cpu() ? chunk_size : chunk_size * 128;
  const std::int64_t height = divide_up(std::max<std::int64_t>(1, size / width), step) * step;
  const auto work = [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t first = i * height;
      at::Tensor chunk = source.narrow(0, first, std::min(height, source.size(0) - first)).to(at::kCPU);
      if (chunk.scalar_type() == at::kHalf) chunk = chunk.to(at::kFloat);
      body(first * width, chunk.contiguous());
    }
  };
  const std::int64_t chunks = divide_up(source.size(0), height);
  if (weight.is_cpu()) {
    at::parallel_for(0, chunks, 1, work);
  } else {
    work(0, chunks);
  }
}

/// Replaces absmax in fp32 with 8-bit codes around its mean, nested_offset.
void double_quantize_absmax(nf4_tensor& w) {
  const at::Tensor absmax = w.absmax;
  const std::int64_t blocks = absmax.numel();
  const float* values = absmax.data_ptr<float>();
  w.nested_offset = static_cast<float>(std::accumulate(values, values + blocks, 0.0) / static_cast<double>(blocks));
  w.absmax = at::empty({blocks}, at::kByte);
  w.nested_absmax = at::empty({divide_up(blocks, w.nested_block_size)}, at::kFloat);
  w.nested_map = at::empty({256}, at::kFloat);
  std::copy(cpu::nf4_nested_map().begin(), cpu::nf4_nested_map().end(), w.nested_map.data_ptr<float>());
  at::parallel_for(0, w.nested_absmax.numel(), 64, [&](std::int64_t begin, std::int64_t end) {
    const std::int64_t first = begin * w.nested_block_size, last = std::min(blocks, end * w.nested_block_size);
    cpu::encode_nested_absmax(values + first, last - first, w.nested_offset, w.nested_block_size,
                              w.absmax.data_ptr<std::uint8_t>() + first, w.nested_absmax.data_ptr<float>() + begin);
  });
}

}  // namespace

void nf4_options::validate() const {
  require_option(block_size > 0 && block_size % 32 == 0, "block_size", block_size, "a positive multiple of 32");
}

std::int64_t nf4_tensor::numel() const {
  return std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>());
}

nf4_tensor nf4_tensor::to(at::Device device) const {
  nf4_tensor moved = *this;
  for (at::Tensor* part : {&moved.codes, &moved.absmax, &moved.nested_absmax, &moved.nested_map}) {
    if (part->defined()) *part = part->to(device);
  }
  return moved;
}

void nf4_tensor::check() const {
  const auto matches = [this](const at::Tensor& part, at::ScalarType element, std::int64_t count) {
    return part.defined() && part.scalar_type() == element && part.numel() == count && part.is_contiguous() &&
           part.device() == codes.device();
  };
  const bool nested = double_quantized();
  require_argument(block_size > 0 && block_size % 32 == 0 && nested_block_size > 0,
                   "NF4: the block size must be a positive multiple of 32");
  require_argument(matches(codes, at::kByte, divide_up(numel(), 2)), "NF4: the codes do not fit the shape");
  require_argument(matches(absmax, nested ? at::kByte : at::kFloat, blocks()), "NF4: absmax does not fit the shape");
  require_argument(nested == nested_map.defined(), "NF4: nested absmax without a map, or a map without");
  require_argument(!nested || (matches(nested_absmax, at::kFloat, divide_up(blocks(), nested_block_size)) &&
                               matches(nested_map, at::kFloat, 256)),
                   "NF4: the nested absmax does not fit");
}

nf4_tensor quantize_nf4(const at::Tensor& weight_in, const nf4_options& options) {
  options.validate();
  const at::Tensor weight = weight_in.detach();
  require_argument(is_float(weight.scalar_type()), "quantize_nf4: the weight must be fp32, bf16 or fp16");
  require_argument(weight.numel() > 0, "quantize_nf4: the weight is empty");
  nf4_tensor w;
  w.shape = weight.sizes().vec();
  w.type = weight.scalar_type();
  w.block_size = options.block_size;
  w.codes = at::empty({divide_up(weight.numel(), 2), 1}, at::kByte);
  w.absmax = at::empty({w.blocks()}, at::kFloat);
  const auto& kernels = cpu::best_nf4_kernels();
  for_each_chunk(weight, w.block_size, [&](std::int64_t first, const at::Tensor& chunk) {
    std::uint8_t* codes = w.codes.data_ptr<std::uint8_t>() + first / 2;
    float* absmax = w.absmax.data_ptr<float>() + first / w.block_size;
    if (chunk.scalar_type() == at::kFloat) {
      kernels.quantize(chunk.data_ptr<float>(), chunk.numel(), w.block_size, codes, absmax);
    } else {
      kernels.quantize_bf16(reinterpret_cast<const std::uint16_t*>(chunk.data_ptr<at::BFloat16>()), chunk.numel(),
                            w.block_size, codes, absmax);
    }
  });
  const float* absmax = w.absmax.data_ptr<float>();
  require_argument(std::all_of(absmax, absmax + w.absmax.numel(), [](float a) { return std::isfinite(a); }),
                   "quantize_nf4: the weight holds values that are not finite");
  if (options.double_quantize) double_quantize_absmax(w);
  return w.to(weight.device());
}

at::Tensor dequantize(const nf4_tensor& weight, at::ScalarType type) {
  weight.check();
  require_argument(is_float(type), "dequantize: the type must be fp32, bf16 or fp16");
  at::Tensor out = at::empty(weight.shape, weight.codes.options().dtype(type));
  dequantize_dispatch(weight, out);
  return out;
}

void dequantize_into(const nf4_tensor& weight, at::Tensor& out) {
  weight.check();
  require_argument(out.defined() && out.is_contiguous() && out.sizes() == at::IntArrayRef(weight.shape) &&
                       out.device() == weight.device() &&
                       (out.scalar_type() == at::kFloat || out.scalar_type() == at::kBFloat16),
                   "dequantize_into: the buffer must be contiguous, fp32 or bf16, of the weight's shape and device");
  dequantize_dispatch(weight, out);
}

at::Tensor dequantize_by_gather(const nf4_tensor& weight, at::ScalarType type) {
  weight.check();
  require_argument(is_float(type), "dequantize: the type must be fp32, bf16 or fp16");
  const auto floats = weight.codes.options().dtype(at::kFloat);
  const std::int64_t n = weight.numel(), blocks = weight.blocks();
  at::Tensor values = at::empty({16}, at::kFloat);
  std::copy(cpu::nf4_values.begin(), cpu::nf4_values.end(), values.data_ptr<float>());
  const at::Tensor codes = weight.codes.reshape({-1});
  const at::Tensor halves = at::stack({codes.bitwise_right_shift(4), codes.bitwise_and(15)}, 1).reshape({-1});
  at::Tensor looked_up = values.to(floats.device()).index_select(0, halves.to(at::kInt));
  looked_up = at::constant_pad_nd(looked_up.narrow(0, 0, n), {0, blocks * weight.block_size - n});
  at::Tensor absmax = weight.absmax;
  if (weight.double_quantized()) {
    // Two operations, each rounded: a fused one would give different bits.
    const at::Tensor mapped = weight.nested_map.index_select(0, absmax.to(at::kInt));
    const auto nested_block = at::arange(blocks, floats.dtype(at::kLong)).div(weight.nested_block_size, "floor");
    absmax = mapped.mul(weight.nested_absmax.index_select(0, nested_block)).add(weight.nested_offset);
  }
  const at::Tensor products = looked_up.view({blocks, weight.block_size}) * absmax.unsqueeze(1);
  return products.view({-1}).narrow(0, 0, n).to(type).view(weight.shape);
}

at::Tensor nf4_linear(const at::Tensor& x_in, const nf4_tensor& weight) {
  check_product(x_in, weight, 1, "nf4_linear");
  const at::Tensor x = x_in.detach();
  if (x.size(0) > 0 && x.size(0) <= cpu::nf4_matvec_rows) {
    if (const at::Tensor y = matvec_dispatch(x, weight); y.defined()) return y;
  }
  if (!x.is_cpu() || x.scalar_type() != at::kFloat) return at::matmul(x, dequantize(weight, x.scalar_type()).t());
  at::Tensor y = at::empty({x.size(0), weight.shape[0]}, x.options());
  for_each_panel(weight, [&](std::int64_t first, const at::Tensor& panel) {
    at::Tensor columns = y.narrow(1, first, panel.size(0));
    at::mm_out(columns, x, panel.t());
  });
  return y;
}

at::Tensor nf4_linear_backward(const at::Tensor& g_in, const nf4_tensor& weight) {
  check_product(g_in, weight, 0, "nf4_linear_backward");
  const at::Tensor g = g_in.detach();
  if (!g.is_cpu() || g.scalar_type() != at::kFloat) return at::matmul(g, dequantize(weight, g.scalar_type()));
  at::Tensor dx = at::zeros({g.size(0), weight.shape[1]}, g.options());
  for_each_panel(weight, [&](std::int64_t first, const at::Tensor& panel) {
    dx.addmm_(g.narrow(1, first, panel.size(0)), panel);
  });
  return dx;
}

}  // namespace coho::trainer
