#pragma once

#include <span>
#include <string>
#include <utility>
#include <vector>

#include <coho/concepts.hpp>

#include "llama/adapter_bank.hpp"
#include "roles/trained_role.hpp"

namespace coho::trainer {

/// A role of the bank with a scalar head as a value model: V_t is read at the token before y_t, so that no value sees
/// the token it judges. Satisfies differentiable_value_model and, if the role is trained, trainable.
class value_role : public trained_role {
 public:
  value_role(adapter_bank& bank, std::string role) : trained_role(bank, std::move(role)) {}

  /// One value per response token.
  struct output {
    std::vector<double> values;
  };
  /// Adds gradients to the role's parameters; holds the graph of one forward.
  class pullback {
   public:
    explicit pullback(at::Tensor values) : values_(std::move(values)) {}
    void operator()(const value_gradient& gradient);

   private:
    at::Tensor values_;
  };

  /// Values of the response tokens, concatenated; no gradient is recorded.
  std::vector<double> values(const token_batch& batch);
  /// The same with the pullback for their gradients.
  std::pair<output, pullback> forward(const token_batch& batch);

 private:
  // Values [M]; [0] for a batch without response tokens.
  at::Tensor evaluate(const token_batch& batch);
};

}  // namespace coho::trainer
