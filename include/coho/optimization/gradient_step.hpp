#pragma once

#include <cmath>
#include <string>

#include <coho/concepts.hpp>
#include <coho/detail/if_called.hpp>
#include <coho/error.hpp>
#include <coho/optimization/gradient_clipping.hpp>
#include <coho/parallel/all_reduce.hpp>

namespace coho::inline v0_1 {

/// The end of each optimizer step: sums the gradient over the ranks, clips its norm to `norm_clip` (0: off) and steps.
/// Returns the norm before clipping. Throws `error`, naming `what`, when the gradient is not finite; nothing is changed
/// then.
///
///     const double norm = coho::gradient_step("step 7", model, optimizer, 2e-5, 1.0, ranks);
struct gradient_step_fn {
  template <trainable Model, optimizer Optimizer, communicator Communicator = const local_communicator>
  double operator()(const std::string& what, Model& model, Optimizer& optimizer, double learning_rate, double norm_clip,
                    Communicator& ranks = local) const {
    all_reduce_gradients(ranks, model);
    const double norm = clip_gradient_norm(norm_clip, model);
    require_finite_norm(norm, what);
    optimizer.step(learning_rate);
    return norm;
  }

  /// Throws `error`, naming `what`, for a norm that is NaN or infinite: for steps that clip by themselves.
  template <class = detail::if_called>
  static void require_finite_norm(double norm, const std::string& what) {
    if (!std::isfinite(norm)) throw error(what + ": the gradient is not finite; nothing was changed");
  }
};
inline constexpr gradient_step_fn gradient_step{};

}  // namespace coho::inline v0_1
