#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include <ATen/ATen.h>
#include <Eigen/Core>

#include <coho/math.hpp>
#include <coho/torch/tensor_blocks.hpp>

namespace coho::inline v0_1 {

/// Tensors as arrays. The objects of <coho/math.hpp> and every `operator()` of a loss are differentiable on them, once:
/// losses over float or double tensors on the CPU are computed in one pass with their gradient in closed form, and
/// backward with create_graph throws argument_error there.
///
/// Algorithms whose results are constants of the optimisation (`gae`, `whiten`, `shape_rewards`, `make_token_weights`)
/// also take tensors: they copy to the host in double, run the same implementation there, and copy the result back to
/// the device and number type of their first argument. No gradient flows through them. Tensors are one-dimensional,
/// over packed response tokens.
///
///     auto loss = coho::ppo_clip_loss{}(log_probs, old_log_probs, advantages, weights);
///     loss.backward();
template <>
struct array_traits<at::Tensor> {
  using plain = at::Tensor;
  using scalar = at::Tensor;
  using value = at::Tensor;
  static constexpr bool host = false;
  using blocks = detail::tensor_blocks;

  template <class A, class B>
  static at::Tensor min(const A& a, const B& b) {
    return at::minimum(broadcast(a, b), broadcast(b, a));
  }
  template <class A, class B>
  static at::Tensor max(const A& a, const B& b) {
    return at::maximum(broadcast(a, b), broadcast(b, a));
  }
  static at::Tensor clamp(const at::Tensor& x, double low, double high) { return at::clamp(x, low, high); }
  template <class A, class B>
  static at::Tensor where(const at::Tensor& condition, const A& a, const B& b) {
    return at::where(condition, broadcast(a, b), broadcast(b, a));
  }
  static at::Tensor sum(const at::Tensor& x) { return at::sum(x); }
  static at::Tensor detach(const at::Tensor& x) { return x.detach(); }

  /// Flattened, without its graph; waits for the device.
  static Eigen::ArrayXd to_host(const at::Tensor& x) {
    const at::Tensor flat = x.detach().to(at::kCPU, at::kDouble).contiguous().view({-1});
    return Eigen::Map<const Eigen::ArrayXd>(flat.data_ptr<double>(), static_cast<Eigen::Index>(flat.numel()));
  }
  /// One-dimensional, in the number type of `like`, or in float if that has integers.
  static at::Tensor from_host(const Eigen::ArrayXd& x, const at::Tensor& like) {
    // An integer mask gives weights, which are not integers.
    const auto type = at::isFloatingType(like.scalar_type()) ? like.scalar_type() : at::kFloat;
    const at::Tensor out = at::empty({static_cast<std::int64_t>(x.size())}, at::kDouble);
    Eigen::Map<Eigen::ArrayXd>(out.data_ptr<double>(), x.size()) = x;
    return out.to(like.device(), type);
  }

  /// The sum over each sequence's tokens: [tokens] to [sequences].
  static at::Tensor sequence_sums(const at::Tensor& x, std::span<const std::size_t> offsets) {
    return at::zeros({static_cast<std::int64_t>(offsets.size()) - 1}, x.options())
        .index_add(0, sequence_indices(offsets, x), x);
  }
  /// Each sequence's number at all of its tokens: [sequences] to [tokens].
  static at::Tensor sequence_spread(const at::Tensor& x, std::span<const std::size_t> offsets) {
    return x.index_select(0, sequence_indices(offsets, x));
  }

 private:
  // The number of the sequence that each token belongs to, int64 [tokens] on the device of `like`.
  static at::Tensor sequence_indices(std::span<const std::size_t> offsets, const at::Tensor& like) {
    const at::Tensor out = at::empty({static_cast<std::int64_t>(offsets.back())}, at::kLong);
    for (std::size_t i = 0; i + 1 < offsets.size(); ++i) {
      std::fill(out.data_ptr<std::int64_t>() + offsets[i], out.data_ptr<std::int64_t>() + offsets[i + 1],
                static_cast<std::int64_t>(i));
    }
    return out.to(like.device());
  }

  // The operand itself, or a number as a 0-d tensor in the type and on the device of b.
  template <class A, class B>
  static at::Tensor broadcast(const A& a, const B& b) {
    if constexpr (std::is_convertible_v<const A&, at::Tensor>) {
      return a;
    } else {
      return at::scalar_tensor(static_cast<double>(a), static_cast<const at::Tensor&>(b).options());
    }
  }
};

}  // namespace coho::inline v0_1
