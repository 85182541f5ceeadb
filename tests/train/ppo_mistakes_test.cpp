// Mistakes that users of other trainers reported, as far as the PPO driver could make them.
#include <algorithm>
#include <cmath>
#include <functional>
#include <string>
#include <tuple>
#include <vector>

#include <coho/toy/vocabulary_tokenizer.hpp>
#include <coho/train/ppo.hpp>

#include "support/catch.hpp"
#include "support/small_world.hpp"

using namespace coho;
using coho::test::keep_rollouts, coho::test::small_world;

namespace {

/// The small world's policy with a sampler of the test's making.
struct scripted_policy {
  toy::tabular_policy& inner;
  std::function<generation(const packed<token>&)> script;
  std::vector<packed<token>> trained_on{};

  auto log_probs(const token_batch& batch) { return inner.log_probs(batch); }
  auto forward(const token_batch& batch) {
    trained_on.push_back(batch.responses);
    return inner.forward(batch);
  }
  generation generate(const packed<token>& prompts, const generation_options&, std::span<rng>) {
    return script(prompts);
  }
  void zero_gradients() { inner.zero_gradients(); }
  auto gradients() { return inner.gradients(); }
};

generation sampled(const toy::tabular_policy& model, const packed<token>& prompts, packed<token> responses,
                   std::vector<std::uint8_t> finished) {
  generation out{.responses = responses, .log_probs = {}, .finished = std::move(finished)};
  const auto log_probs = model.log_probs({prompts, responses});
  out.log_probs.values.assign(log_probs.begin(), log_probs.end());
  out.log_probs.offsets = responses.offsets;
  return out;
}

ppo_options three_tokens() {
  auto options = small_world::options();
  options.generation.max_new_tokens = 3;
  return options;
}

template <class Policy>
trajectory_batch rollouts_of(small_world& world, Policy& policy, const ppo_options& options, std::size_t count) {
  keep_rollouts keep;
  ppo_trainer trainer{ppo_models{policy, world.initial, world.value, small_world::reward, world.optimizer}, options};
  trainer.step(small_world::prompts(count), keep);
  return keep.seen;
}

}  // namespace

TEST_CASE("mistake 1: the sequence reward lands on the last real token") {
  small_world world;
  const packed<token> responses{{0}, {1, 2, 1}, {2, 0}};
  scripted_policy policy{world.policy, [&](const auto& prompts) {
                           return sampled(world.policy, prompts, responses, {1, 0, 1});
                         }};
  for (const bool padded : {false, true}) {
    auto options = three_tokens();
    options.padded_layout = padded;
    const auto seen = rollouts_of(world, policy, options, 3);
    for (std::size_t i = 0; i < 3; ++i) {
      for (std::size_t t = responses.offsets[i]; t < responses.offsets[i + 1]; ++t) {
        const bool last = t + 1 == responses.offsets[i + 1];
        const auto at = static_cast<Eigen::Index>(t);
        const double kl = seen.old_log_probs(at) - seen.reference_log_probs(at);
        CHECK(seen.rewards(at) == Approx(-0.5 * kl + (last ? small_world::reward_of(responses[i]) : 0.0)));
      }
    }
  }
}

TEST_CASE("mistake 2: finished is what the sampler says, not the presence of an end token") {
  small_world world;
  // The first response ends by a stop string without the end token, the second was cut although its text holds one.
  scripted_policy policy{world.policy, [&](const auto& prompts) {
                           return sampled(world.policy, prompts, {{1, 2}, {0, 1, 1}}, {1, 0});
                         }};
  auto options = three_tokens();
  options.shaping.unfinished_penalty = -6;
  const auto seen = rollouts_of(world, policy, options, 2);
  const auto plain = small_world::reward_of(seen.batch.responses[0]),
             cut = small_world::reward_of(seen.batch.responses[1]);
  CHECK(seen.rewards.head(2).sum() == Approx(plain));
  CHECK(seen.rewards.tail(3).sum() == Approx(cut - 6));
  CHECK(seen.query(0).finished);
  CHECK_FALSE(seen.query(1).finished);
}

TEST_CASE("mistakes 3 and 4: no token id marks padding, and padding is never counted") {
  small_world world;
  // Token 0 both ends a response and occurs in another one; the last response never ends.
  scripted_policy policy{world.policy, [&](const auto& prompts) {
                           return sampled(world.policy, prompts, {{0}, {1, 0, 2}, {0, 0, 0}, {2, 2, 2}}, {1, 0, 1, 0});
                         }};
  for (const bool padded : {false, true}) {
    auto options = three_tokens();
    options.padded_layout = padded;
    keep_rollouts keep;
    ppo_trainer trainer{ppo_models{policy, world.initial, world.value, small_world::reward, world.optimizer}, options};
    const auto s = trainer.step(small_world::prompts(4), keep);
    CHECK(s.tokens == 10);
    CHECK(s.length_mean == 2.5);
    CHECK(s.unfinished == 0.5);
    CHECK(keep.seen.advantages.size() == 10);
    CHECK(keep.seen.query(2).response_tokens.size() == 3);
  }
}

TEST_CASE("mistake 5: policy and reference are compared under one distribution") {
  // Temperature and banned tokens: at the start policy and reference are equal, so each KL term is exactly 0.
  small_world world(0.7, {2});
  auto options = small_world::options();
  options.generation.temperature = 0.7;
  options.generation.banned = {2};
  const auto seen = rollouts_of(world, world.policy, options, 50);
  CHECK((seen.old_log_probs - seen.reference_log_probs).abs().maxCoeff() == 0);

  // Sampling from another distribution than the one that log_probs describes is refused.
  options.generation.temperature = 1.0;
  CHECK_THROWS_AS(rollouts_of(world, world.policy, options, 4), argument_error);
  options.generation.temperature = 0.7;
  options.generation.banned = {};
  CHECK_THROWS_AS(rollouts_of(world, world.policy, options, 4), argument_error);

  // So is a truncated one, before anything is sampled, whatever the policy would make of it.
  options.generation.banned = {2};
  for (const auto& [top_p, top_k, temperature] :
       {std::tuple{0.9, std::size_t{0}, 0.7}, {1.0, std::size_t{2}, 0.7}, {1.0, std::size_t{0}, 0.0}}) {
    auto truncated = options;
    truncated.generation.top_p = top_p;
    truncated.generation.top_k = top_k;
    truncated.generation.temperature = temperature;
    CHECK_THROWS_AS(world.trainer(truncated), option_error);
  }
  CHECK_NOTHROW(rollouts_of(world, world.policy, options, 4));
}

TEST_CASE("mistake 6: the ratios of the first minibatch are 1") {
  small_world world(0.7, {2});
  auto options = small_world::options();
  options.generation.temperature = 0.7;
  options.generation.banned = {2};
  options.minibatch_size = 16;
  options.micro_batch = {.sequences = 3};
  options.scoring_batch = {.sequences = 7};
  auto trainer = world.trainer(options);
  for (int step = 0; step < 3; ++step) {
    const auto s = trainer.step(small_world::prompts(32));
    CHECK(s.first_ratio_deviation == 0);
    CHECK(s.approximate_kl > 0);  // later minibatches do move
  }
  options.old_log_probs = old_log_prob_source::recorded;
  auto recorded = world.trainer(options);
  CHECK(recorded.step(small_world::prompts(32)).first_ratio_deviation < 1e-6);  // recorded in single precision
}

TEST_CASE("mistake 7: log-probabilities of sampler and policy that disagree are reported and corrected") {
  small_world world;
  double error = 0;
  scripted_policy policy{world.policy, [&](const auto& prompts) {
                           auto out = sampled(world.policy, prompts, {{1, 2}, {0}, {2, 0}}, {0, 1, 1});
                           out.log_probs.values[1] -= static_cast<float>(error);
                           return out;
                         }};
  auto options = small_world::options();
  options.sampler_correction = importance_weights_options{.high = 1.5};
  options.whiten_advantages = false;
  const auto run = [&](keep_rollouts& keep) {
    ppo_trainer trainer{ppo_models{policy, world.initial, world.value, small_world::reward, world.optimizer}, options};
    return trainer.step(small_world::prompts(3), keep);
  };
  keep_rollouts keep;
  CHECK(run(keep).sampler_difference_max < 1e-6);
  error = 0.25;
  const auto s = run(keep);
  CHECK(s.sampler_difference_max == Approx(0.25).margin(1e-6));
  CHECK(s.sampler_difference_mean == Approx(0.05).margin(1e-6));
  // γ = λ = 1: without correction the advantage is the return minus the value.
  const double raw = keep.seen.returns(1) - keep.seen.values(1);
  CHECK(keep.seen.advantages(1) == Approx(raw * std::exp(0.25)).epsilon(1e-6));
  error = 2;
  run(keep);
  CHECK(keep.seen.advantages(1) == Approx((keep.seen.returns(1) - keep.seen.values(1)) * 1.5).epsilon(1e-6));
}

TEST_CASE("mistake 8: accumulation weighs tokens alike, not micro-batches") {
  // One long and one short response, a micro-batch each: a mean of means would weigh the short one's token threefold.
  small_world world;
  scripted_policy policy{world.policy, [&](const auto& prompts) {
                           return sampled(world.policy, prompts, {{1, 2, 1}, {0}}, {0, 1});
                         }};
  auto options = three_tokens();
  options.epochs = 1;
  options.whiten_advantages = false;
  options.micro_batch = {.sequences = 1};
  options.learning_rate.peak = 0;
  const auto seen = rollouts_of(world, policy, options, 2);
  // At ratio 1 dL/d log p_t = −A_t / 4, and d log p / d logit of the sampled token is 1 − p.
  const auto& table = world.policy.contexts();
  const std::vector<token> prompt{small_world::prompt};
  const auto context = table.context_after(prompt);
  const auto p = world.policy.probabilities(context);
  // First tokens of the two responses meet in the prompt's context.
  const double d_token1 = -seen.advantages(0) / 4 * (1 - p(1)) - seen.advantages(3) / 4 * (-p(1));
  CHECK(world.policy.gradient(1, static_cast<Eigen::Index>(context)) == Approx(d_token1));
}

TEST_CASE("mistake 9: padding enters neither advantages nor whitening") {
  const auto rollouts = [](bool padded) {
    small_world world;
    for (auto& v : world.value.table) v = 0.3;
    auto options = small_world::options();
    options.generation.max_new_tokens = 2;
    options.padded_layout = padded;
    options.shaping.whiten = true;
    options.gae = {.gamma = 0.9, .lambda = 0.8};
    // Padded slots are not the end of a response: nothing of them may be bootstrapped from.
    return rollouts_of(world, world.policy, options, 40);
  };
  const auto plain = rollouts(false), padded = rollouts(true);
  CHECK((plain.rewards - padded.rewards).abs().maxCoeff() < 1e-12);
  CHECK((plain.advantages - padded.advantages).abs().maxCoeff() < 1e-12);
  CHECK((plain.returns - padded.returns).abs().maxCoeff() < 1e-12);
  CHECK(std::abs(plain.advantages.mean()) < 1e-12);
}

TEST_CASE("mistake 11: a resumed run equals an uninterrupted one") {
  auto options = small_world::options();
  options.seed = 5;
  options.minibatch_size = 8;
  options.shaping.kl_coefficient = 0.3;
  options.adaptive_kl = adaptive_kl_options{.initial = 0.3, .target = 0.1, .horizon = 200};
  options.learning_rate = {.peak = 0.05, .kind = schedule_kind::cosine, .warmup_steps = 2, .total_steps = 8};
  const auto source = [](std::uint64_t step) { return small_world::prompts(16, 100 * step); };

  small_world whole;
  auto uninterrupted = whole.trainer(options);
  const auto history = uninterrupted.run(source, 8);

  small_world first;
  auto before = first.trainer(options);
  before.run(source, 3);

  small_world second;  // a new process: everything from what was saved
  second.policy.logits = first.policy.logits;
  second.value.table = first.value.table;
  second.optimizer.restore(first.optimizer.save());
  auto after = second.trainer(options);
  after.restore(before.save());
  const auto rest = after.run(source, 8);

  REQUIRE(rest.size() == 5);
  CHECK(second.policy.logits == whole.policy.logits);
  CHECK(second.value.table == whole.value.table);
  CHECK(after.save() == uninterrupted.save());
  for (std::size_t i = 0; i < rest.size(); ++i) {
    CHECK(rest[i].step == history[i + 3].step);
    CHECK(rest[i].learning_rate == history[i + 3].learning_rate);
    CHECK(rest[i].kl_coefficient == history[i + 3].kl_coefficient);
    CHECK(rest[i].shaped_reward_mean == history[i + 3].shaped_reward_mean);
  }
}

TEST_CASE("mistake 12: the tokens that were sampled are trained on, whatever their text") {
  small_world world;
  const packed<token> responses{{1, 2}, {2, 0}, {1, 1}};
  scripted_policy policy{world.policy, [&](const auto& prompts) {
                           return sampled(world.policy, prompts, responses, {0, 1, 0});
                         }};
  // All words look the same: encoding the text again could not give the tokens back.
  const auto decoder = [](std::span<const token> tokens) { return std::string(tokens.size(), 'x'); };
  keep_rollouts keep;
  ppo_trainer trainer{
      ppo_models{policy, world.initial, world.value, small_world::reward, world.optimizer, world.optimizer, decoder},
      small_world::options()};
  auto prompts = small_world::prompts(3);
  prompts[2].text = "given";
  trainer.step(prompts, keep);
  CHECK(keep.seen.response_texts == std::vector<std::string>{"xx", "xx", "xx"});
  CHECK(keep.seen.prompt_texts == std::vector<std::string>{"x", "x", "given"});
  REQUIRE(policy.trained_on.size() == 2);
  for (const auto& batch : policy.trained_on) {
    REQUIRE(batch.size() == 3);
    for (std::size_t i = 0; i < 3; ++i) {
      const bool found = std::ranges::any_of(std::vector<std::size_t>{0, 1, 2},
                                             [&](std::size_t k) { return std::ranges::equal(batch[k], responses[i]); });
      CHECK(found);
    }
  }
}
