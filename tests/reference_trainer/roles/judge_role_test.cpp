#include "roles/judge_role.hpp"

#include <coho/error.hpp>

#include "models/model_files.hpp"
#include "roles/policy_role.hpp"
#include "support/catch.hpp"
#include "support/small_models.hpp"
#include "support/stage_runs.hpp"

using namespace coho;
using namespace coho::trainer;
using namespace coho::test;

namespace {

loaded_model& demo_judge() {
  static loaded_model model = [] {
    loaded_model loaded = load_model(demo_base());
    loaded.bank->add_base("judge");
    return loaded;
  }();
  return model;
}

}  // namespace

TEST_CASE("judge_role: log-odds are those of the whole texts, tokens joined across the border included") {
  const auto data = shared_data();
  if (!data) {
    WARN("shared data absent: skipped");
    return;
  }
  auto model = load_model(*data / "stories260K");
  model.bank->add_base("judge");
  const auto& tokenizer = *model.tokenizer;
  policy_role policy(*model.bank, "judge");
  const auto log_prob = [&](const std::string& text) {
    token_batch batch;
    batch.prompts.push_back({tokenizer.bos()});
    batch.responses.push_back(tokenizer.encode(text));
    double sum = 0;
    for (const double each : policy.log_probs(batch)) sum += each;
    return sum;
  };
  // "tim" and "e" are joined by the tokenizer: the prompt's own tokens do not begin those of prompt and answer.
  const std::string split = "Once upon a tim";
  REQUIRE(tokenizer.encode_in_context(split, "e").size() + tokenizer.encode(split).size() !=
          tokenizer.encode(split + "e").size());

  judge_role judge(*model.bank, "judge", tokenizer, {.limits = {.sequences = 2, .tokens = 64}});
  const std::vector<std::string> prompts{split, "Once upon a", "The better one is Output (", "She said: \"I am"};
  const std::vector<std::pair<std::string, std::string>> answers{
      {"e", "b"}, {" A", " B"}, {"a", "b"}, {" happy", " dog and cat"}};
  for (const auto& [first, second] : answers) {
    const auto odds = judge.log_odds(prompts, first, second), turned = judge.log_odds(prompts, second, first);
    for (std::size_t i = 0; i < prompts.size(); ++i) {
      INFO(prompts[i] << "|" << first << "|" << second);
      CHECK(odds[i] == Approx(log_prob(prompts[i] + first) - log_prob(prompts[i] + second)).margin(1e-4));
      CHECK(turned[i] == Approx(-odds[i]).margin(1e-5));
    }
  }
  CHECK_THROWS_AS(judge.log_odds(prompts, " A", " A"), argument_error);
  CHECK(judge.log_odds({}, "a", "b").empty());
}

TEST_CASE("judge_role: prefixes computed once change no score") {
  adapter_bank& bank = *demo_judge().bank;
  const auto& tokenizer = *demo_judge().tokenizer;
  // Two pairs in both orders under three principles, and a prompt that shares nothing.
  std::vector<std::string> prompts{"why is the fox red? ("};
  for (const std::string& pair : {std::string("the fox is red. "), std::string("the owl likes hay. ")}) {
    for (const std::string& principle : {std::string("short"), std::string("honest"), std::string("kind")}) {
      for (const std::string& order : {pair + "(a) i am not sure. (b) no. ", pair + "(a) no. (b) i am not sure. "})
        prompts.push_back("user: why is the fox red and the owl gray? " + order + "more " + principle + ": (");
    }
  }
  const auto judged = [&](const judge_role_options& options, std::span<const std::string> asked) {
    judge_role judge(bank, "judge", tokenizer, options);
    return std::pair(judge.log_odds(asked, "a", "b"), judge.counts());
  };
  const auto [whole, read] = judged({.shortest_prefix = 0}, prompts);
  CHECK(read.asked == read.computed);
  for (const std::size_t tokens : {0, 60, 100, 8192}) {
    INFO("tokens " << tokens);
    judge_role_options options{.shortest_prefix = 8};
    options.limits.tokens = tokens;
    const auto [shared, counts] = judged(options, prompts);
    CHECK(counts.asked == read.asked);
    CHECK(counts.computed < read.asked);
    if (tokens == 8192) CHECK(counts.computed < read.asked * 6 / 10);
    REQUIRE(shared.size() == whole.size());
    for (std::size_t i = 0; i < whole.size(); ++i) CHECK(shared[i] == Approx(whole[i]).margin(1e-4));
  }
  // Whatever is asked beside it, a prompt's score is the same.
  for (const std::size_t first : {1, 4, 7}) {
    const auto some = judged({.shortest_prefix = 8}, std::span(prompts).subspan(first, 5)).first;
    for (std::size_t i = 0; i < 5; ++i) CHECK(some[i] == Approx(whole[first + i]).margin(1e-4));
  }
}
