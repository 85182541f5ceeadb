#include <cmath>
#include <cstddef>
#include <span>
#include <vector>

#include <coho/toy/tabular_policy.hpp>
#include <coho/train/direct_preference_examples.hpp>

#include "support/catch.hpp"

using namespace coho;
using Catch::Matchers::ContainsSubstring;

namespace {

using examples = std::vector<direct_preference_example>;

/// log p of a token is −(100·first prompt token + token): sums tell prompt and response.
struct telling_policy {
  std::vector<std::size_t> calls{};
  std::vector<float> log_probs(const token_batch& batch) {
    calls.push_back(batch.size());
    std::vector<float> out;
    for (std::size_t i = 0; i < batch.size(); ++i) {
      for (const token t : batch.responses[i]) out.push_back(-static_cast<float>(100 * batch.prompts[i][0] + t));
    }
    return out;
  }
};

examples three_examples() {
  return {{.prompt = {1}, .chosen = {1, 2}, .rejected = {3}},
          {.prompt = {2, 9}, .chosen = {}, .rejected = {4, 5}},
          {.prompt = {3}, .chosen = {6}, .rejected = {7, 8, 9}}};
}

}  // namespace

TEST_CASE("the responses of examples are the chosen ones, then the rejected ones, each after its prompt") {
  const auto data = three_examples();
  const token_batch batch = detail::chosen_then_rejected(data);
  CHECK(batch.prompts == packed<token>{{1}, {2, 9}, {3}, {1}, {2, 9}, {3}});
  CHECK(batch.responses == packed<token>{{1, 2}, {}, {6}, {3}, {4, 5}, {7, 8, 9}});
  CHECK(detail::chosen_then_rejected(examples{}).size() == 0);
}

TEST_CASE("log-probs of whole responses are sums over their tokens, however they are cut") {
  const token_batch batch = detail::chosen_then_rejected(three_examples());
  const Eigen::ArrayXd expected{{-203, 0, -306, -103, -409, -924}};
  for (const batch_limits limits :
       {batch_limits{}, batch_limits{.sequences = 1}, batch_limits{.tokens = 5, .sort_by_length = true}}) {
    telling_policy model;
    CHECK((detail::response_log_probs(model, batch, limits, "log_probs") == expected).all());
  }
}

TEST_CASE("reference log-probs are added where they are missing, and only there") {
  auto data = three_examples();
  data[0].reference_rejected = -0.5;
  data[2].reference_chosen = -0.25;
  telling_policy model;
  add_reference_log_probs(std::span(data), model, {.sequences = 4});
  CHECK(model.calls == std::vector<std::size_t>{4, 2});
  CHECK(data[0].reference_chosen == -203);
  CHECK(data[0].reference_rejected == -0.5);
  CHECK(data[1].reference_chosen == 0);  // of a response that is not there
  CHECK(data[1].reference_rejected == -409);
  CHECK(data[2].reference_chosen == -0.25);
  CHECK(data[2].reference_rejected == -924);
  const auto prompts = three_examples();
  for (std::size_t i = 0; i < data.size(); ++i) {
    CHECK(data[i].prompt == prompts[i].prompt);
    CHECK(data[i].chosen == prompts[i].chosen);
    CHECK(data[i].rejected == prompts[i].rejected);
    CHECK(data[i].weight == 1);
  }
  examples none;
  CHECK_NOTHROW(add_reference_log_probs(std::span(none), model));
}

TEST_CASE("reference log-probs that are not finite are refused, and no example is changed") {
  struct broken_policy : telling_policy {
    std::vector<float> log_probs(const token_batch& batch) {
      auto out = telling_policy::log_probs(batch);
      out.back() = std::nanf("");
      return out;
    }
  } model;
  auto data = three_examples();
  CHECK_THROWS_WITH(add_reference_log_probs(std::span(data), model),
                    ContainsSubstring("log_probs of the reference policy") && ContainsSubstring("not finite"));
  CHECK_THROWS_AS(add_reference_log_probs(std::span(data), model, {.sequences = 1}), argument_error);
  for (const auto& example : data) CHECK_FALSE((example.reference_chosen || example.reference_rejected));
}

TEST_CASE("reference log-probs of a table are those of its rows") {
  toy::tabular_policy model{{.vocabulary = 4}};
  model.logits(2, static_cast<Eigen::Index>(model.contexts().context_after(std::vector<token>{1}))) = std::log(3.0);
  examples data{{.prompt = {1}, .chosen = {2, 0}, .rejected = {3}}};
  add_reference_log_probs(std::span(data), model);
  // After 1 the odds are 1 : 1 : 3 : 1, elsewhere all are alike.
  CHECK(data[0].reference_chosen.value() == Approx(std::log(0.5) + std::log(0.25)));
  CHECK(data[0].reference_rejected.value() == Approx(std::log(1.0 / 6)));
}
