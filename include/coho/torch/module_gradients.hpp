#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include <ATen/ATen.h>

#include <coho/packed.hpp>

namespace coho::inline v0_1 {

/// The gradients of a module's parameters, on any device: `trainable`, including several processes and shards. The
/// models over a module inherit from it. Parameters that need no gradient are skipped; one that no backward pass
/// reached has gradient 0.
///
///     coho::module_gradients gradients(module.parameters());
///     const double norm = std::sqrt(gradients.squared_gradient_norm());
class module_gradients {
 public:
  explicit module_gradients(const std::vector<at::Tensor>& parameters) {
    for (const auto& parameter : parameters) {
      if (parameter.requires_grad()) parameters_.push_back(parameter);
    }
  }

  void zero_gradients() {
    for (auto& parameter : parameters_) {
      if (parameter.grad().defined()) parameter.mutable_grad().zero_();
    }
  }
  /// Σ g², with the squares of each parameter summed in double.
  double squared_gradient_norm() const {
    double total = 0;
    for (const auto& parameter : parameters_) {
      if (parameter.grad().defined()) total += parameter.grad().to(at::kDouble).square().sum().item<double>();
    }
    return total;
  }
  void scale_gradients(double factor) {
    for (auto& parameter : parameters_) {
      if (parameter.grad().defined()) parameter.mutable_grad().mul_(factor);
    }
  }
  /// Through host memory, summed in double.
  template <class Communicator>
  void all_reduce_gradients(Communicator& ranks) {
    for (auto& parameter : parameters_) sum_into(parameter, gradient_of(parameter), ranks);
  }

  void fold_gradients() {
    if (folded_.empty()) {
      for (const auto& parameter : parameters_) folded_.push_back(at::zeros_like(parameter, at::kDouble));
    }
    for (std::size_t i = 0; i < parameters_.size(); ++i) folded_[i].add_(gradient_of(parameters_[i]));
    zero_gradients();
  }
  template <class Communicator>
  void unfold_gradients(Communicator& ranks) {
    // A rank without a shard has folded nothing, so it adds zeros.
    if (folded_.empty()) fold_gradients();
    for (std::size_t i = 0; i < parameters_.size(); ++i) sum_into(parameters_[i], folded_[i], ranks);
    folded_.clear();
  }

 private:
  static at::Tensor gradient_of(const at::Tensor& parameter) {
    return parameter.grad().defined() ? parameter.grad() : at::zeros_like(parameter);
  }

  template <class Communicator>
  static void sum_into(at::Tensor& parameter, const at::Tensor& mine, Communicator& ranks) {
    const at::Tensor host = mine.detach().to(at::kCPU, at::kDouble).contiguous().clone();
    ranks.all_reduce_sum(detail::span_of(host.data_ptr<double>(), static_cast<std::size_t>(host.numel())));
    parameter.mutable_grad() = host.to(parameter.device(), parameter.scalar_type());
  }

  std::vector<at::Tensor> parameters_, folded_;
};

}  // namespace coho::inline v0_1
