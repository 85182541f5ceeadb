#pragma once

#include <cmath>
#include <cstddef>
#include <ranges>

#include <coho/concepts.hpp>

namespace coho::inline v0_1 {

namespace detail {

/// Σ g² over all gradients of a model, in double. A model's specific member comes first, here and below: its
/// gradients() may be unusable if they are on a device.
template <trainable Model>
double squared_gradient_norm(Model& model) {
  if constexpr (requires {
                  { model.squared_gradient_norm() } -> std::convertible_to<double>;
                }) {
    return static_cast<double>(model.squared_gradient_norm());
  } else {
    double sum = 0;
    for (auto&& gradient : model.gradients()) {
      for (const auto g : gradient) sum += static_cast<double>(g) * static_cast<double>(g);
    }
    return sum;
  }
}

/// g ← g·factor for all gradients of a model, computed in double.
template <trainable Model>
void scale_gradients(Model& model, double factor) {
  if constexpr (requires { model.scale_gradients(factor); }) {
    model.scale_gradients(factor);
  } else {
    for (auto&& gradient : model.gradients()) {
      for (auto& g : gradient)
        g = static_cast<std::ranges::range_value_t<decltype(gradient)>>(static_cast<double>(g) * factor);
    }
  }
}

}  // namespace detail

/// Clips the joint Euclidean norm of the gradients of one or more models: g ← g · min(1, max_norm / ‖g‖), with ‖g‖ over
/// all models together; each model is measured and scaled where its gradients are (`trainable`). Returns ‖g‖ before
/// clipping; `max_norm` 0 only measures. If the norm is not finite the gradients stay as they are: callers must check
/// the result.
struct clip_gradient_norm_fn {
  template <trainable... Models>
  double operator()(double max_norm, Models&... models) const {
    const double norm = std::sqrt((detail::squared_gradient_norm(models) + ... + 0.0));
    if (max_norm > 0 && std::isfinite(norm) && norm > max_norm) {
      (detail::scale_gradients(models, max_norm / norm), ...);
    }
    return norm;
  }
};
inline constexpr clip_gradient_norm_fn clip_gradient_norm{};

}  // namespace coho::inline v0_1
