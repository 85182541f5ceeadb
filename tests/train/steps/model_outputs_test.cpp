#include <limits>
#include <vector>

#include <coho/train/steps/model_outputs.hpp>

#include "support/catch.hpp"

using namespace coho;
using Catch::Matchers::ContainsSubstring;

namespace {
/// Numbers that tell token and prompt; remembers how many sequences each call had.
struct counting_model {
  std::vector<std::size_t> calls{};
  std::vector<float> log_probs(const token_batch& batch) {
    calls.push_back(batch.size());
    std::vector<float> out;
    for (std::size_t i = 0; i < batch.size(); ++i) {
      for (const token t : batch.responses[i]) out.push_back(static_cast<float>(100 * batch.prompts[i][0] + t));
    }
    return out;
  }
  std::vector<float> values(const token_batch& batch) { return log_probs(batch); }
};
}  // namespace

TEST_CASE("evaluation in parts gives every number its place") {
  const token_batch batch{{{1}, {2}, {3}}, {{7, 8}, {}, {9, 10, 11}}};
  const Eigen::ArrayXd expected{{107, 108, 309, 310, 311}};
  for (const batch_limits limits :
       {batch_limits{}, batch_limits{.sequences = 1}, batch_limits{.tokens = 4, .sort_by_length = true}}) {
    counting_model model;
    CHECK((evaluate_log_probs(model, batch, limits) == expected).all());
    CHECK((evaluate_values(model, batch, limits) == expected).all());
  }
  counting_model model;
  evaluate_log_probs(model, batch, {.sequences = 2});
  CHECK(model.calls == std::vector<std::size_t>{2, 1});
}

TEST_CASE("scores in parts") {
  std::vector<std::vector<token>> responses{{1, 2, 3}, {4}, {5, 6}};
  std::vector<reward_query> queries;
  for (const auto& r : responses) queries.push_back({.response_tokens = r});
  auto model = [](std::span<const reward_query> q) {
    std::vector<double> out;
    for (const auto& query : q) out.push_back(query.response_tokens[0]);
    return out;
  };
  const Eigen::ArrayXd expected{{1, 4, 5}};
  CHECK((evaluate_scores(model, queries) == expected).all());
  CHECK((evaluate_scores(model, queries, {.tokens = 3, .sort_by_length = true}) == expected).all());
}

TEST_CASE("outputs are checked once, by name and place") {
  CHECK_THROWS_WITH(checked_output(std::vector<float>{1, 2}, 3, "values"),
                    ContainsSubstring("values") && ContainsSubstring("2") && ContainsSubstring("3"));
  const std::vector<double> broken{1, 2, std::numeric_limits<double>::quiet_NaN()};
  CHECK_THROWS_WITH(checked_output(broken, 3, "scores"), ContainsSubstring("number 2"));
  CHECK(checked_output(std::vector<float>{}, 0, "nothing").size() == 0);
}
