#pragma once

#include <cstdint>
#include <memory>

#include <coho/train/ppo.hpp>

#include "llama/adapter_bank.hpp"
#include "optimization/adamw.hpp"
#include "roles/policy_role.hpp"
#include "roles/value_role.hpp"
#include "shapes.hpp"

namespace coho::bench {

/// Policy, reference, reward and value model over one base, as `coho ppo` sets them up, and PPO steps of random tokens.
/// The reward model reads prompt and response as they are: there is no tokenizer, and no text.
class four_models {
 public:
  four_models(const shapes& sizes, const bench_machine& machine, trainer::llama_weights base);

  struct step_options {
    std::int64_t rollouts = 0, query_tokens = 0, response_tokens = 0;
    std::int64_t minibatches = 2;     ///< an epoch; SALMON's 288 of 576
    std::int64_t forward_tokens = 0;  ///< of a scoring forward, and of a micro-batch
    std::int64_t slots = 0;           ///< sequences decoded together
  };
  struct step_result {
    coho::ppo_phases seconds;  ///< the update with all that the device still did when the step returned
    double wall = 0;
    double epochs = 0, tokens = 0;  ///< response tokens
  };
  /// Responses have no end token: each is as long as it may be.
  step_result step(const step_options& options);

 private:
  const shapes& sizes_;
  const bench_machine& machine_;
  trainer::adapter_bank bank_;
  std::unique_ptr<trainer::adamw> policy_optimizer_, value_optimizer_;
};

}  // namespace coho::bench
