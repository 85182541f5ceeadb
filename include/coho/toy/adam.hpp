#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <tuple>
#include <vector>

#include <coho/error.hpp>

namespace coho::inline v0_1::toy {

struct adam_options {
  double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;
};

/// Adam with bias correction (Kingma & Ba 2015, algorithm 1) for models that have `parameters()` and `gradients()`:
///
///     m ← β₁ m + (1 − β₁) g,  v ← β₂ v + (1 − β₂) g²,  θ ← θ − η (m / (1 − β₁ᵗ)) / (√(v / (1 − β₂ᵗ)) + ε)
///
/// `save` and `restore` carry the moments through a checkpoint.
///
///     coho::toy::adam optimizer{{}, policy};
template <class... Models>
class adam {
 public:
  /// The number of steps, and the moments m and v of all parameters in order.
  struct state {
    std::uint64_t steps = 0;
    std::vector<double> first, second;
  };

  explicit adam(adam_options options, Models&... models) : options_(options), models_(models...) {
    require_option(options.beta1 >= 0 && options.beta1 < 1, "beta1", options.beta1, "in [0, 1)");
    require_option(options.beta2 >= 0 && options.beta2 < 1, "beta2", options.beta2, "in [0, 1)");
    require_option(options.epsilon > 0, "epsilon", options.epsilon, "greater than 0");
  }

  /// One step of all models, from the gradients that they hold.
  void step(double learning_rate) {
    ++state_.steps;
    std::size_t at = 0;
    std::apply([&](auto&... models) { (update(models, learning_rate, at), ...); }, models_);
  }

  const state& save() const noexcept { return state_; }
  void restore(state saved) { state_ = std::move(saved); }

 private:
  // Steps the parameters of one model, whose moments are from `at` on; moves `at` past them. Moments of new parameters
  // start at 0.
  template <class Model>
  void update(Model& model, double learning_rate, std::size_t& at) {
    const auto parameters = model.parameters();
    const auto gradients = model.gradients();
    const double count = static_cast<double>(state_.steps);
    const double scale1 = 1 / (1 - std::pow(options_.beta1, count)), scale2 = 1 / (1 - std::pow(options_.beta2, count));
    for (std::size_t k = 0; k < parameters.size(); ++k) {
      if (state_.first.size() < at + parameters[k].size()) {
        state_.first.resize(at + parameters[k].size(), 0.0);
        state_.second.resize(at + parameters[k].size(), 0.0);
      }
      for (std::size_t i = 0; i < parameters[k].size(); ++i, ++at) {
        const double g = gradients[k][i];
        double &m = state_.first[at], &v = state_.second[at];
        m = options_.beta1 * m + (1 - options_.beta1) * g;
        v = options_.beta2 * v + (1 - options_.beta2) * g * g;
        parameters[k][i] -= learning_rate * m * scale1 / (std::sqrt(v * scale2) + options_.epsilon);
      }
    }
  }

  adam_options options_;
  std::tuple<Models&...> models_;
  state state_;
};

}  // namespace coho::inline v0_1::toy
