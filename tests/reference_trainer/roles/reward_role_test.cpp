#include "roles/reward_role.hpp"

#include <cmath>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <coho/error.hpp>
#include <coho/optimization/gradient_clipping.hpp>

#include "models/model_files.hpp"
#include "roles/host_numbers.hpp"
#include "support/catch.hpp"
#include "support/small_models.hpp"
#include "text/utf8.hpp"

using namespace coho;
using namespace coho::trainer;
using namespace coho::test;

namespace {

// With a role "reward" that is being trained; none without the shared data.
std::optional<loaded_model> model_with_reward_role() {
  const auto data = shared_data();
  if (!data) {
    WARN("shared data absent: skipped");
    return {};
  }
  auto model = load_model(*data / "stories260K");
  model.bank->add_lora("reward", {.rank = 2}, rng{1});
  model.bank->set_head("reward", random_tensor({1, model.bank->config().hidden_size}, 4), at::zeros({1}));
  model.bank->train("reward");
  return model;
}

}  // namespace

TEST_CASE("reward_role: the score is read at the last token of the laid-out query") {
  auto loaded = model_with_reward_role();
  if (!loaded) return;
  loaded_model& model = *loaded;
  auto& bank = *model.bank;
  const reward_prompt guided(prompt_template(template_kind::reward, "{Output} of {Input} by {Dimensions} is", "t"));
  const reward_prompt plain(prompt_template(template_kind::preference_pretraining, "{Output} of {Input} is", "p"));
  reward_role reward(bank, "reward", *model.tokenizer, guided, {.scoring = {.sequences = 2}}, plain);
  const std::vector<std::string> lines{"Be kind.", "Be brief."};
  const std::vector<reward_query> queries{{.prompt = "a cat", .response = "a dog", .principles = lines},
                                          {.prompt = "a cat", .response = "a dog"},
                                          {.prompt = "x", .response = "once"}};
  const std::vector<std::string> texts{"a dog of a cat by - Be kind.\n- Be brief. is", "a dog of a cat is",
                                       "once of x is"};
  const auto scores = reward.score(queries);
  const auto forward = reward.forward(queries).first;
  for (std::size_t i = 0; i < queries.size(); ++i) {
    auto expected = model.tokenizer->encode(texts[i]);
    expected.insert(expected.begin(), model.tokenizer->bos());
    CHECK(reward.tokens(queries[i]) == expected);
    const std::int64_t length[] = {static_cast<std::int64_t>(expected.size())};
    const auto each = to_doubles(
        bank.scalar_output("reward", bank.hidden("reward", token_tensor(expected), sequence_layout(length))).detach());
    CHECK(scores[i] == Approx(each.back()).margin(1e-4));
    CHECK(forward[i] == Approx(scores[i]).margin(1e-4));
  }

  STATIC_REQUIRE(trainable<reward_role>);
  const std::vector<double> upstream{1, -1, 0.5};
  reward.zero_gradients();
  reward.forward(queries).second(upstream);
  const double norm = bank.parameters("reward").gradients().norm().item<double>();
  CHECK(norm > 0);
  CHECK(clip_gradient_norm(norm / 2, reward) == Approx(norm).epsilon(1e-5));
  CHECK(std::sqrt(reward.squared_gradient_norm()) == Approx(norm / 2).epsilon(1e-5));

  // The query keeps its last tokens, the response its first.
  reward_role cut(bank, "reward", *model.tokenizer, plain, {.query_tokens = 2, .response_tokens = 3});
  const std::string question = "there was a little girl named Lily", answer = "she liked to play in the park";
  const auto q = model.tokenizer->encode(question), a = model.tokenizer->encode(answer);
  REQUIRE(q.size() > 2);
  REQUIRE(a.size() > 3);
  const std::span<const token> all_q(q), all_a(a);
  auto expected = model.tokenizer->encode(model.tokenizer->decode(all_a.first(3)) + " of " +
                                          model.tokenizer->decode(all_q.last(2)) + " is");
  expected.insert(expected.begin(), model.tokenizer->bos());
  CHECK(cut.tokens({.prompt = question, .response = answer}) == expected);
  CHECK_THROWS_AS(reward_role(bank, "reward", *model.tokenizer, guided, {}, guided), argument_error);
}

TEST_CASE("mistake 10: reward_role: a query's score alone is its score in any batch") {
  auto loaded = model_with_reward_role();
  if (!loaded) return;
  loaded_model& model = *loaded;
  auto& bank = *model.bank;
  const reward_prompt plain(prompt_template(template_kind::preference_pretraining, "{Output} of {Input} is", "p"));
  const auto role = [&](const batch_limits& limits) {
    return reward_role(bank, "reward", *model.tokenizer, plain, {.scoring = limits});
  };
  // From a few tokens to many, the longest neither first nor last.
  std::vector<std::string> answers{
      "x", "a dog", "once upon a time there was a little girl who liked to play in the park with her big red ball",
      "yes", "she saw a bird"};
  std::vector<reward_query> queries;
  for (const auto& answer : answers) queries.push_back({.prompt = "a cat", .response = answer});
  std::vector<double> alone;
  for (const auto& query : queries) alone.push_back(role({}).score(std::span(&query, 1))[0]);
  for (std::size_t i = 1; i < alone.size(); ++i) CHECK(std::abs(alone[i] - alone[0]) > 1e-2);
  const std::vector<reward_query> backwards(queries.rbegin(), queries.rend());
  for (const batch_limits limits : {batch_limits{}, batch_limits{.sequences = 1}, batch_limits{.sequences = 2},
                                    batch_limits{.tokens = 40, .sort_by_length = true}}) {
    auto reward = role(limits);
    const auto scores = reward.score(queries), reversed = reward.score(backwards);
    const auto forward = reward.forward(queries).first;
    for (std::size_t i = 0; i < alone.size(); ++i) {
      CHECK(scores[i] == Approx(alone[i]).margin(1e-5));
      CHECK(reversed[alone.size() - 1 - i] == Approx(alone[i]).margin(1e-5));
      CHECK(forward[i] == Approx(alone[i]).margin(1e-5));
    }
  }
}

TEST_CASE("reward_role: responses that part behind what is read are read alike") {
  auto model = load_model(source_dir() / "reference_trainer" / "demo" / "base");
  auto& bank = *model.bank;
  bank.add_base("reward");
  bank.add_head("reward");
  const reward_prompt plain(prompt_template(template_kind::preference_pretraining, "{Output} of {Input} is", "p"));
  const reward_role whole(bank, "reward", *model.tokenizer, plain);
  const reward_role cut(bank, "reward", *model.tokenizer, plain, {.response_tokens = 6});
  const auto query = [](std::string_view response) { return reward_query{.prompt = "a fox", .response = response}; };
  const std::string same = "the fox is red and the fox is quick", longer = same + " and the owl is not";
  CHECK(whole.same_tokens_read(query(same), query(same)));
  CHECK_FALSE(whole.same_tokens_read(query(same), query(longer)));
  CHECK(cut.same_tokens_read(query(same), query(longer)));
  CHECK_FALSE(cut.same_tokens_read(query(same), query("an owl and the fox is quick")));
  CHECK_FALSE(cut.same_tokens_read(query("a fox"), query("a fox is")));
  CHECK(cut.cuts().read == 0);
  CHECK(cut.cuts().responses == 0);
  // The quick look agrees with the tokens whatever the texts.
  rng random(3);
  const std::vector<std::string> words{"the", "fox", " ", "is", "red", "\u00E9", "  "};
  for (int i = 0; i < 300; ++i) {
    std::string a, b;
    for (int k = 0; k < 10; ++k) a += words[random.index(words.size())] + " ";
    b = a;
    b.insert(random.index(b.size() + 1), words[random.index(words.size())]);
    if (!is_utf8(b)) continue;
    INFO(a << "|" << b);
    CHECK(cut.same_tokens_read(query(a), query(b)) == (cut.tokens(query(a)) == cut.tokens(query(b))));
  }
}
