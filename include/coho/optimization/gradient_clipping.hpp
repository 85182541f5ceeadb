#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <ranges>
#include <span>
#include <vector>

#include <coho/concepts.hpp>
#include <coho/error.hpp>

namespace coho::inline v0_1 {

namespace detail {

// A model's specific members come first: its gradients() may be unusable if they are on a device.
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

template <communicator Communicator, trainable Model>
void all_reduce_gradients(Communicator& ranks, Model& model) {
  if constexpr (requires { model.all_reduce_gradients(ranks); }) {
    model.all_reduce_gradients(ranks);
  } else if constexpr (requires { model.gradients(); }) {
    for (auto&& gradient : model.gradients()) {
      ranks.all_reduce_sum(span_of(gradient.data(), static_cast<std::size_t>(gradient.size())));
    }
  } else {
    require_argument(ranks.size() == 1,
                     "a model without gradients() needs all_reduce_gradients(communicator) to train on "
                     "more than one process");
  }
}

/// The largest of one number per rank.
template <class Communicator>
double all_reduce_max(double value, Communicator& ranks) {
  std::vector<double> all(static_cast<std::size_t>(ranks.size()), 0.0);
  all[static_cast<std::size_t>(ranks.rank())] = value;
  ranks.all_reduce_sum(span_of(all));
  return *std::max_element(all.begin(), all.end());
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

/// Sums the gradients of one or more models over the ranks, in place.
struct all_reduce_gradients_fn {
  template <communicator Communicator, trainable... Models>
  void operator()(Communicator& ranks, Models&... models) const {
    if (ranks.size() == 1) return;
    (detail::all_reduce_gradients(ranks, models), ...);
  }
};
inline constexpr all_reduce_gradients_fn all_reduce_gradients{};

}  // namespace coho::inline v0_1
