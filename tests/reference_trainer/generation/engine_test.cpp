#include "generation/engine.hpp"

#include <ATen/core/grad_mode.h>

#include <coho/error.hpp>
#include <coho/reward/shaping.hpp>

#include "roles/policy_role.hpp"
#include "support/catch.hpp"
#include "support/small_models.hpp"

using namespace coho;
using namespace coho::trainer;
using namespace coho::test;

namespace {

packed<token> seven_prompts() {
  packed<token> out;
  for (const std::size_t length : {5, 1, 12, 3, 9, 2, 7}) out.push_back(random_tokens(length, 23, 100 + length));
  return out;
}

std::vector<rng> streams_of(std::size_t count) {
  std::vector<rng> out;
  for (std::size_t i = 0; i < count; ++i) out.push_back(rng{5}.split(i));
  return out;
}

generation run(adapter_bank& bank, const packed<token>& prompts, std::int64_t slots, const generation_options& options,
               std::vector<rng> streams, const std::vector<token>& ends = {0}, std::vector<std::string> texts = {}) {
  generation_engine engine(bank, "policy", {.slots = slots, .prefill_tokens = 20}, std::move(texts));
  return engine.generate(prompts, options, ends, streams);
}

}  // namespace

TEST_CASE("engine: a response depends on its prompt and rng alone") {
  for (const std::int64_t window : {0, 4}) {
    adapter_bank bank(small_weights(window));
    bank.add_base("policy");
    const auto prompts = seven_prompts();
    const generation_options options{.max_new_tokens = 15, .temperature = 0.8};
    const auto all = run(bank, prompts, 7, options, streams_of(7)), few = run(bank, prompts, 2, options, streams_of(7));
    CHECK(all.responses == few.responses);
    CHECK(all.finished == few.finished);
    for (std::size_t i = 0; i < 7; ++i) {
      packed<token> one;
      one.push_back(prompts[i]);
      const auto alone = run(bank, one, 1, options, {rng{5}.split(i)});
      CHECK(std::ranges::equal(alone.responses.values, all.responses[i]));
      for (std::size_t t = 0; t < alone.log_probs.total(); ++t) {
        CHECK(alone.log_probs.values[t] == Approx(all.log_probs[i][t]).margin(1e-5));
        CHECK(few.log_probs[i][t] == Approx(all.log_probs[i][t]).margin(1e-5));
      }
    }
  }
}

TEST_CASE("engine: recorded log-probabilities are those of the policy") {
  adapter_bank bank(small_weights());
  bank.add_base("policy");
  policy_role policy(bank, "policy", {.temperature = 0.7, .banned = {4, 11}, .end_tokens = {0}});
  const auto prompts = seven_prompts();
  auto streams = streams_of(7);
  const auto out = policy.generate(prompts, {.max_new_tokens = 12, .temperature = 0.7}, streams);
  const auto log_probs = policy.log_probs({prompts, out.responses});
  REQUIRE(log_probs.size() == out.log_probs.total());
  for (std::size_t t = 0; t < log_probs.size(); ++t)
    CHECK(log_probs[t] == Approx(out.log_probs.values[t]).margin(1e-5));
  for (const token id : out.responses.values) CHECK((id != 4 && id != 11));
}

TEST_CASE("engine: in bf16 the sampler's logits are the scorer's, not their rounding") {
  adapter_bank bank(small_weights().to(at::kBFloat16, at::kCPU));
  bank.add_base("policy");
  policy_role policy(bank, "policy");
  const auto prompts = seven_prompts();
  auto streams = streams_of(7);
  // One token: the hidden states behind it are the same ones.
  const auto out = policy.generate(prompts, {.max_new_tokens = 1}, streams);
  const auto log_probs = policy.log_probs({prompts, out.responses});
  for (std::size_t t = 0; t < log_probs.size(); ++t)
    CHECK(log_probs[t] == Approx(out.log_probs.values[t]).margin(1e-4));
}

TEST_CASE("engine: a response ends at an end token, a stop string or the limit") {
  adapter_bank bank(small_weights());
  bank.add_base("policy");
  packed<token> prompts;
  prompts.push_back({token{3}, token{8}});
  const auto free = run(bank, prompts, 1, {.max_new_tokens = 10, .temperature = 0}, {rng{1}}, {});
  REQUIRE(free.responses.total() == 10);
  CHECK(free.finished[0] == 0);

  const token end = free.responses.values[4];
  const auto first =
      static_cast<std::size_t>(std::ranges::find(free.responses.values, end) - free.responses.values.begin());
  const auto ended = run(bank, prompts, 1, {.max_new_tokens = 10, .temperature = 0}, {rng{1}}, {end});
  CHECK(ended.responses.total() == first + 1);
  CHECK(ended.finished[0] == 1);

  // Token i reads "<i>": this stop string begins within one token and ends within the next.
  std::vector<std::string> texts;
  for (int i = 0; i < 23; ++i) texts.push_back("<" + std::to_string(i) + ">");
  const auto& ids = free.responses.values;
  const std::string stop = std::to_string(ids[2]) + "><" + std::to_string(ids[3]);
  std::size_t expected = 0;
  for (std::size_t t = 1; t < ids.size() && expected == 0; ++t)
    if (ids[t - 1] == ids[2] && ids[t] == ids[3]) expected = t + 1;
  const auto stopped =
      run(bank, prompts, 1, {.max_new_tokens = 10, .temperature = 0, .stop = {stop}}, {rng{1}}, {}, texts);
  CHECK(stopped.responses.total() == expected);
  CHECK(stopped.finished[0] == 1);
}

TEST_CASE("engine: a response that an unfinished stop ends pays the penalty of one that the limit cut") {
  adapter_bank bank(small_weights());
  bank.add_base("policy");
  packed<token> prompts;
  prompts.push_back({token{3}, token{8}});
  const auto free = run(bank, prompts, 1, {.max_new_tokens = 10, .temperature = 0}, {rng{1}}, {});
  const auto& ids = free.responses.values;
  std::vector<std::string> texts;
  for (int i = 0; i < 23; ++i) texts.push_back("<" + std::to_string(i) + ">");
  const std::string third = texts[static_cast<std::size_t>(ids[2])];
  const auto length = static_cast<std::size_t>(std::ranges::find(ids, ids[2]) - ids.begin()) + 1;
  const auto with = [&](const std::vector<std::string>& stop, const std::vector<std::string>& unfinished) {
    const generation_options options{
        .max_new_tokens = 10, .temperature = 0, .stop = stop, .unfinished_stop = unfinished};
    return run(bank, prompts, 1, options, {rng{1}}, {}, texts);
  };
  const auto finished = with({third}, {}), cut = with({}, {third}), both = with({third}, {third});
  CHECK(finished.responses.total() == length);
  CHECK(cut.responses.values == finished.responses.values);
  CHECK(cut.log_probs.values == finished.log_probs.values);
  CHECK(both.responses.values == finished.responses.values);
  CHECK(finished.finished[0] == 1);
  CHECK(both.finished[0] == 1);
  CHECK(cut.finished[0] == 0);

  // Equal log-probabilities: no KL. A score of 1 is left as it is, or is 1 − 6 at the last token.
  const std::vector<double> zero(length, 0.0), score{1.0};
  const std::size_t offsets[] = {0, length};
  const shaping_options penalty{.kl_coefficient = 0.5, .unfinished_penalty = -6};
  const auto last = [&](const generation& of) {
    const Eigen::ArrayXd rewards = shape_rewards({.sequence_rewards = score,
                                                  .log_probs = zero,
                                                  .reference_log_probs = zero,
                                                  .offsets = offsets,
                                                  .finished = of.finished},
                                                 penalty);
    return rewards(rewards.size() - 1);
  };
  CHECK(last(finished) == 1.0);
  CHECK(last(cut) == -5.0);
  CHECK_THROWS_AS(run(bank, prompts, 1, {.unfinished_stop = {"x"}}, {rng{1}}), argument_error);
}

TEST_CASE("engine: tells tokens as they come, and refuses what it cannot do") {
  adapter_bank bank(small_weights());
  bank.add_base("policy");
  generation_engine engine(bank, "policy");
  packed<token> prompts;
  prompts.push_back({token{1}});
  rng streams[] = {rng{3}};
  std::vector<token> seen;
  const auto out =
      engine.generate(prompts, {.max_new_tokens = 6}, {}, streams, [&](std::size_t, token id) { seen.push_back(id); });
  CHECK(seen == out.responses.values);
  CHECK(engine.generate({}, {}, {}, {}).responses.empty());
  CHECK_THROWS_AS(engine.generate(prompts, {.max_new_tokens = 0}, {}, streams), option_error);
  CHECK_THROWS_AS(engine.generate(prompts, {.stop = {"x"}}, {}, streams), argument_error);
  CHECK_THROWS_AS(engine.generate(prompts, {}, {}, {}), argument_error);
  packed<token> bad;
  bad.push_back({token{23}});
  CHECK_THROWS_AS(engine.generate(bad, {}, {}, streams), argument_error);
  packed<token> empty;
  empty.push_back(std::vector<token>{});
  CHECK_THROWS_AS(engine.generate(empty, {}, {}, streams), argument_error);
  CHECK_THROWS_AS(generation_engine(bank, "policy", {.slots = 0}), option_error);
}

namespace {

// Prompts that begin with the same eight tokens, one of them being just those.
packed<token> prompts_behind(const std::vector<token>& shared) {
  packed<token> out;
  for (const std::size_t length : {4, 0, 9, 4, 1, 6}) {
    auto prompt = shared;
    for (const token id : random_tokens(length, 23, 40 + length)) prompt.push_back(id);
    out.push_back(prompt);
  }
  return out;
}

void check_close(const generation& a, const generation& b) {
  CHECK(a.responses == b.responses);
  CHECK(a.finished == b.finished);
  REQUIRE(a.log_probs.total() == b.log_probs.total());
  for (std::size_t t = 0; t < a.log_probs.total(); ++t)
    CHECK(a.log_probs.values[t] == Approx(b.log_probs.values[t]).margin(1e-5));
}

}  // namespace

TEST_CASE("engine: a shared prefix changes no response") {
  const auto shared = random_tokens(8, 23, 77);
  for (const std::int64_t window : {0, 4, 12}) {
    INFO("window " << window);
    adapter_bank bank(small_weights(window));
    bank.add_base("policy");
    const auto prompts = prompts_behind(shared);
    generation_engine plain(bank, "policy", {.slots = 2, .prefill_tokens = 20});
    generation_engine reusing(bank, "policy", {.slots = 2, .prefill_tokens = 20}, {}, shared);
    for (const double temperature : {0.0, 0.8}) {
      const generation_options options{.max_new_tokens = 15, .temperature = temperature};
      auto streams = streams_of(6), again = streams_of(6);
      check_close(reusing.generate(prompts, options, std::vector<token>{0}, again),
                  plain.generate(prompts, options, std::vector<token>{0}, streams));
    }
  }
}

TEST_CASE("engine: what is kept of a shared prefix is never that of older weights") {
  const auto shared = random_tokens(8, 23, 77);
  adapter_bank bank(small_weights());
  bank.add_lora("policy", {.rank = 2}, rng{1});
  policy_role reusing(bank, "policy", {.shared_prefix = shared}), plain(bank, "policy");
  const auto prompts = prompts_behind(shared);
  const generation_options options{.max_new_tokens = 8, .temperature = 0};
  const auto check_same = [&] {
    auto streams = streams_of(6), again = streams_of(6);
    const generation out = reusing.generate(prompts, options, again);
    check_close(out, plain.generate(prompts, options, streams));
    return out.log_probs.values;
  };
  const auto fresh = check_same();
  SECTION("the role gets other weights while it is frozen") {
    bank.modify("policy").adapter.visit(
        [](const std::string&, lora_pair& pair) { pair.b = random_tensor(pair.b.sizes().vec(), 3).mul(0.3); });
  }
  SECTION("another role takes its name") {
    bank.remove("policy");
    bank.add_full("policy", llama_weights::random(small_config(), rng{8}, 0.3));
  }
  SECTION("it is trained: its tensors are written to in place") {
    const at::Tensor values = bank.train("policy").values();
    check_same();
    const at::NoGradGuard no_gradient;
    values.add_(random_tensor({values.numel()}, 5).mul(0.2));
  }
  CHECK(check_same() != fresh);
}

TEST_CASE("engine: samples of one prompt are those of prompts read one by one") {
  adapter_bank bank(small_weights());
  bank.add_base("policy");
  packed<token> prompts;
  for (const std::size_t length : {5, 5, 5, 9, 9, 3, 5}) prompts.push_back(random_tokens(length, 23, 100 + length));
  const generation_options options{.max_new_tokens = 10, .temperature = 0.8};
  const auto together = run(bank, prompts, 5, options, streams_of(7));
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    packed<token> one;
    one.push_back(prompts[i]);
    CHECK(std::ranges::equal(run(bank, one, 1, options, {rng{5}.split(i)}).responses.values, together.responses[i]));
  }
}

TEST_CASE("engine: a prompt that does not begin with the shared prefix is refused") {
  adapter_bank bank(small_weights());
  bank.add_base("policy");
  generation_engine engine(bank, "policy", {}, {}, {1, 2, 3});
  rng streams[] = {rng{1}, rng{2}};
  for (const std::vector<token>& other : {std::vector<token>{1, 2}, {1, 2, 4}, {2, 1, 2, 3}}) {
    packed<token> prompts;
    prompts.push_back({token{1}, token{2}, token{3}, token{4}});
    prompts.push_back(other);
    CHECK_THROWS_WITH(engine.generate(prompts, {}, {}, streams),
                      Catch::Matchers::ContainsSubstring("prompt 1 does not begin with the shared prefix"));
  }
  CHECK_THROWS_AS(generation_engine(bank, "policy", {}, {}, {23}), argument_error);
}
