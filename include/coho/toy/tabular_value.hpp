#pragma once

#include <array>
#include <span>
#include <utility>
#include <vector>

#include <Eigen/Core>

#include <coho/concepts.hpp>
#include <coho/detail/if_called.hpp>
#include <coho/detail/span_of.hpp>
#include <coho/toy/context_table.hpp>

namespace coho::inline v0_1::toy {

/// A value model with one number per context: V_t = table[context before y_t]. differentiable_value_model and
/// trainable.
///
///     coho::toy::tabular_value value{4, 2};  // vocabulary, order
class tabular_value {
 public:
  struct output {
    std::vector<double> values;
  };

  template <class = detail::if_called>
  tabular_value(std::size_t vocabulary, std::size_t order) : contexts_(vocabulary, order) {
    table.setZero(static_cast<Eigen::Index>(contexts_.contexts()));
    gradient.setZero(table.size());
  }

  /// V_t of each response token.
  template <class = detail::if_called>
  std::vector<double> values(const token_batch& batch) const {
    std::vector<double> out;
    for (const std::size_t context : contexts_.response_contexts(batch))
      out.push_back(table(static_cast<Eigen::Index>(context)));
    return out;
  }

  /// The values and a pullback, which adds dL/dV_t to the gradient of its context.
  template <class = detail::if_called>
  auto forward(const token_batch& batch) {
    return std::pair{output{values(batch)},
                     [this, contexts = contexts_.response_contexts(batch)](const value_gradient& seed) {
                       for (std::size_t t = 0; t < seed.values.size(); ++t) {
                         gradient(static_cast<Eigen::Index>(contexts[t])) += seed.values[t];
                       }
                     }};
  }

  void zero_gradients() {
    for (double& g : gradient) g = 0;
  }
  std::array<std::span<double>, 1> gradients() {
    return {detail::span_of(gradient.data(), static_cast<std::size_t>(gradient.size()))};
  }
  std::array<std::span<double>, 1> parameters() {
    return {detail::span_of(table.data(), static_cast<std::size_t>(table.size()))};
  }

  Eigen::VectorXd table, gradient;  ///< [contexts]

 private:
  context_table contexts_;
};

}  // namespace coho::inline v0_1::toy
