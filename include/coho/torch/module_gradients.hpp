#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include <ATen/ATen.h>

#include <coho/detail/span_of.hpp>
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

  /// Sets the gradients that there are to zero, in place.
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
  /// g ← g·factor, in place.
  void scale_gradients(double factor) {
    for (auto& parameter : parameters_) {
      if (parameter.grad().defined()) parameter.mutable_grad().mul_(factor);
    }
  }
  /// Leaves the sum over the ranks in the gradients: through host memory, in double. All ranks call together.
  template <class Communicator>
  void all_reduce_gradients(Communicator& ranks) {
    for (auto& parameter : parameters_) set_summed_gradient(parameter, gradient_or_zeros(parameter), ranks);
  }

  /// Adds the gradients to sums in double on their device, and sets them to zero.
  void fold_gradients() {
    if (folded_.empty()) {
      for (const auto& parameter : parameters_) folded_.push_back(at::zeros_like(parameter, at::kDouble));
    }
    for (std::size_t i = 0; i < parameters_.size(); ++i) folded_[i].add_(gradient_or_zeros(parameters_[i]));
    zero_gradients();
  }
  /// Leaves those sums over all ranks in the gradients, and forgets them. All ranks call together.
  template <class Communicator>
  void unfold_gradients(Communicator& ranks) {
    // A rank without a shard has folded nothing, so it adds zeros.
    if (folded_.empty()) fold_gradients();
    for (std::size_t i = 0; i < parameters_.size(); ++i) set_summed_gradient(parameters_[i], folded_[i], ranks);
    folded_.clear();
  }

 private:
  // No backward pass has reached a parameter whose gradient is undefined.
  static at::Tensor gradient_or_zeros(const at::Tensor& parameter) {
    return parameter.grad().defined() ? parameter.grad() : at::zeros_like(parameter);
  }

  // The parameter's gradient ← Σ over ranks of `mine`, in the parameter's type and device.
  template <class Communicator>
  static void set_summed_gradient(at::Tensor& parameter, const at::Tensor& mine, Communicator& ranks) {
    const at::Tensor host = mine.detach().to(at::kCPU, at::kDouble).contiguous().clone();
    ranks.all_reduce_sum(detail::span_of(host.data_ptr<double>(), static_cast<std::size_t>(host.numel())));
    parameter.mutable_grad() = host.to(parameter.device(), parameter.scalar_type());
  }

  std::vector<at::Tensor> parameters_, folded_;
};

}  // namespace coho::inline v0_1
