#include "roles/policy_role.hpp"

#include <ATen/core/grad_mode.h>
#include <c10/core/DeviceGuard.h>
#include <torch/csrc/autograd/autograd.h>

#include <coho/error.hpp>
#include <coho/torch/fused_log_probs.hpp>

#include "decoder/packed_batch.hpp"
#include "kernels/log_prob_kernels.hpp"
#include "roles/host_numbers.hpp"

namespace coho::trainer {

policy_role::policy_role(adapter_bank& bank, std::string role, policy_role_options options)
    : trained_role(bank, role),
      options_(std::move(options)),
      engine_(bank, role, options_.engine, options_.token_texts, options_.shared_prefix) {
  require_option(options_.temperature > 0, "temperature", options_.temperature, "above 0");
  if (!options_.banned.empty()) {
    at::Tensor bias = at::zeros({bank.config().vocab_size}, at::kFloat);
    for (const token id : options_.banned) {
      require_option(id >= 0 && id < bank.config().vocab_size, "banned", id, "a token of the vocabulary");
      // Finite, so that 0·log 0 in the entropy is 0 and not NaN.
      bias.data_ptr<float>()[id] = -1e9f;
    }
    logit_bias_ = bias.to(bank.device());
  }
}

std::pair<at::Tensor, at::Tensor> policy_role::evaluate(const token_batch& batch, bool entropy) {
  if (batch.responses.total() == 0) {
    const at::Tensor none = at::empty({0}, at::kFloat);
    return {none, entropy ? none : at::Tensor()};
  }
  // Kernels run on the current device, which may not be the model's if there are several.
  const c10::DeviceGuard guard(bank_->device());
  const response_batch packed(batch, bank_->device());
  const at::Tensor hidden = bank_->hidden(role_, packed.tokens, packed.layout).index_select(0, packed.predicting);
  const auto out = fused_log_probs(hidden, bank_->head(role_), packed.targets,
                                   {.temperature = options_.temperature,
                                    .logit_bias = logit_bias_,
                                    .entropy = entropy,
                                    .entropy_gradient = options_.entropy_gradient,
                                    .kernels = find_log_prob_kernels(bank_->device())});
  return {out.log_probs, out.entropy};
}

std::vector<double> policy_role::log_probs(const token_batch& batch) {
  const at::NoGradGuard no_gradient;
  return to_doubles(evaluate(batch, false).first);
}

std::pair<policy_role::output, policy_role::pullback> policy_role::forward(const token_batch& batch) {
  const auto [log_probs, entropy] = evaluate(batch, options_.entropy);
  output out{.log_probs = to_doubles(log_probs), .entropy = {}};
  if (entropy.defined()) out.entropy = to_doubles(entropy);
  return {std::move(out), pullback(log_probs, entropy)};
}

void policy_role::pullback::operator()(const policy_gradient& gradient) {
  std::vector<at::Tensor> outputs, gradients;
  if (!gradient.log_probs.empty()) {
    outputs.push_back(log_probs_);
    gradients.push_back(from_doubles(gradient.log_probs, log_probs_));
  }
  if (!gradient.entropy.empty()) {
    require_argument(entropy_.defined(), "policy_role: this policy was made without entropy");
    require_argument(entropy_.requires_grad(), "policy_role: this policy was made without the entropy's gradient");
    outputs.push_back(entropy_);
    gradients.push_back(from_doubles(gradient.entropy, entropy_));
  }
  if (!outputs.empty()) torch::autograd::backward(outputs, gradients);
}

generation policy_role::generate(const packed<token>& prompts, const generation_options& options,
                                 std::span<rng> streams) {
  require_argument(options.temperature == options_.temperature || options.temperature == 0,
                   "policy_role: generation.temperature must be the policy's own temperature, or 0 for greedy");
  generation_options all = options;
  all.banned.insert(all.banned.end(), options_.banned.begin(), options_.banned.end());
  return engine_.generate(prompts, all, options_.end_tokens, streams);
}

}  // namespace coho::trainer
