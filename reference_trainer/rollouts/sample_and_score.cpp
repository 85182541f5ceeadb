#include "rollouts/sample_and_score.hpp"

#include <utility>

namespace coho::trainer {

scored_responses sample_and_score(policy_role& policy, reward_role* reward, const prompter& decoder,
                                  std::span<const rl_prompt> prompts, const generation_options& options,
                                  std::span<rng> streams) {
  scored_responses out;
  for (const auto& prompt : prompts) out.batch.prompts.push_back(prompt.tokens);
  generation sampled = policy.generate(out.batch.prompts, options, streams);
  out.batch.responses = std::move(sampled.responses);
  out.finished = std::move(sampled.finished);
  const token_batch& batch = out.batch;
  for (std::size_t i = 0; i < prompts.size(); ++i) out.texts.push_back(decoder.response_text(batch.responses[i]));
  for (std::size_t i = 0; i < prompts.size(); ++i)
    out.queries.push_back({.prompt_tokens = batch.prompts[i],
                           .response_tokens = batch.responses[i],
                           .prompt = prompts[i].text,
                           .response = out.texts[i],
                           .principles = prompts[i].principles,
                           .finished = out.finished[i] != 0,
                           .length_multiplier = prompts[i].length_multiplier});
  out.scores = reward != nullptr ? reward->score(out.queries) : std::vector<double>(prompts.size(), 0.0);
  return out;
}

}  // namespace coho::trainer
