#include <coho/advantage/group_relative.hpp>
#include <coho/advantage/lambda_returns.hpp>
#include <coho/advantage/leave_one_out.hpp>
#include <coho/advantage/reinforce_plus_plus.hpp>
#include <coho/advantage/remax.hpp>
#include <coho/advantage/return_to_go.hpp>
#include <coho/reward/running_normalization.hpp>
#include <coho/torch/ops.hpp>

#include "support/catch.hpp"
#include "support/tensors.hpp"
#include "support/test_arrays.hpp"

using namespace coho::test;

namespace {
const Eigen::ArrayXd rewards = normals(9, 1), values = normals(9, 2), real = array({1, 1, 0, 1, 1, 0, 1, 1, 1});
const offsets sequences{0, 4, 4, 9}, groups{0, 4, 5, 5, 9};

// Results are constants: no gradient flows through them.
bool same(const at::Tensor& found, const Eigen::ArrayXd& expected) {
  return !found.requires_grad() && found.scalar_type() == at::kDouble && close(host(found), expected);
}
}  // namespace

TEST_CASE("token advantages of tensors agree with those of arrays") {
  const at::Tensor r = leaf(rewards), v = leaf(values), mask = tensor(real, at::kBool);
  CHECK(same(coho::return_to_go(r, sequences, {.gamma = 0.7}), coho::return_to_go(rewards, sequences, {.gamma = 0.7})));
  CHECK(same(coho::return_to_go(r, mask, sequences, {.gamma = 0.7}),
             coho::return_to_go(rewards, real, sequences, {.gamma = 0.7})));
  const coho::gae_options options{.gamma = 0.9, .lambda = 0.6};
  CHECK(same(coho::lambda_returns(coho::advantage_inputs<at::Tensor>{.rewards = r, .values = v, .offsets = sequences},
                                  options),
             coho::lambda_returns({.rewards = rewards, .values = values, .offsets = sequences}, options)));
  CHECK(same(
      coho::lambda_returns(
          coho::advantage_inputs<at::Tensor>{.rewards = r, .values = v, .mask = mask, .offsets = sequences}, options),
      coho::lambda_returns({.rewards = rewards, .values = values, .mask = real, .offsets = sequences}, options)));
  CHECK(same(coho::reinforce_plus_plus(r, sequences, {.gamma = 0.7}),
             coho::reinforce_plus_plus(rewards, sequences, {.gamma = 0.7})));
  CHECK(same(coho::reinforce_plus_plus(r, mask, sequences, {.gamma = 0.7}),
             coho::reinforce_plus_plus(rewards, real, sequences, {.gamma = 0.7})));
}

TEST_CASE("sequence advantages of tensors agree with those of arrays") {
  const at::Tensor r = leaf(rewards);
  for (const auto scale :
       {coho::group_scale::group_deviation, coho::group_scale::none, coho::group_scale::batch_deviation}) {
    CHECK(same(coho::group_relative(r, groups, {.scale = scale}),
               coho::group_relative(rewards, groups, {.scale = scale})));
  }
  const auto found = coho::leave_one_out(r, groups, {.scale = true});
  const auto expected = coho::leave_one_out(rewards, groups, {.scale = true});
  CHECK(same(found.advantages, expected.advantages));
  CHECK(same(found.baselines, expected.baselines));
  CHECK(same(found.deviations, expected.deviations));
  CHECK(coho::leave_one_out(r, groups).deviations.numel() == 0);

  CHECK(same(coho::remax(r, tensor(values)), coho::remax(rewards, values)));
  CHECK(same(coho::remax(r, tensor(values.head(4)), groups), coho::remax(rewards, values.head(4), groups)));

  const offsets tokens{0, 1, 3, 3, 6, 7, 8, 9, 12, 14};
  CHECK(same(coho::reinforce_plus_plus_baseline(r, groups, tokens),
             coho::reinforce_plus_plus_baseline(rewards, groups, tokens)));
  const Eigen::ArrayXd mask = array({1, 0, 1, 1, 1, 0, 1, 1, 0, 1, 1, 1, 1, 0});
  CHECK(same(coho::reinforce_plus_plus_baseline(r, groups, tensor(mask), tokens),
             coho::reinforce_plus_plus_baseline(rewards, groups, mask, tokens)));
}

TEST_CASE("advantages of a tensor are spread over tokens beside it") {
  const at::Tensor advantages =
      coho::group_relative(tensor(array({1, 3})), offsets{0, 2}, {.scale = coho::group_scale::none});
  CHECK(close(host(coho::sequence_spread(advantages, offsets{0, 2, 3})), array({-1, -1, 1})));
}

TEST_CASE("running normalisation of tensors is that of arrays") {
  coho::running_normalization one{{.clip = 1.5}}, other{{.clip = 1.5}};
  for (const auto& batch : {rewards, values}) CHECK(same(one(leaf(batch)), other(batch)));
  CHECK(one.save() == other.save());
}

TEST_CASE("advantages come back in the number type of their tensor") {
  const at::Tensor r = tensor(rewards, at::kFloat);
  CHECK(coho::return_to_go(r, sequences).scalar_type() == at::kFloat);
  CHECK(coho::lambda_returns(coho::advantage_inputs<at::Tensor>{.rewards = r, .values = r, .offsets = sequences})
            .scalar_type() == at::kFloat);
  CHECK(coho::group_relative(r, groups).scalar_type() == at::kFloat);
  CHECK(coho::leave_one_out(r, groups).advantages.scalar_type() == at::kFloat);
  CHECK(coho::reinforce_plus_plus(r, sequences).scalar_type() == at::kFloat);
  CHECK(coho::remax(r, r).scalar_type() == at::kFloat);
  CHECK(coho::running_normalization{}(r).scalar_type() == at::kFloat);
}
