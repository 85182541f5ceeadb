#include <cmath>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <coho/train/options/ppo_options.hpp>

#include "support/catch.hpp"

using namespace coho;

TEST_CASE("the presets hold the published figures") {
  const auto paper = ppo_options::paper();
  CHECK_NOTHROW(paper.validate());
  CHECK(paper.minibatch_size == 288);
  CHECK(paper.epochs == 2);
  CHECK(paper.generation.max_new_tokens == 1024);
  CHECK(paper.shaping.kl_coefficient == 0.02);
  CHECK(paper.shaping.estimator == kl_estimator::k1);
  CHECK(paper.policy_clip.clip_low == 0.2);
  CHECK(paper.value_clip.clip == 0.2);
  CHECK(paper.value_coefficient == 0.1);
  CHECK(paper.gradient_norm_clip == 1);
  CHECK(paper.gae.gamma == 1);
  CHECK(paper.gae.lambda == 1);
  CHECK(paper.learning_rate.peak == 2e-5);
  CHECK(paper.learning_rate.kind == schedule_kind::cosine);
  CHECK_FALSE(paper.padded_layout);
  CHECK(paper.empty_responses == empty_response_rule::lowest);

  const auto code = ppo_options::salmon_code();
  CHECK_NOTHROW(code.validate());
  CHECK(code.generation.temperature == 0.7);
  CHECK(code.shaping.kl_coefficient == 0.01);
  CHECK(code.shaping.estimator == kl_estimator::k1_clamped);
  CHECK(code.shaping.unfinished_penalty == -6);
  CHECK(code.shaping.scale == 10);
  CHECK(code.learning_rate.warmup_steps == 5);
  CHECK(code.padded_layout);
  CHECK(code.empty_responses == empty_response_rule::scored);
}

TEST_CASE("each option outside its range is named") {
  CHECK_NOTHROW(ppo_options{}.validate());
  const std::vector<std::pair<std::string, std::function<void(ppo_options&)>>> mistakes{
      {"max_new_tokens", [](auto& o) { o.generation.max_new_tokens = 0; }},
      {"generation.temperature", [](auto& o) { o.generation.temperature = -1; }},
      {"generation.temperature", [](auto& o) { o.generation.temperature = 0; }},
      {"generation.temperature", [](auto& o) { o.generation.temperature = HUGE_VAL; }},
      {"generation.top_p", [](auto& o) { o.generation.top_p = 0; }},
      {"generation.top_p", [](auto& o) { o.generation.top_p = 0.99; }},
      {"generation.top_p", [](auto& o) { o.generation.top_p = std::nan(""); }},
      {"generation.top_k", [](auto& o) { o.generation.top_k = 1; }},
      {"sampler_correction.high", [](auto& o) { o.sampler_correction = importance_weights_options{.high = 0.5}; }},
      {"sampler_correction",
       [](auto& o) {
         o.sampler_correction = importance_weights_options{};
         o.old_log_probs = old_log_prob_source::recorded;
       }},
      {"normalization.deviation", [](auto& o) { o.normalization.deviation = 0; }},
      {"normalization.mean", [](auto& o) { o.normalization.mean = std::nan(""); }},
      {"shaping.kl_coefficient", [](auto& o) { o.shaping.kl_coefficient = -0.1; }},
      {"shaping.kl_clip", [](auto& o) { o.shaping.kl_clip = -1; }},
      {"shaping.reward_clip", [](auto& o) { o.shaping.reward_clip = std::nan(""); }},
      {"shaping.unfinished_penalty", [](auto& o) { o.shaping.unfinished_penalty = -HUGE_VAL; }},
      {"shaping.scale", [](auto& o) { o.shaping.scale = std::nan(""); }},
      {"shaping.whitening.epsilon", [](auto& o) { o.shaping.whitening.epsilon = 0; }},
      {"gamma", [](auto& o) { o.gae.gamma = 1.1; }},
      {"lambda", [](auto& o) { o.gae.lambda = -0.1; }},
      {"epsilon", [](auto& o) { o.advantage_whitening.epsilon = 0; }},
      {"epochs", [](auto& o) { o.epochs = 0; }},
      {"clip_low", [](auto& o) { o.policy_clip.clip_low = 0; }},
      {"clip", [](auto& o) { o.value_clip.clip = 0; }},
      {"value_coefficient", [](auto& o) { o.value_coefficient = -1; }},
      {"entropy_coefficient", [](auto& o) { o.entropy_coefficient = -1; }},
      {"gradient_norm_clip", [](auto& o) { o.gradient_norm_clip = HUGE_VAL; }},
      {"value_learning_rate_factor", [](auto& o) { o.value_learning_rate_factor = -1; }},
      {"target_kl", [](auto& o) { o.target_kl = -1; }},
      {"token_normalizer", [](auto& o) { o.reduction.token_normalizer = 5; }},
      {"fixed_length", [](auto& o) { o.reduction.fixed_length = -5; }},
      {"learning_rate.total_steps", [](auto& o) { o.learning_rate.kind = schedule_kind::linear; }},
      {"target", [](auto& o) { o.adaptive_kl = adaptive_kl_options{.target = 0}; }},
  };
  for (const auto& [name, mistake] : mistakes) {
    ppo_options options;
    mistake(options);
    INFO(name);
    CHECK_THROWS_WITH(options.validate(), Catch::Matchers::ContainsSubstring(name));
    CHECK_THROWS_AS(options.validate(), option_error);
  }
}
