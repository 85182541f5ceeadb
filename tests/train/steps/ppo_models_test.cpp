#include <string>
#include <type_traits>
#include <vector>

#include <coho/toy/vocabulary_tokenizer.hpp>
#include <coho/train/ppo.hpp>
#include <coho/train/steps/ppo_models.hpp>

#include "support/archetypes.hpp"
#include "support/catch.hpp"

using namespace coho;
namespace archetype = coho::test::archetype;

TEST_CASE("types are deduced, and one optimizer stands for both") {
  archetype::trained_policy policy;
  archetype::policy reference;
  archetype::trained_value value;
  archetype::optimizer optimizer;
  archetype::reward_model reward;
  ppo_models models{policy, reference, value, reward, optimizer};
  CHECK(&models.value_optimizer == &optimizer);
  CHECK(models.ranks.size() == 1);
  CHECK(models.bonus(reward_query{}) == 0);

  // The driver asks for no more than the concepts.
  ppo_trainer trainer{models};
  const std::vector<rl_prompt> prompts{{.tokens = {1}, .key = 0}, {.tokens = {2}, .key = 1}};
  const auto s = trainer.step(prompts);
  CHECK(s.score_mean == 0.5);
  CHECK(s.entropy == 1);  // −log π of the rollouts, since this forward has no entropy
  CHECK_THROWS_WITH(ppo_trainer(models, {.entropy_coefficient = 0.1}),
                    Catch::Matchers::ContainsSubstring("entropy_coefficient"));
}

#if !defined(__clang__) || __clang_major__ >= 17
TEST_CASE("models and components are given by name, those with a default left out") {
  archetype::trained_policy policy;
  archetype::policy reference;
  archetype::trained_value value;
  archetype::optimizer optimizer;
  archetype::reward_model reward;
  const local_communicator ranks;
  ppo_models models{.policy = policy,
                    .reference = reference,
                    .value = value,
                    .reward = reward,
                    .optimizer = optimizer,
                    .ranks = ranks};
  CHECK(&models.ranks == &ranks);
  CHECK(&models.value_optimizer == &optimizer);
  STATIC_REQUIRE(std::is_same_v<decltype(models),
                                ppo_models<archetype::trained_policy, archetype::policy, archetype::trained_value,
                                           archetype::reward_model, archetype::optimizer>>);
  const ppo_components components{.advantage = gae};
  STATIC_REQUIRE(std::is_same_v<decltype(components), const ppo_components<from_options, from_options, gae_fn>>);
}
#endif

TEST_CASE("one object may be policy and value model") {
  struct both : archetype::causal_lm, archetype::value_model, archetype::trainable {
    struct output {
      std::vector<float> log_probs, values;
    };
    struct pullback {
      void operator()(const policy_gradient&) const {}
      void operator()(const value_gradient&) const {}
    };
    auto forward(const token_batch& batch) { return std::pair(output{log_probs(batch), values(batch)}, pullback{}); }
    void zero_gradients() { gradient = {3, 4}; }
  } model;
  archetype::policy reference;
  archetype::reward_model reward;
  archetype::optimizer optimizer;
  ppo_trainer trainer{ppo_models{model, reference, model, reward, optimizer}};
  const auto s = trainer.step(std::vector<rl_prompt>{{.tokens = {1}, .key = 0}});
  CHECK(s.gradient_norm == Approx(5));  // counted once
}

TEST_CASE("decoders of both forms") {
  const toy::vocabulary_tokenizer words({"</s>", "fox"}, 0);
  const std::vector<token> tokens{1, 1, 0};
  CHECK(detail::decode_with(words, tokens) == "fox fox");
  const auto lambda = [](std::span<const token> t) { return std::string(t.size(), 'a'); };
  CHECK(detail::decode_with(lambda, tokens) == "aaa");
  CHECK(detail::decode_with(no_decoder, tokens).empty());
  STATIC_REQUIRE(detail::decoding<const toy::vocabulary_tokenizer>);
  STATIC_REQUIRE_FALSE(detail::decoding<int>);
}
