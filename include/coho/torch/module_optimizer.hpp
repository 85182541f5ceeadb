#pragma once

#include <torch/optim/optimizer.h>

namespace coho::inline v0_1 {

/// A libtorch optimizer for coho's drivers, which set the learning rate of each step: it applies to every parameter
/// group. Held by reference. One over the parameters of both policy and value model steps both.
///
///     torch::optim::AdamW adam(module.parameters(), torch::optim::AdamWOptions().weight_decay(0.01));
///     coho::module_optimizer optimizer{adam};
class module_optimizer {
 public:
  explicit module_optimizer(torch::optim::Optimizer& optimizer) : optimizer_(&optimizer) {}

  /// Sets the learning rate of all parameter groups, then steps once.
  void step(double learning_rate) {
    for (auto& group : optimizer_->param_groups()) group.options().set_lr(learning_rate);
    optimizer_->step();
  }

 private:
  torch::optim::Optimizer* optimizer_;
};

}  // namespace coho::inline v0_1
