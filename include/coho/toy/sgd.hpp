#pragma once

#include <cstddef>
#include <tuple>

namespace coho::inline v0_1::toy {

/// θ ← θ − η g for the parameters of one or more models that have `parameters()` and `gradients()`. An optimizer.
///
///     coho::toy::sgd optimizer{policy, value};
template <class... Models>
class sgd {
 public:
  explicit sgd(Models&... models) : models_(models...) {}

  /// One step of all models, from the gradients that they hold.
  void step(double learning_rate) {
    std::apply([&](auto&... models) { (update(models, learning_rate), ...); }, models_);
  }

 private:
  // Steps the parameters of one model; spans k of parameters and gradients have the same length.
  template <class Model>
  static void update(Model& model, double learning_rate) {
    const auto parameters = model.parameters();
    const auto gradients = model.gradients();
    for (std::size_t k = 0; k < parameters.size(); ++k) {
      for (std::size_t i = 0; i < parameters[k].size(); ++i) parameters[k][i] -= learning_rate * gradients[k][i];
    }
  }
  std::tuple<Models&...> models_;
};

}  // namespace coho::inline v0_1::toy
