#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

#include <coho/concepts.hpp>
#include <coho/detail/span_of.hpp>
#include <coho/error.hpp>
#include <coho/packed.hpp>

namespace coho::inline v0_1 {

namespace detail {

/// One model: by its own member if it has one, otherwise span by span. Throws argument_error on several ranks for a
/// model that has neither.
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

/// The largest of one number per rank, by a sum in which each rank has its own place. All ranks call together.
template <class Communicator>
double all_reduce_max(double value, Communicator& ranks) {
  std::vector<double> all(static_cast<std::size_t>(ranks.size()), 0.0);
  all[static_cast<std::size_t>(ranks.rank())] = value;
  ranks.all_reduce_sum(span_of(all));
  return *std::max_element(all.begin(), all.end());
}

}  // namespace detail

/// Sums the gradients of one or more models over the ranks, in place. All ranks call together; one rank changes
/// nothing.
struct all_reduce_gradients_fn {
  template <communicator Communicator, trainable... Models>
  void operator()(Communicator& ranks, Models&... models) const {
    if (ranks.size() == 1) return;
    (detail::all_reduce_gradients(ranks, models), ...);
  }
};
inline constexpr all_reduce_gradients_fn all_reduce_gradients{};

}  // namespace coho::inline v0_1
