#pragma once

#include <span>
#include <string>
#include <utility>
#include <vector>

#include <coho/concepts.hpp>

#include "llama/adapter_bank.hpp"

namespace coho::trainer {

/// A role of the bank with a scalar head as a value model: V_t is read at the token before y_t, so that no value sees
/// the token it is to judge. Satisfies differentiable_value_model and, when the role is trained, trainable.
class value_role {
 public:
  value_role(adapter_bank& bank, std::string role) : bank_(&bank), role_(std::move(role)) {}

  struct output {
    std::vector<double> values;
  };
  class pullback {
   public:
    explicit pullback(at::Tensor values) : values_(std::move(values)) {}
    void operator()(const value_gradient& gradient);

   private:
    at::Tensor values_;
  };

  std::vector<double> values(const token_batch& batch);
  std::pair<output, pullback> forward(const token_batch& batch);

  void zero_gradients() { bank_->parameters(role_).zero_gradients(); }
  /// In host memory alone; those below work on any device.
  std::vector<std::span<float>> gradients() { return {bank_->parameters(role_).gradient_span()}; }
  double squared_gradient_norm() { return bank_->parameters(role_).squared_gradient_norm(); }
  void scale_gradients(double factor) { bank_->parameters(role_).scale_gradients(factor); }
  template <class Communicator>
  void all_reduce_gradients(Communicator& ranks) {
    bank_->parameters(role_).all_reduce_gradients(ranks);
  }
  void fold_gradients() { bank_->parameters(role_).fold_gradients(); }
  template <class Communicator>
  void unfold_gradients(Communicator& ranks) {
    bank_->parameters(role_).unfold_gradients(ranks);
  }
  void begin_share(std::size_t share) { bank_->parameters(role_).begin_share(share); }
  void end_shares() { bank_->parameters(role_).end_shares(); }

 private:
  at::Tensor evaluate(const token_batch& batch);

  adapter_bank* bank_;
  std::string role_;
};

}  // namespace coho::trainer
