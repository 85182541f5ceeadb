#include <coho/kl/estimators.hpp>
#include <coho/kl/kl_loss.hpp>
#include <coho/loss/bradley_terry.hpp>
#include <coho/loss/bradley_terry_ties.hpp>
#include <coho/loss/cispo.hpp>
#include <coho/loss/dpo.hpp>
#include <coho/loss/gspo.hpp>
#include <coho/loss/huber_value.hpp>
#include <coho/loss/nll.hpp>
#include <coho/loss/ppo_clip.hpp>
#include <coho/loss/reinforce.hpp>
#include <coho/loss/simpo.hpp>
#include <coho/loss/value_clip.hpp>
#include <coho/reduce.hpp>
#include <coho/torch/ops.hpp>

#include "support/catch.hpp"
#include "support/loss_inputs.hpp"
#include "support/tensors.hpp"
#include "support/test_arrays.hpp"

using namespace coho::test;

namespace {

// What a value head [N, 1] left as it is would do: broadcast against [N] into a table of all pairs.
struct shapes {
  at::Tensor flat = tensor(array({-1, -2, -3})), column = flat.unsqueeze(1), one = tensor(array({-1}));
  coho::token_weights<at::Tensor> weights{tensor(array({0.5, 0.25, 0.25}))};
  offsets slots{0, 2, 3};

  template <class Loss, class... Arguments>
  void refuses(const Loss& loss, const Arguments&... arguments) const {
    CHECK_THROWS_AS(loss(arguments...), coho::argument_error);
    CHECK_THROWS_AS(loss.value_and_grad(arguments...), coho::argument_error);
  }
  template <class Loss>
  void refuses_policy(const Loss& loss, const at::Tensor& log_probs, const at::Tensor& old,
                      const at::Tensor& advantages) const {
    const coho::policy_loss_inputs<at::Tensor> in{
        .log_probs = log_probs, .old_log_probs = old, .advantages = advantages, .weights = weights, .offsets = slots};
    CHECK_THROWS_AS(loss(in), coho::argument_error);
    CHECK_THROWS_AS(loss.value_and_grad(in), coho::argument_error);
  }
  template <class Loss>
  void refuses_value(const Loss& loss, const at::Tensor& values, const at::Tensor& returns) const {
    const coho::value_loss_inputs<at::Tensor> in{
        .values = values, .old_values = flat, .returns = returns, .weights = weights};
    CHECK_THROWS_AS(loss(in), coho::argument_error);
    CHECK_THROWS_AS(loss.value_and_grad(in), coho::argument_error);
  }
};

}  // namespace

TEST_CASE("tensors of other shapes are refused where they would be broadcast") {
  const shapes s;
  for (const at::Tensor& bad : {s.column, s.one}) {
    s.refuses(coho::nll_loss{}, bad, s.weights);
    s.refuses_policy(coho::reinforce_loss{}, s.flat, s.flat, bad);
    s.refuses_policy(coho::reinforce_loss{}, bad, s.flat, s.flat);
    s.refuses_policy(coho::cispo_loss{}, s.flat, s.flat, bad);
    s.refuses_policy(coho::ppo_clip_loss{}, s.flat, s.flat, bad);
    s.refuses_policy(coho::ppo_clip_loss{}, s.flat, bad, s.flat);
    s.refuses_value(coho::value_clip_loss{}, bad, s.flat);
    s.refuses_value(coho::value_clip_loss{}, s.flat, bad);
    s.refuses_value(coho::huber_value_loss{}, bad, s.flat);
    s.refuses(coho::dpo_loss{}, with_reference(s.flat, s.flat, s.flat, bad, s.weights));
    s.refuses(coho::bradley_terry_loss{},
              coho::pair_loss_inputs<at::Tensor>{.chosen = s.flat, .rejected = bad, .weights = s.weights});
    s.refuses(coho::kl_loss{},
              coho::kl_loss_inputs<at::Tensor>{.log_probs = s.flat, .reference_log_probs = bad, .weights = s.weights});
    s.refuses(coho::kl_loss{}, coho::kl_loss_inputs<at::Tensor>{.log_probs = s.flat, .reference_log_probs = bad});
    s.refuses_policy(coho::gspo_loss{}, s.flat, s.flat, bad);
    CHECK_THROWS_AS(coho::weighted_sum(bad, s.weights), coho::argument_error);
    CHECK_THROWS_AS(coho::sequence_sums(s.flat, bad, s.slots), coho::argument_error);
    CHECK_THROWS_AS(coho::kl_estimate(s.flat, bad), coho::argument_error);
  }
  CHECK_THROWS_WITH(coho::nll_loss{}(s.column, s.weights),
                    "nll_loss: a tensor of shape [3, 1] does not go with one of shape [3]");
}

TEST_CASE("losses without weights refuse other shapes too") {
  const shapes s;
  CHECK_THROWS_AS(coho::ppo_clip_loss{}(coho::policy_loss_inputs<at::Tensor>{
                      .log_probs = s.flat, .old_log_probs = s.flat, .advantages = s.column}),
                  coho::argument_error);
  CHECK_THROWS_AS(coho::ppo_clip_loss{}.value_and_grad(coho::policy_loss_inputs<at::Tensor>{
                      .log_probs = s.flat, .old_log_probs = s.flat, .advantages = s.column}),
                  coho::argument_error);
  CHECK_THROWS_AS(coho::value_clip_loss{}(
                      coho::value_loss_inputs<at::Tensor>{.values = s.flat, .old_values = s.flat, .returns = s.column}),
                  coho::argument_error);
  CHECK_THROWS_AS(
      coho::bradley_terry_loss{}(coho::pair_loss_inputs<at::Tensor>{.chosen = s.flat, .rejected = s.column}),
      coho::argument_error);
  CHECK_THROWS_AS(coho::dpo_loss{}(with_reference(s.flat, s.flat, s.column, s.flat)), coho::argument_error);
  CHECK_THROWS_AS(
      coho::reinforce_loss{}(coho::policy_loss_inputs<at::Tensor>{.log_probs = s.flat, .advantages = s.column}),
      coho::argument_error);
}

TEST_CASE("a tensor that was left out is named") {
  const shapes s;
  using preferences = coho::preference_loss_inputs<at::Tensor>;
  CHECK_THROWS_WITH(coho::dpo_loss{}(preferences{.chosen = s.flat, .rejected = s.flat}),
                    "dpo_loss: reference_chosen has 0 elements where 3 were expected");
  CHECK_THROWS_WITH(coho::simpo_loss{}(preferences{.chosen = s.flat, .rejected = at::Tensor()}),
                    "simpo_loss: rejected has 0 elements where 3 were expected");
  CHECK_THROWS_WITH(coho::kl_loss{}(coho::kl_loss_inputs<at::Tensor>{.log_probs = s.flat}),
                    "kl_loss: reference_log_probs has 0 elements where 3 were expected");
  CHECK_THROWS_WITH(
      coho::bradley_terry_ties_loss{}(coho::pair_loss_inputs<at::Tensor>{.chosen = s.flat, .rejected = s.flat}),
      "bradley_terry_ties_loss: targets has 0 elements where 3 were expected");
}
