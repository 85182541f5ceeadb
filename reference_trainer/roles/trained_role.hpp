#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "llama/adapter_bank.hpp"

namespace coho::trainer {

/// What the roles of the bank share: their gradients, as the library's `trainable` asks for them. All members forward
/// to the role's parameter_set and throw argument_error for a role that is not trained.
class trained_role {
 public:
  void zero_gradients() { parameters().zero_gradients(); }
  /// In host memory only; those below work on any device.
  std::vector<std::span<float>> gradients() { return {parameters().gradient_span()}; }
  double squared_gradient_norm() { return parameters().squared_gradient_norm(); }
  void scale_gradients(double factor) { parameters().scale_gradients(factor); }
  template <class Communicator>
  void all_reduce_gradients(Communicator& ranks) {
    parameters().all_reduce_gradients(ranks);
  }
  void fold_gradients() { parameters().fold_gradients(); }
  template <class Communicator>
  void unfold_gradients(Communicator& ranks) {
    parameters().unfold_gradients(ranks);
  }
  void begin_shard(std::size_t shard) { parameters().begin_shard(shard); }
  void end_shards() { parameters().end_shards(); }

 protected:
  trained_role(adapter_bank& bank, std::string role) : bank_(&bank), role_(std::move(role)) {}

  adapter_bank* bank_;
  std::string role_;

 private:
  parameter_set& parameters() { return bank_->parameters(role_); }
};

}  // namespace coho::trainer
