#include <algorithm>
#include <cmath>

#include <coho/advantage/gae.hpp>
#include <coho/advantage/whiten.hpp>
#include <coho/kl/estimators.hpp>
#include <coho/kl/kl_loss.hpp>
#include <coho/loss/bradley_terry.hpp>
#include <coho/loss/nll.hpp>
#include <coho/loss/ppo_clip.hpp>
#include <coho/loss/value_clip.hpp>
#include <coho/reward/normalization.hpp>
#include <coho/reward/shaping.hpp>
#include <coho/torch/ops.hpp>

#include "support/catch.hpp"
#include "support/tensors.hpp"
#include "support/test_arrays.hpp"

using namespace coho::test;

namespace {

// 23 tokens in four sequences, every fifth masked, with NaN wherever it is masked.
struct number_batch {
  offsets slots{0, 9, 9, 10, 23};
  flags mask = flags(23, 1);
  Eigen::ArrayXd old = normals(23, 1), log_probs = old + normals(23, 2, 0.3), advantages = normals(23, 3),
                 returns = normals(23, 4);
  at::Tensor mask_tensor;

  number_batch() {
    for (std::size_t t = 0; t < 23; t += 5) mask[t] = 0;
    Eigen::ArrayXd numbers(23);
    for (Eigen::Index t = 0; t < 23; ++t) {
      numbers[t] = mask[static_cast<std::size_t>(t)];
      if (numbers[t] == 0) old[t] = log_probs[t] = advantages[t] = returns[t] = not_a_number;
    }
    mask_tensor = tensor(numbers);
  }
};

}  // namespace

TEST_CASE("the objects of math.hpp on tensors agree with Eigen") {
  STATIC_REQUIRE(coho::array_like<at::Tensor>);
  const Eigen::ArrayXd x = normals(50, 1, 3), y = normals(50, 2, 3);
  const at::Tensor a = tensor(x), b = tensor(y);
  CHECK(close(host(coho::min(a, b)), coho::min(x, y)));
  CHECK(close(host(coho::max(a, 0.5)), coho::max(x, 0.5)));
  CHECK(close(host(coho::max(0.5, a)), coho::max(0.5, x)));
  CHECK(close(host(coho::clamp(a, -1, 1)), coho::clamp(x, -1, 1)));
  CHECK(close(host(coho::where(a > 0, a, 7.0)), coho::where(x > 0.0, x, 7.0)));
  CHECK(close(host(coho::softplus(a * 20)), coho::softplus(x * 20.0)));
  CHECK(close(host(coho::log_sigmoid(a)), coho::log_sigmoid(x)));
  CHECK(close(host(coho::sigmoid(a)), coho::sigmoid(x)));
  CHECK(number(coho::sum(a)) == Approx(coho::sum(x)));
  CHECK(std::isnan(number(coho::max(tensor(array({not_a_number})), 0.0))));
  CHECK_FALSE(coho::detach(leaf(x)).requires_grad());
}

TEST_CASE("ppo_clip on tensors: value, autograd and closed form agree with the host") {
  const number_batch b;
  for (const double dual : {0.0, 1.5}) {
    const coho::ppo_clip_loss loss{{.clip_low = 0.15, .clip_high = 0.25, .dual_clip = dual}};
    const coho::reduction_options reduced{.kind = coho::reduction::sequence_mean_of_means};
    const auto weights = coho::make_token_weights(b.mask, b.slots, reduced);
    const auto tensor_weights = coho::make_token_weights(b.mask_tensor, b.slots, reduced);
    const auto expected = loss.value_and_grad(
        {.log_probs = b.log_probs, .old_log_probs = b.old, .advantages = b.advantages, .weights = weights});

    const at::Tensor p = leaf(b.log_probs), old = tensor(b.old), a = tensor(b.advantages);
    const at::Tensor value = loss(coho::policy_loss_inputs<at::Tensor>{
        .log_probs = p, .old_log_probs = old, .advantages = a, .weights = tensor_weights});
    value.backward();
    CHECK(number(value) == Approx(expected.value).epsilon(1e-6));
    CHECK(close(host(p.grad()), expected.d_log_probs));

    const auto closed = loss.value_and_grad(coho::policy_loss_inputs<at::Tensor>{
        .log_probs = p, .old_log_probs = old, .advantages = a, .weights = tensor_weights});
    CHECK(number(closed.value) == Approx(expected.value).epsilon(1e-6));
    CHECK(close(host(closed.d_log_probs), expected.d_log_probs));
    CHECK(number(closed.clip_fraction) == Approx(expected.clip_fraction));
    CHECK(number(closed.approximate_kl) == Approx(expected.approximate_kl).epsilon(1e-6));
    CHECK(number(closed.tokens) == expected.tokens);
    CHECK_FALSE(closed.value.requires_grad());
  }
  // Without weights: the mean.
  const Eigen::ArrayXd x = normals(5, 1, 0.2), zero = Eigen::ArrayXd::Zero(5), one = normals(5, 2);
  CHECK(number(coho::ppo_clip_loss{}(coho::policy_loss_inputs<at::Tensor>{
            .log_probs = tensor(x), .old_log_probs = tensor(zero), .advantages = tensor(one)})) ==
        Approx(coho::ppo_clip_loss{}({.log_probs = x, .old_log_probs = zero, .advantages = one})));
  CHECK(close(
      host(coho::ppo_clip_loss{}
               .value_and_grad(coho::policy_loss_inputs<at::Tensor>{
                   .log_probs = tensor(x), .old_log_probs = tensor(zero), .advantages = tensor(one)})
               .d_log_probs),
      coho::ppo_clip_loss{}.value_and_grad({.log_probs = x, .old_log_probs = zero, .advantages = one}).d_log_probs));
}

TEST_CASE("value_clip on tensors agrees with the host") {
  const number_batch b;
  const coho::value_clip_loss loss{{.clip = 0.2}};
  const auto weights = coho::make_token_weights(b.mask, b.slots);
  const auto tensor_weights = coho::make_token_weights(b.mask_tensor, b.slots);
  const auto expected =
      loss.value_and_grad({.values = b.log_probs, .old_values = b.old, .returns = b.returns, .weights = weights});
  const at::Tensor v = leaf(b.log_probs);
  const at::Tensor value = loss(coho::value_loss_inputs<at::Tensor>{
      .values = v, .old_values = tensor(b.old), .returns = tensor(b.returns), .weights = tensor_weights});
  value.backward();
  CHECK(number(value) == Approx(expected.value).epsilon(1e-6));
  CHECK(close(host(v.grad()), expected.d_values));
  const auto closed = loss.value_and_grad(coho::value_loss_inputs<at::Tensor>{
      .values = v, .old_values = tensor(b.old), .returns = tensor(b.returns), .weights = tensor_weights});
  CHECK(number(closed.value) == Approx(expected.value).epsilon(1e-6));
  CHECK(close(host(closed.d_values), expected.d_values));
  CHECK(number(closed.clip_fraction) == Approx(expected.clip_fraction));
}

TEST_CASE("nll and kl_loss on tensors agree with the host") {
  const number_batch b;
  const auto weights = coho::make_token_weights(b.mask, b.slots);
  const auto tensor_weights = coho::make_token_weights(b.mask_tensor, b.slots);
  {
    const auto expected = coho::nll_loss{}.value_and_grad(b.log_probs, weights);
    const at::Tensor p = leaf(b.log_probs);
    const at::Tensor value = coho::nll_loss{}(p, tensor_weights);
    value.backward();
    CHECK(number(value) == Approx(expected.value).epsilon(1e-6));
    CHECK(close(host(p.grad()), expected.d_log_probs));
    CHECK(close(host(coho::nll_loss{}.value_and_grad(p, tensor_weights).d_log_probs), expected.d_log_probs));
  }
  using enum coho::kl_estimator;
  for (const auto estimator : {k1, k2, k3, absolute, k1_clamped, k3_straight_through}) {
    const coho::kl_loss loss{{.estimator = estimator}};
    const auto expected =
        loss.value_and_grad({.log_probs = b.log_probs, .reference_log_probs = b.old, .weights = weights});
    const at::Tensor p = leaf(b.log_probs);
    const coho::kl_loss_inputs<at::Tensor> in{
        .log_probs = p, .reference_log_probs = tensor(b.old), .weights = tensor_weights};
    const at::Tensor value = loss(in);
    value.backward();
    CHECK(number(value) == Approx(expected.value).epsilon(1e-6));
    CHECK(close(host(p.grad()), expected.d_log_probs));
    CHECK(close(host(loss.value_and_grad(in).d_log_probs), expected.d_log_probs));
    const Eigen::ArrayXd x = normals(9, 5), y = normals(9, 6);
    CHECK(close(host(coho::kl_estimate(tensor(x), tensor(y), estimator)), coho::kl_estimate(x, y, estimator)));
  }
}

TEST_CASE("bradley_terry on tensors agrees with the host") {
  const Eigen::ArrayXd r = normals(12, 1, 3), s = normals(12, 2, 3), t = Eigen::ArrayXd::LinSpaced(12, 0, 1);
  const coho::bradley_terry_loss loss{{.margin = 0.3, .label_smoothing = 0.1, .centring = 0.01}};
  const auto weights = coho::make_token_weights(offsets{0, 12});
  const coho::token_weights<at::Tensor> tensor_weights{tensor(weights.values)};
  const auto check = [&](const auto& expected, const at::Tensor& value, const at::Tensor& p, const at::Tensor& o,
                         const auto& closed) {
    value.backward();
    CHECK(number(value) == Approx(expected.value).epsilon(1e-6));
    CHECK(close(host(p.grad()), expected.d_chosen));
    CHECK(close(host(o.grad()), expected.d_rejected));
    CHECK(number(closed.value) == Approx(expected.value).epsilon(1e-6));
    CHECK(close(host(closed.d_chosen), expected.d_chosen));
    CHECK(close(host(closed.d_rejected), expected.d_rejected));
    CHECK(number(closed.accuracy) == Approx(expected.accuracy));
  };
  using inputs = coho::pair_loss_inputs<at::Tensor>;
  {
    const at::Tensor p = leaf(r), o = leaf(s);
    const inputs in{.chosen = p, .rejected = o};
    check(loss.value_and_grad({.chosen = r, .rejected = s}), loss(in), p, o, loss.value_and_grad(in));
  }
  {
    const at::Tensor p = leaf(r), o = leaf(s);
    const inputs in{.chosen = p, .rejected = o, .weights = tensor_weights};
    check(loss.value_and_grad({.chosen = r, .rejected = s, .weights = weights}), loss(in), p, o,
          loss.value_and_grad(in));
  }
  {
    const at::Tensor p = leaf(r), o = leaf(s);
    const inputs in{.chosen = p, .rejected = o, .targets = tensor(t), .weights = tensor_weights};
    check(loss.value_and_grad({.chosen = r, .rejected = s, .targets = t, .weights = weights}), loss(in), p, o,
          loss.value_and_grad(in));
  }
}

TEST_CASE("gae, whitening, shaping and normalisation take tensors through the host") {
  const number_batch b;
  const coho::gae_options options{.gamma = 0.9, .lambda = 0.8};
  const auto expected =
      coho::gae({.rewards = b.advantages, .values = b.old, .mask = b.mask, .offsets = b.slots}, options);
  const auto result = coho::gae(
      coho::advantage_inputs<at::Tensor>{
          .rewards = tensor(b.advantages), .values = leaf(b.old), .mask = b.mask_tensor, .offsets = b.slots},
      options);
  CHECK(close(host(result.advantages), expected.advantages));
  CHECK(close(host(result.returns), expected.returns));
  CHECK_FALSE(result.returns.requires_grad());
  const Eigen::ArrayXd x = normals(23, 7);
  CHECK(close(
      host(coho::gae(coho::advantage_inputs<at::Tensor>{.rewards = tensor(x), .values = tensor(x), .offsets = b.slots})
               .advantages),
      coho::gae({.rewards = x, .values = x, .offsets = b.slots}).advantages));

  CHECK(close(host(coho::whiten(tensor(b.returns), b.mask_tensor)), coho::whiten(b.returns, b.mask)));
  CHECK(close(host(coho::whiten(tensor(x), {.keep_mean = true})), coho::whiten(x, {.keep_mean = true})));

  const Eigen::ArrayXd rewards = array({1, 2, 3, 4});
  const flags finished{1, 1, 0, 1};
  CHECK(close(host(coho::shape_rewards(coho::shape_rewards_inputs<at::Tensor>{.sequence_rewards = tensor(rewards),
                                                                              .log_probs = tensor(b.log_probs),
                                                                              .reference_log_probs = tensor(b.old),
                                                                              .mask = b.mask_tensor,
                                                                              .offsets = b.slots,
                                                                              .finished = finished},
                                       coho::shaping_options::salmon_code())),
              coho::shape_rewards({.sequence_rewards = rewards,
                                   .log_probs = b.log_probs,
                                   .reference_log_probs = b.old,
                                   .mask = b.mask,
                                   .offsets = b.slots,
                                   .finished = finished},
                                  coho::shaping_options::salmon_code())));
  CHECK(close(host(coho::normalize_rewards(tensor(rewards), {.mean = 2, .clip = 1})), array({-1, 0, 1, 1})));
  CHECK(close(host(coho::sequence_sums(tensor(b.old), b.mask_tensor, b.slots)),
              coho::sequence_sums(b.old, b.mask, b.slots)));
  const auto weights = coho::make_token_weights(b.mask, b.slots);
  CHECK(number(coho::weighted_sum(tensor(b.old), coho::make_token_weights(b.mask_tensor, b.slots))) ==
        Approx(coho::weighted_sum(b.old, weights)));
}

TEST_CASE("results keep the number type of their tensors; weights of an integer mask are floats") {
  const at::Tensor x = tensor(normals(4, 1), at::kFloat);
  CHECK(coho::whiten(x).scalar_type() == at::kFloat);
  CHECK(coho::gae(coho::advantage_inputs<at::Tensor>{.rewards = x, .values = x, .offsets = offsets{0, 4}})
            .advantages.scalar_type() == at::kFloat);
  const auto weights = coho::make_token_weights(at::ones({4}, at::kLong), offsets{0, 4});
  CHECK(weights.values.scalar_type() == at::kFloat);
  CHECK(number(weights.values.sum()) == Approx(1));
  const at::Tensor p = at::zeros({4}).set_requires_grad(true);
  coho::ppo_clip_loss{}(
      coho::policy_loss_inputs<at::Tensor>{
          .log_probs = p, .old_log_probs = at::zeros({4}), .advantages = at::ones({4}), .weights = weights})
      .backward();
  CHECK(p.grad().scalar_type() == at::kFloat);
  CHECK(number(p.grad().sum()) == Approx(-1));
}

TEST_CASE("the losses of no tokens are 0 on tensors, without weights as with them") {
  const at::Tensor none = at::empty({0}), leaf_of_none = at::empty({0}).set_requires_grad(true);
  const auto check = [&](const at::Tensor& value, const auto& result, const at::Tensor& gradient) {
    CHECK(number(value) == 0);
    CHECK(number(result.value) == 0);
    CHECK(gradient.numel() == 0);
    value.backward();
  };
  const auto nll = coho::nll_loss{}.value_and_grad(leaf_of_none);
  check(coho::nll_loss{}(leaf_of_none), nll, nll.d_log_probs);
  const auto policy = coho::ppo_clip_loss{}.value_and_grad(
      coho::policy_loss_inputs<at::Tensor>{.log_probs = leaf_of_none, .old_log_probs = none, .advantages = none});
  check(coho::ppo_clip_loss{}(
            coho::policy_loss_inputs<at::Tensor>{.log_probs = leaf_of_none, .old_log_probs = none, .advantages = none}),
        policy, policy.d_log_probs);
  CHECK(number(policy.clip_fraction) == 0);
  CHECK(number(policy.approximate_kl) == 0);
  const auto value = coho::value_clip_loss{}.value_and_grad(
      coho::value_loss_inputs<at::Tensor>{.values = leaf_of_none, .old_values = none, .returns = none});
  check(coho::value_clip_loss{}(
            coho::value_loss_inputs<at::Tensor>{.values = leaf_of_none, .old_values = none, .returns = none}),
        value, value.d_values);
  CHECK(number(value.clip_fraction) == 0);
  const coho::pair_loss_inputs<at::Tensor> no_pairs{.chosen = leaf_of_none, .rejected = none};
  const auto pairs = coho::bradley_terry_loss{}.value_and_grad(no_pairs);
  check(coho::bradley_terry_loss{}(no_pairs), pairs, pairs.d_chosen);
  CHECK(number(pairs.accuracy) == 0);
}

TEST_CASE("ppo_clip on tensors: the approximate KL is that of the host, near 0 and beyond the limit") {
  const auto kl = [](const at::Tensor& log_probs, const at::Tensor& old) {
    return number(coho::ppo_clip_loss{}
                      .value_and_grad(coho::policy_loss_inputs<at::Tensor>{
                          .log_probs = log_probs, .old_log_probs = old, .advantages = at::ones_like(old)})
                      .approximate_kl);
  };
  CHECK(kl(at::zeros({1}), at::full({1}, -3.01e-5F)) == Approx(0.5 * 3.01e-5 * 3.01e-5).epsilon(1e-3));
  for (const double difference : {1e-6, -3e-5, 1e-3, -0.0099, 0.0101, -0.5, 3.0, 19.9, -19.9, 20.1, 45.0, -45.0}) {
    const Eigen::ArrayXd x = array({difference}), zero = array({0}), one = array({1});
    const double expected =
        coho::ppo_clip_loss{}.value_and_grad({.log_probs = x, .old_log_probs = zero, .advantages = one}).approximate_kl;
    INFO("log-ratio " << difference);
    CHECK(kl(tensor(x), tensor(zero)) == Approx(expected).epsilon(1e-9));
    const double in_float = kl(tensor(x, at::kFloat), tensor(zero, at::kFloat));
    CHECK(in_float > 0);
    CHECK(in_float == Approx(expected).epsilon(5e-3));
    const Eigen::ArrayXf narrow = x.cast<float>(), none = zero.cast<float>();
    CHECK(in_float == Approx(coho::ppo_clip_loss{}
                                 .value_and_grad(coho::policy_loss_inputs<float>{
                                     .log_probs = narrow, .old_log_probs = none, .advantages = none})
                                 .approximate_kl)
                          .epsilon(5e-3));
  }
}
