#pragma once

#include <algorithm>
#include <cstdint>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/core/grad_mode.h>

#include <coho/torch/log_prob_block.hpp>

namespace coho::inline v0_1::detail {

/// What forward and backward of `fused_log_probs` share: the tensors, detached, and how they are cut into blocks.
struct fused_log_probs_blocks {
  at::Tensor hidden, head, targets, bias;
  double inverse_temperature;
  std::int64_t rows, columns;
  const log_prob_block_kernels* kernels;

  /// The options that shape the computation; `block_rows` and `block_columns` of 0 are chosen for the device.
  struct settings {
    at::Tensor logit_bias;  // may be undefined
    double temperature;
    std::int64_t block_rows, block_columns;
    const log_prob_block_kernels* kernels;  // may be null
  };

  fused_log_probs_blocks(const at::Tensor& hidden_states, const at::Tensor& head_weights,
                         const at::Tensor& target_tokens, const settings& how)
      : hidden(hidden_states.detach()),
        head(head_weights.detach()),
        targets(target_tokens.contiguous()),
        inverse_temperature(1 / how.temperature),
        kernels(how.kernels) {
    const std::int64_t block_rows = how.block_rows, block_columns = how.block_columns;
    const bool cpu = hidden.is_cpu();
    // On the CPU a block fits the cache of a core, and few tokens are still distributed over threads.
    const std::int64_t count = hidden.size(0), most = block_rows > 0 ? block_rows : cpu ? 256 : 2048;
    const std::int64_t least = block_rows > 0 || !cpu ? 1 : std::min<std::int64_t>(4, (count + 63) / 64);
    const std::int64_t blocks = std::max<std::int64_t>({1, least, (count + most - 1) / most});
    rows = block_rows > 0 ? block_rows : std::max<std::int64_t>(1, (count + blocks - 1) / blocks);
    columns = std::min(head.size(0), block_columns > 0 ? block_columns : cpu ? 1024 : 8192);
    if (how.logit_bias.defined()) bias = how.logit_bias.detach().to(sums()).contiguous();
  }

  /// The type of logits and of sums.
  at::ScalarType sums() const { return hidden.scalar_type() == at::kDouble ? at::kDouble : at::kFloat; }
  /// The type of products: few CPUs multiply halves, and logits rounded to half would be off by hundredths.
  at::ScalarType products() const { return hidden.is_cpu() ? sums() : hidden.scalar_type(); }
  at::TensorOptions options() const { return hidden.options().dtype(sums()); }
  /// The bias of words [first, first + n); undefined without a bias.
  at::Tensor bias_block(std::int64_t first, std::int64_t n) const {
    return bias.defined() ? bias.narrow(0, first, n) : at::Tensor();
  }
  /// Hidden states of tokens [first, first + n), in the type of products.
  at::Tensor hidden_block(std::int64_t first, std::int64_t n) const {
    return hidden.narrow(0, first, n).to(products());
  }

  /// Calls body(first, n, buffers) for blocks of `step` out of `count`, from several threads. The blocks do not depend
  /// on the number of threads.
  template <class Body>
  void for_each_block(std::int64_t count, std::int64_t step, const Body& body) const {
    const std::int64_t blocks = (count + step - 1) / step;
    const auto some = [&](std::int64_t begin, std::int64_t end) {
      // Per thread. Tensors that the caller made in inference mode may be written here too.
      const at::AutoDispatchBelowADInplaceOrView plain_operators;
      const at::NoGradGuard no_gradient;
      buffers own;
      for (std::int64_t block = begin; block < end; ++block)
        body(block * step, std::min(step, count - block * step), own);
    };
    if (hidden.is_cpu())
      at::parallel_for(0, blocks, 1, some);
    else
      some(0, blocks);
  }

  /// Memory of a thread, reused block after block: fresh memory would cost more than the arithmetic on it.
  struct buffers {
    at::Tensor logits, entropy, weights;

    /// A view [rows, columns] of the buffer, which grows if it is too small; its numbers are of the block before.
    static at::Tensor reserve(at::Tensor& buffer, std::int64_t rows, std::int64_t columns,
                              const at::TensorOptions& options) {
      if (!buffer.defined() || buffer.numel() < rows * columns) buffer = at::empty({rows * columns}, options);
      return buffer.narrow(0, 0, rows * columns).view({rows, columns});
    }
  };

  /// Rows [first, first + n) of the head in the type of products, converted in the thread's buffer if need be.
  at::Tensor head_block(std::int64_t first, std::int64_t n, buffers& own) const {
    const at::Tensor part = head.narrow(0, first, n);
    if (head.scalar_type() == products()) return part;
    return buffers::reserve(own.weights, n, head.size(1), options()).copy_(part);
  }

  /// out = a b, or out += a b with `add`, where `out` has the type of sums.
  static void product(at::Tensor out, const at::Tensor& a, const at::Tensor& b, bool add) {
    if (out.scalar_type() == b.scalar_type()) {
      if (add)
        at::addmm_out(out, out, a, b);
      else
        at::mm_out(out, a, b);
    } else {
      const at::Tensor rounded = at::mm(a.to(b.scalar_type()), b);
      if (add)
        out.add_(rounded);
      else
        out.copy_(rounded);
    }
  }
};

}  // namespace coho::inline v0_1::detail
