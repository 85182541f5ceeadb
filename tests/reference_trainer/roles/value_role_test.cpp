#include "roles/value_role.hpp"

#include <coho/optimization/gradient_clipping.hpp>
#include <coho/parallel/all_reduce.hpp>

#include "roles/host_numbers.hpp"
#include "support/catch.hpp"
#include "support/small_models.hpp"
#include "support/thread_ranks.hpp"

using namespace coho;
using namespace coho::trainer;
using namespace coho::test;

TEST_CASE("value_role: V_t is read at the token before y_t") {
  adapter_bank bank(small_weights());
  bank.add_base("value");
  bank.set_head("value", random_tensor({1, 16}, 3), at::full({1}, 0.5));
  value_role value(bank, "value");
  token_batch batch;
  batch.prompts = {{1, 2, 3}, {4}};
  batch.responses = {{5, 6, 7}, {8, 9}};
  const auto values = value.values(batch);
  REQUIRE(values.size() == 5);
  const std::vector<token> first{1, 2, 3, 5, 6, 7};
  const std::int64_t length[] = {6};
  const auto scores = to_doubles(
      bank.scalar_output("value", bank.hidden("value", token_tensor(first), sequence_layout(length))).detach());
  for (std::size_t t = 0; t < 3; ++t) CHECK(values[t] == Approx(scores[2 + t]).margin(1e-5));

  token_batch changed = batch;
  changed.responses = {{5, 19, 7}, {8, 9}};
  const auto after = value.values(changed);
  CHECK(after[0] == Approx(values[0]).margin(1e-6));
  CHECK(after[1] == Approx(values[1]).margin(1e-6));
  CHECK(std::abs(after[2] - values[2]) > 1e-3);
  CHECK(value.values({}).empty());
}

TEST_CASE("value_role: the pullback of the head is the sum of hidden states") {
  adapter_bank bank(small_weights());
  bank.add_base("value");
  bank.add_head("value");
  auto& parameters = bank.train("value");
  value_role value(bank, "value");
  const token_batch batch{{{1, 2, 3}}, {{5, 6}}};
  const std::vector<double> upstream{2, -1};
  value.forward(batch).second({.values = upstream});
  const std::vector<token> tokens{1, 2, 3, 5};
  const std::int64_t length[] = {4};
  const auto hidden = bank.hidden("value", token_tensor(tokens), sequence_layout(length));
  CHECK(largest_difference(parameters.gradients().narrow(0, 0, 16), 2 * hidden[2] - hidden[3]) < 1e-5);
  CHECK(parameters.gradients()[16].item<double>() == Approx(1));

  // The trainable members: the head's seventeen gradients.
  STATIC_REQUIRE(trainable<value_role>);
  const at::Tensor before = parameters.gradients().clone();
  const double norm = before.norm().item<double>();
  CHECK(clip_gradient_norm(norm / 4, value) == Approx(norm));
  CHECK(largest_difference(parameters.gradients(), before / 4) < 1e-6);
  CHECK(value.gradients()[0][16] == Approx(0.25));
}

TEST_CASE("value_role: gradients are summed over ranks") {
  run_ranks(2, [](auto& ranks) {
    adapter_bank bank(small_weights());
    bank.add_base("value");
    bank.add_head("value");
    auto& parameters = bank.train("value");
    value_role value(bank, "value");
    parameters.gradients().fill_(ranks.rank() == 0 ? 1.0 : 4.0);
    all_reduce_gradients(ranks, value);
    if (!at::equal(parameters.gradients(), at::full({17}, 5.0))) throw error("wrong sum");
  });
}
