#pragma once

#include <algorithm>
#include <cmath>
#include <concepts>

#include <coho/error.hpp>
#include <coho/options.hpp>

namespace coho::inline v0_1 {

/// The state of a KL controller in a checkpoint.
struct kl_controller_state {
  double coefficient = 0;
  friend bool operator==(const kl_controller_state&, const kl_controller_state&) = default;
};

/// kl_controller: supplies the coefficient β of the KL penalty.
///  (1) `c.coefficient()` returns β for the next batch;
///  (2) `c.update(mean_sequence_kl, sequences)` receives the mean over sequences of Σ_t KL_t (nats) of a batch of
///      rollouts and the number of those sequences, over all ranks;
///  (3) `c.save()` and `c.restore(saved)` preserve its state across a restart.
template <class Controller>
concept kl_controller =
    requires(Controller& c, const Controller& saved, double kl, double sequences, const kl_controller_state& state) {
      { saved.coefficient() } -> std::convertible_to<double>;
      c.update(kl, sequences);
      { saved.save() } -> std::same_as<kl_controller_state>;
      c.restore(state);
    };

/// A constant β. Throws option_error when it is negative or not finite.
class fixed_kl_controller {
 public:
  explicit fixed_kl_controller(double coefficient = 0.02) : coefficient_(coefficient) {
    require_coefficient(coefficient);
  }

  double coefficient() const noexcept { return coefficient_; }
  /// Nothing: β is constant.
  void update(double, double) noexcept {}
  kl_controller_state save() const noexcept { return {coefficient_}; }
  /// The configured coefficient takes precedence: someone who changed it before a restart meant to.
  void restore(const kl_controller_state&) noexcept {}

 private:
  // A β of 0 is allowed: it measures the KL without a penalty.
  static void require_coefficient(double coefficient) {
    require_option(std::isfinite(coefficient) && coefficient >= 0, "coefficient", coefficient, "finite and at least 0");
  }
  double coefficient_;
};

struct adaptive_kl_options {
  double initial = 0.2;      ///< β of the first batch; > 0 (0 would stay 0)
  double target = 6;         ///< target mean KL per sequence, nats; > 0
  double horizon = 10000;    ///< sequences after which a relative error of 100 % has changed β by about 100 %; > 0
  double error_limit = 0.2;  ///< bound on the relative error of one update; > 0

  static void describe(auto&& visit, auto&... o) {
    visit({"initial", "β of the first step", allowed::above(0)}, o.initial...);
    visit({"target", "mean KL of a response that β aims at", allowed::above(0), "nats"}, o.target...);
    visit({"horizon", "responses over which an error of 100 % changes β by about that", allowed::above(0), "responses"},
          o.horizon...);
    visit({"error_limit", "bound on the relative error that one update sees", allowed::above(0)}, o.error_limit...);
  }
};

/// Proportional control of β in log space (Ziegler et al. 2019, "Fine-Tuning Language Models from Human Preferences",
/// §2.2):
///
///     e = clip((KL − target) / target, ±error_limit),   β ← β·max(1 + e·sequences / horizon, ½)
///
/// The bound of ½ acts only when one update sees more than 2.5 horizons of sequences (at the default error limit) and
/// keeps β positive there. Throws option_error at construction; argument_error from `update` when the KL is not finite,
/// from `restore` when the state is unusable.
///
///     coho::adaptive_kl_controller controller{{.initial = 0.1, .target = 6, .horizon = 10000}};
///     controller.update(mean_sequence_kl, 576);
///     options.kl_coefficient = controller.coefficient();
class adaptive_kl_controller {
 public:
  explicit adaptive_kl_controller(const adaptive_kl_options& options = {})
      : options_(options), coefficient_(options.initial) {
    validate(options);
  }

  double coefficient() const noexcept { return coefficient_; }
  const adaptive_kl_options& options() const noexcept { return options_; }

  /// One step of the control law above, after a batch of rollouts; `sequences` counts those of all ranks.
  void update(double mean_sequence_kl, double sequences) {
    require_argument(std::isfinite(mean_sequence_kl), "adaptive_kl_controller: the KL is not finite");
    require_argument(sequences >= 0 && std::isfinite(sequences),
                     "adaptive_kl_controller: the number of sequences is negative or not finite");
    const double error =
        std::clamp((mean_sequence_kl - options_.target) / options_.target, -options_.error_limit, options_.error_limit);
    coefficient_ *= std::max(1 + error * sequences / options_.horizon, 0.5);
  }

  kl_controller_state save() const noexcept { return {coefficient_}; }
  /// Continues with the saved β in place of `initial`.
  void restore(const kl_controller_state& saved) {
    require_argument(std::isfinite(saved.coefficient) && saved.coefficient > 0,
                     "adaptive_kl_controller: the saved coefficient is not a positive number");
    coefficient_ = saved.coefficient;
  }

 private:
  adaptive_kl_options options_;
  double coefficient_;
};

}  // namespace coho::inline v0_1
