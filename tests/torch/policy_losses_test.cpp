#include <cmath>

#include <ATen/ATen.h>

#include <coho/kl/estimators.hpp>
#include <coho/kl/exact.hpp>
#include <coho/kl/kl_loss.hpp>
#include <coho/loss/cispo.hpp>
#include <coho/loss/dppo.hpp>
#include <coho/loss/entropy_bonus.hpp>
#include <coho/loss/gspo.hpp>
#include <coho/loss/huber_value.hpp>
#include <coho/loss/reinforce.hpp>
#include <coho/loss/sapo.hpp>
#include <coho/rollout/importance_weights.hpp>
#include <coho/torch/ops.hpp>

#include "support/catch.hpp"
#include "support/tensors.hpp"
#include "support/test_arrays.hpp"

using namespace coho::test;
using Catch::Matchers::ContainsSubstring;

namespace {

// Sequences of 9, 0, 1, 12 and 8 tokens; the masked ones hold what must not travel.
struct batch {
  offsets slots{0, 9, 9, 10, 22, 30};
  flags mask = flags(30, 1);
  Eigen::ArrayXd old = normals(30, 1), log_probs = old + normals(30, 2, 0.4), advantages = normals(30, 3);
  coho::token_weights<Eigen::ArrayXd> weights;
  coho::token_weights<at::Tensor> tensor_weights;

  batch() {
    for (const std::size_t t : {2U, 11U, 29U}) {
      mask[t] = 0;
      const auto i = static_cast<Eigen::Index>(t);
      log_probs[i] = not_a_number;
      old[i] = -infinity;
      advantages[i] = infinity;
    }
    weights = coho::make_token_weights(mask, slots, {.kind = coho::reduction::sequence_mean_of_means});
    tensor_weights.values = tensor(weights.values);
  }
};

// The closed form on tensors, and autograd through operator(), against the host.
void check_gradients(double expected_value, const Eigen::ArrayXd& expected_gradient, const at::Tensor& found,
                     const at::Tensor& value, const at::Tensor& input) {
  CHECK(close(host(found), expected_gradient));
  CHECK(number(value) == Approx(expected_value).epsilon(1e-9));
  value.backward();
  CHECK(close(host(input.grad()), expected_gradient));
}

}  // namespace

TEST_CASE("REINFORCE of tensors agrees with arrays and with autograd") {
  const batch b;
  const auto expected = coho::reinforce_loss{}.value_and_grad(
      {.log_probs = b.log_probs, .advantages = b.advantages, .weights = b.weights});
  const at::Tensor p = leaf(b.log_probs), a = leaf(b.advantages);
  const auto found = coho::reinforce_loss{}.value_and_grad(
      coho::policy_loss_inputs<at::Tensor>{.log_probs = p, .advantages = a, .weights = b.tensor_weights});
  CHECK(number(found.value) == Approx(expected.value));
  CHECK(number(found.tokens) == 27);
  CHECK_FALSE(found.d_log_probs.requires_grad());
  check_gradients(expected.value, expected.d_log_probs, found.d_log_probs,
                  coho::reinforce_loss{}(coho::policy_loss_inputs<at::Tensor>{
                      .log_probs = p, .advantages = a, .weights = b.tensor_weights}),
                  p);
  CHECK_FALSE(a.grad().defined());
  const Eigen::ArrayXd x = normals(5, 1), y = normals(5, 2);
  CHECK(number(coho::reinforce_loss{}(
            coho::policy_loss_inputs<at::Tensor>{.log_probs = tensor(x), .advantages = tensor(y)})) ==
        Approx(coho::reinforce_loss{}({.log_probs = x, .advantages = y})));
}

TEST_CASE("CISPO of tensors agrees with arrays, and autograd holds its weight constant") {
  const batch b;
  for (const double low : {1.0, 0.2}) {
    for (const double high : {0.25, infinity}) {
      const coho::cispo_loss loss{{.clip_high = high, .clip_low = low}};
      const auto expected = loss.value_and_grad(
          {.log_probs = b.log_probs, .old_log_probs = b.old, .advantages = b.advantages, .weights = b.weights});
      const at::Tensor p = leaf(b.log_probs), o = leaf(b.old), a = leaf(b.advantages);
      const auto found = loss.value_and_grad(coho::policy_loss_inputs<at::Tensor>{
          .log_probs = p, .old_log_probs = o, .advantages = a, .weights = b.tensor_weights});
      CHECK(number(found.value) == Approx(expected.value));
      CHECK(number(found.clip_fraction) == Approx(expected.clip_fraction));
      CHECK(number(found.approximate_kl) == Approx(expected.approximate_kl));
      CHECK(number(found.tokens) == 27);
      CHECK_FALSE(found.d_log_probs.requires_grad());
      check_gradients(expected.value, expected.d_log_probs, found.d_log_probs,
                      loss(coho::policy_loss_inputs<at::Tensor>{
                          .log_probs = p, .old_log_probs = o, .advantages = a, .weights = b.tensor_weights}),
                      p);
      CHECK_FALSE(o.grad().defined());
      CHECK_FALSE(a.grad().defined());
    }
  }
  const Eigen::ArrayXd x = normals(5, 1), y = normals(5, 2), z = normals(5, 3);
  CHECK(number(coho::cispo_loss{}(coho::policy_loss_inputs<at::Tensor>{
            .log_probs = tensor(x), .old_log_probs = tensor(y), .advantages = tensor(z)})) ==
        Approx(coho::cispo_loss{}({.log_probs = x, .old_log_probs = y, .advantages = z})));
}

TEST_CASE("SAPO and DPPO of tensors agree with arrays and with autograd") {
  const batch b;
  const auto check = [&](const auto& loss) {
    const Eigen::ArrayXd log_probs = -b.log_probs.abs() - 0.01, old = -b.old.abs() - 0.01;
    const auto expected = loss.value_and_grad(
        {.log_probs = log_probs, .old_log_probs = old, .advantages = b.advantages, .weights = b.weights});
    const at::Tensor p = leaf(log_probs), o = leaf(old), a = leaf(b.advantages);
    const coho::policy_loss_inputs<at::Tensor> in{
        .log_probs = p, .old_log_probs = o, .advantages = a, .weights = b.tensor_weights};
    const auto found = loss.value_and_grad(in);
    CHECK(number(found.value) == Approx(expected.value));
    CHECK(number(found.approximate_kl) == Approx(expected.approximate_kl));
    CHECK(number(found.tokens) == 27);
    check_gradients(expected.value, expected.d_log_probs, found.d_log_probs, loss(in), p);
    CHECK_FALSE(a.grad().defined());
  };
  check(coho::sapo_loss{});
  check(coho::sapo_loss{{.temperature_positive = 0.5, .temperature_negative = 3}});
  for (const auto kind : {coho::token_divergence_kind::total_variation, coho::token_divergence_kind::kl})
    for (const double limit : {0.02, 0.2, 5.0})
      check(coho::dppo_loss{{.divergence = kind, .limit_high = limit, .limit_low = limit, .ratio_limit = 2}});
}

TEST_CASE("GSPO of tensors agrees with arrays and with autograd") {
  const batch b;
  for (const double clip : {3e-4, 0.05, 0.9}) {
    const coho::gspo_loss loss{{.clip_low = clip, .clip_high = 1.3 * clip}};
    const auto expected = loss.value_and_grad({.log_probs = b.log_probs,
                                               .old_log_probs = b.old,
                                               .advantages = b.advantages,
                                               .weights = b.weights,
                                               .offsets = b.slots});
    const at::Tensor p = leaf(b.log_probs), o = leaf(b.old), a = leaf(b.advantages);
    const auto found = loss.value_and_grad(coho::policy_loss_inputs<at::Tensor>{
        .log_probs = p, .old_log_probs = o, .advantages = a, .weights = b.tensor_weights, .offsets = b.slots});
    CHECK(number(found.value) == Approx(expected.value));
    CHECK(number(found.clip_fraction) == Approx(expected.clip_fraction));
    CHECK(number(found.approximate_kl) == Approx(expected.approximate_kl));
    CHECK(number(found.tokens) == 27);
    CHECK_FALSE(found.d_log_probs.requires_grad());
    check_gradients(
        expected.value, expected.d_log_probs, found.d_log_probs,
        loss(coho::policy_loss_inputs<at::Tensor>{
            .log_probs = p, .old_log_probs = o, .advantages = a, .weights = b.tensor_weights, .offsets = b.slots}),
        p);
    CHECK_FALSE(o.grad().defined());
    CHECK_FALSE(a.grad().defined());
  }
}

TEST_CASE("GSPO of tensors on either side of its bounds, and beyond the limit of its ratio") {
  const offsets slots{0, 2};
  const coho::gspo_loss loss{{.clip_low = 0.2, .clip_high = 0.3}};
  const coho::token_weights<Eigen::ArrayXd> weights{array({0.5, 0.5})};
  const coho::token_weights<at::Tensor> tensor_weights{tensor(weights.values)};
  for (const double ratio : {1.299999, 1.300001, 0.799999, 0.800001, std::exp(21.0), std::exp(-21.0)}) {
    const double log_ratio = std::log(ratio);
    for (const double advantage : {1.0, -1.0}) {
      const Eigen::ArrayXd p = array({log_ratio + 1, log_ratio - 1}), old = array({0, 0}),
                           a = array({advantage, advantage});
      const auto expected = loss.value_and_grad(
          {.log_probs = p, .old_log_probs = old, .advantages = a, .weights = weights, .offsets = slots});
      const at::Tensor q = leaf(p);
      check_gradients(expected.value, expected.d_log_probs,
                      loss.value_and_grad(coho::policy_loss_inputs<at::Tensor>{.log_probs = q,
                                                                               .old_log_probs = tensor(old),
                                                                               .advantages = tensor(a),
                                                                               .weights = tensor_weights,
                                                                               .offsets = slots})
                          .d_log_probs,
                      loss(coho::policy_loss_inputs<at::Tensor>{.log_probs = q,
                                                                .old_log_probs = tensor(old),
                                                                .advantages = tensor(a),
                                                                .weights = tensor_weights,
                                                                .offsets = slots}),
                      q);
    }
  }
}

TEST_CASE("Huber's value loss of tensors agrees with arrays and with autograd") {
  const batch b;
  for (const double delta : {0.3, 1.0, infinity}) {
    const coho::huber_value_loss loss{{.delta = delta}};
    const auto expected = loss.value_and_grad(
        {.values = b.log_probs, .old_values = b.old, .returns = b.advantages, .weights = b.weights});
    const at::Tensor v = leaf(b.log_probs), o = tensor(b.old), r = leaf(b.advantages);
    const auto found = loss.value_and_grad(
        coho::value_loss_inputs<at::Tensor>{.values = v, .old_values = o, .returns = r, .weights = b.tensor_weights});
    CHECK(number(found.value) == Approx(expected.value));
    CHECK(number(found.clip_fraction) == Approx(expected.clip_fraction));
    CHECK(number(found.tokens) == 27);
    check_gradients(expected.value, expected.d_values, found.d_values,
                    loss(coho::value_loss_inputs<at::Tensor>{
                        .values = v, .old_values = o, .returns = r, .weights = b.tensor_weights}),
                    v);
    CHECK_FALSE(r.grad().defined());
  }
}

TEST_CASE("the entropy bonus of tensors agrees with arrays and with autograd") {
  const batch b;
  const coho::entropy_bonus bonus{{.coefficient = 0.3}};
  const auto expected = bonus.value_and_grad(b.log_probs, b.weights);
  const at::Tensor h = leaf(b.log_probs);
  const auto found = bonus.value_and_grad(h, b.tensor_weights);
  CHECK(number(found.value) == Approx(expected.value));
  CHECK(number(found.entropy) == Approx(expected.entropy));
  CHECK(number(found.tokens) == 27);
  check_gradients(expected.value, expected.d_entropy, found.d_entropy, bonus(h, b.tensor_weights), h);
}

TEST_CASE("policy losses of empty tensors and of float tensors") {
  const Eigen::ArrayXd none;
  const coho::token_weights<at::Tensor> nothing{tensor(none)};
  CHECK(number(coho::reinforce_loss{}(
            coho::policy_loss_inputs<at::Tensor>{.log_probs = tensor(none), .advantages = tensor(none)})) == 0);
  const at::Tensor e = tensor(none);
  CHECK(number(coho::cispo_loss{}
                   .value_and_grad(coho::policy_loss_inputs<at::Tensor>{
                       .log_probs = e, .old_log_probs = e, .advantages = e, .weights = nothing})
                   .approximate_kl) == 0);
  CHECK(
      number(coho::gspo_loss{}
                 .value_and_grad(coho::policy_loss_inputs<at::Tensor>{
                     .log_probs = e, .old_log_probs = e, .advantages = e, .weights = nothing, .offsets = offsets{0, 0}})
                 .value) == 0);
  CHECK(number(coho::huber_value_loss{}(
            coho::value_loss_inputs<at::Tensor>{.values = e, .old_values = e, .returns = e})) == 0);
  CHECK(number(coho::entropy_bonus{}(tensor(none))) == 0);

  const batch b;
  const auto narrow = [](const Eigen::ArrayXd& x) { return tensor(x, at::kFloat); };
  const coho::token_weights<at::Tensor> weights{narrow(b.weights.values)};
  const at::Tensor p = narrow(b.log_probs), o = narrow(b.old), a = narrow(b.advantages);
  const auto cispo = coho::cispo_loss{}.value_and_grad(
      coho::policy_loss_inputs<at::Tensor>{.log_probs = p, .old_log_probs = o, .advantages = a, .weights = weights});
  const auto gspo = coho::gspo_loss{}.value_and_grad(coho::policy_loss_inputs<at::Tensor>{
      .log_probs = p, .old_log_probs = o, .advantages = a, .weights = weights, .offsets = b.slots});
  CHECK(cispo.d_log_probs.scalar_type() == at::kFloat);
  CHECK(gspo.d_log_probs.scalar_type() == at::kFloat);
  CHECK(
      number(cispo.value) ==
      Approx(coho::cispo_loss{}(
                 {.log_probs = b.log_probs, .old_log_probs = b.old, .advantages = b.advantages, .weights = b.weights}))
          .epsilon(1e-4));
  CHECK(number(gspo.value) == Approx(coho::gspo_loss{}({.log_probs = b.log_probs,
                                                        .old_log_probs = b.old,
                                                        .advantages = b.advantages,
                                                        .weights = b.weights,
                                                        .offsets = b.slots}))
                                  .epsilon(1e-4));
}

TEST_CASE("importance weights of tensors agree with arrays and are constants") {
  const batch b;
  using enum coho::importance_form;
  using enum coho::importance_level;
  for (const auto form : {truncated, masked}) {
    for (const auto level : {token, sequence, sequence_mean}) {
      const coho::importance_weights_options options{
          .form = form, .level = level, .low = form == masked ? 0.8 : 0.0, .high = 1, .sequence_high = 1.5};
      const auto expected = coho::importance_weights(b.log_probs, b.old, b.mask, b.slots, options);
      Eigen::ArrayXd mask(30);
      for (std::size_t t = 0; t < 30; ++t) mask[static_cast<Eigen::Index>(t)] = b.mask[t];
      const auto found =
          coho::importance_weights(leaf(b.log_probs), tensor(b.old), tensor(mask, at::kLong), b.slots, options);
      CHECK(close(host(found.weights), expected.weights));
      CHECK_FALSE(found.weights.requires_grad());
      CHECK(found.mean_weight == Approx(expected.mean_weight));
      CHECK(found.limited_fraction == Approx(expected.limited_fraction));
      CHECK(found.limited_fraction > 0);
      CHECK(found.effective_sample_size == Approx(expected.effective_sample_size));
      CHECK(found.tokens == 27);
    }
  }
  const Eigen::ArrayXd p = normals(5, 1);
  CHECK(coho::importance_weights(tensor(p, at::kFloat), tensor(p), offsets{0, 5}).weights.scalar_type() == at::kFloat);
}

TEST_CASE("the exact KL of tensors agrees with arrays, and with autograd through the softmax") {
  Eigen::ArrayXd z = normals(24, 1, 2), y = normals(24, 2, 2);
  for (const Eigen::Index t : {0, 1, 2, 3}) z[6 * t + 2] = y[6 * t + 2] = -infinity;  // a banned token
  const at::Tensor logits = tensor(z).view({4, 6}).set_requires_grad(true);
  const at::Tensor p = logits.log_softmax(1), q = tensor(y).view({4, 6}).log_softmax(1);
  const Eigen::ArrayXd flat_p = host(p), flat_q = host(q), expected_rows = coho::exact_kl(flat_p, flat_q, 6);
  const Eigen::ArrayXd weights = array({1, 0.5, 0, 2});
  const auto expected = coho::exact_kl.value_and_grad(flat_p, flat_q, 6, coho::token_weights<Eigen::ArrayXd>{weights});

  const at::Tensor rows = coho::exact_kl(p, q);
  CHECK(close(host(rows), expected_rows));
  (rows * tensor(weights)).sum().backward();
  CHECK(close(host(logits.grad()), expected.d_logits));

  const auto found = coho::exact_kl.value_and_grad(p, q, coho::token_weights<at::Tensor>{tensor(weights)});
  CHECK(number(found.value) == Approx(expected.value));
  CHECK(found.d_logits.sizes() == p.sizes());
  CHECK(close(host(found.d_logits), expected.d_logits));
  CHECK_FALSE(found.d_logits.requires_grad());
  CHECK((host(coho::exact_kl(p, p)) == 0.0).all());
}

TEST_CASE("the exact KL of tensors names the row that is not finite, and does not read rows of weight 0") {
  const at::Tensor p = tensor(normals(12, 1)).view({3, 4}).log_softmax(1);
  const at::Tensor q = tensor(normals(12, 2)).view({3, 4}).log_softmax(1);
  const double expected = number(coho::exact_kl(p, q)[0]);
  q[1][2].fill_(-infinity);
  p[2][0].fill_(not_a_number);
  CHECK_THROWS_WITH(coho::exact_kl(p, q), ContainsSubstring("row 1"));
  const auto weighted = [&](const Eigen::ArrayXd& w) {
    return coho::exact_kl.value_and_grad(p, q, coho::token_weights<at::Tensor>{tensor(w)});
  };
  CHECK_THROWS_WITH(weighted(array({1, 0, 1})), ContainsSubstring("row 2"));
  const auto result = weighted(array({2, 0, 0}));
  CHECK(number(result.value) == Approx(2 * expected));
  CHECK(result.d_logits.isfinite().all().item<bool>());
  CHECK((host(result.d_logits).tail(8) == 0.0).all());
  CHECK_THROWS_AS(weighted(array({1})), coho::argument_error);
  CHECK_THROWS_AS(coho::exact_kl(p, q.narrow(1, 0, 3)), coho::argument_error);
  CHECK_THROWS_AS(coho::exact_kl(p.view({12}), q.view({12})), coho::argument_error);
}

TEST_CASE("kl_loss with clip on tensors agrees with arrays and with autograd") {
  const batch b;
  using enum coho::kl_estimator;
  for (const auto estimator : {k1, k2, k3, absolute, k1_clamped, k3_straight_through}) {
    const coho::kl_loss loss{{.estimator = estimator, .clip = 0.3}};
    const auto expected =
        loss.value_and_grad({.log_probs = b.log_probs, .reference_log_probs = b.old, .weights = b.weights});
    CHECK((expected.d_log_probs == 0.0).count() > 5);
    const at::Tensor p = leaf(b.log_probs);
    const coho::kl_loss_inputs<at::Tensor> in{
        .log_probs = p, .reference_log_probs = tensor(b.old), .weights = b.tensor_weights};
    const auto found = loss.value_and_grad(in);
    CHECK(number(found.value) == Approx(expected.value));
    check_gradients(expected.value, expected.d_log_probs, found.d_log_probs, loss(in), p);
  }
}
