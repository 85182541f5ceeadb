#include "roles/judge_role.hpp"

#include <coho/error.hpp>

#include "roles/policy_role.hpp"
#include "stages/model_files.hpp"
#include "support/catch.hpp"
#include "support/small_models.hpp"

using namespace coho;
using namespace coho::trainer;
using namespace coho::test;

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

  judge_role judge(*model.bank, "judge", tokenizer, {.sequences = 2, .tokens = 64});
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
