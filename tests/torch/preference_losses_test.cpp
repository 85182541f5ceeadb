#include <cmath>
#include <vector>

#include <coho/loss/bradley_terry_ties.hpp>
#include <coho/loss/cpo.hpp>
#include <coho/loss/dpo.hpp>
#include <coho/loss/kto.hpp>
#include <coho/loss/orpo.hpp>
#include <coho/loss/plackett_luce.hpp>
#include <coho/loss/simpo.hpp>
#include <coho/reduce.hpp>
#include <coho/torch/ops.hpp>

#include "support/catch.hpp"
#include "support/loss_inputs.hpp"
#include "support/tensors.hpp"
#include "support/test_arrays.hpp"

using namespace coho::test;
using coho::dpo_form;
using host_weights = coho::token_weights<Eigen::ArrayXd>;
using tensor_weights = coho::token_weights<at::Tensor>;

namespace {

constexpr Eigen::Index count = 9;

// A loss of pairs on tensors against the host and autograd: weighted with NaN where masked, and as the mean.
// `inputs(chosen, rejected, constants…, weights)` names them.
template <class Loss, class Inputs, class... Constants>
void check_pairs(const Loss& loss, const Inputs& inputs, const Eigen::ArrayXd& chosen, const Eigen::ArrayXd& rejected,
                 const Constants&... constants) {
  const Eigen::ArrayXd w = weights_with_a_gap(count);
  const host_weights weights{w};
  const auto expected = loss.value_and_grad(inputs(chosen, rejected, constants..., weights));
  const at::Tensor p = leaf(spoiled(chosen)), o = leaf(spoiled(rejected));
  const auto in = inputs(p, o, tensor(spoiled(constants))..., tensor_weights{tensor(w)});
  const auto found = loss.value_and_grad(in);
  CHECK_FALSE(found.value.requires_grad());
  CHECK(number(found.value) == Approx(expected.value).epsilon(1e-10));
  CHECK(close(host(found.d_chosen), expected.d_chosen));
  CHECK(close(host(found.d_rejected), expected.d_rejected));
  CHECK(number(found.accuracy) == Approx(expected.accuracy));
  const at::Tensor value = loss(in);
  CHECK(number(value) == Approx(expected.value).epsilon(1e-10));
  value.backward();
  CHECK(close(host(p.grad()), expected.d_chosen));
  CHECK(close(host(o.grad()), expected.d_rejected));

  const auto mean = loss.value_and_grad(inputs(chosen, rejected, constants...));
  const at::Tensor q = leaf(chosen), u = leaf(rejected);
  const auto unweighted = inputs(q, u, tensor(constants)...);
  const at::Tensor mean_value = loss(unweighted);
  CHECK(number(mean_value) == Approx(mean.value).epsilon(1e-10));
  mean_value.backward();
  CHECK(close(host(q.grad()), mean.d_chosen));
  CHECK(close(host(u.grad()), mean.d_rejected));
  CHECK(close(host(loss.value_and_grad(unweighted).d_chosen), mean.d_chosen));

  const at::Tensor none = leaf(Eigen::ArrayXd());
  [[maybe_unused]] const auto nothing = [&](const auto&) { return tensor(Eigen::ArrayXd()); };
  const auto empty = inputs(none, none, nothing(constants)...);
  CHECK(number(loss(empty)) == 0);
  CHECK(number(loss.value_and_grad(empty).value) == 0);
}
// As function objects, which `check_pairs` calls.
const auto of_reference = [](const auto&... x) { return with_reference(x...); };
const auto of_means = [](const auto&... x) { return means(x...); };
const auto of_lengths = [](const auto&... x) { return with_lengths(x...); };
const auto of_outcomes = [](const auto&... x) { return compared(x...); };

double smoothing(dpo_form form) { return form == dpo_form::conservative || form == dpo_form::robust ? 0.1 : 0.0; }

const std::vector<dpo_form> all_forms{dpo_form::sigmoid, dpo_form::hinge, dpo_form::ipo, dpo_form::conservative,
                                      dpo_form::robust};

}  // namespace

TEST_CASE("DPO of tensors agrees with arrays and with autograd") {
  const Eigen::ArrayXd chosen = normals(count, 1, 8), rejected = normals(count, 2, 8), r = normals(count, 3, 8),
                       s = normals(count, 4, 8);
  for (const auto form : all_forms) {
    const coho::dpo_loss loss{{.beta = 0.3, .form = form, .label_smoothing = smoothing(form)}};
    check_pairs(loss, of_reference, chosen, rejected, r, s);
    const auto expected = loss.value_and_grad(with_reference(chosen, rejected, r, s));
    const auto found = loss.value_and_grad(with_reference(tensor(chosen), tensor(rejected), tensor(r), tensor(s)));
    CHECK(number(found.margin) == Approx(expected.margin));
  }
}

TEST_CASE("at the hinge's kink autograd has the closed form's derivative") {
  const coho::dpo_loss loss{{.beta = 1, .form = dpo_form::hinge}};
  const at::Tensor chosen = leaf(array({0.5, 1, 1.5})), zero = tensor(Eigen::ArrayXd::Zero(3));
  loss(with_reference(chosen, zero, zero, zero)).backward();
  CHECK(close(host(chosen.grad()), array({-1.0 / 3, 0, 0})));
  CHECK(close(host(loss.value_and_grad(with_reference(chosen, zero, zero, zero)).d_chosen), array({-1.0 / 3, 0, 0})));
}

TEST_CASE("the reference log-probs of DPO and KTO are constants") {
  const at::Tensor x = leaf(normals(4, 1)), r = leaf(normals(4, 2));
  coho::dpo_loss{}(with_reference(x, x.detach(), r, r)).backward();
  coho::kto_loss{}(judged(x, r, tensor(array({1, 0, 1, 0})), 0.0)).backward();
  CHECK(x.grad().defined());
  CHECK_FALSE(r.grad().defined());
}

TEST_CASE("KTO of tensors agrees with arrays and with autograd") {
  const Eigen::ArrayXd log_probs = normals(count, 1, 8), reference = normals(count, 2, 8),
                       w = weights_with_a_gap(count);
  const Eigen::ArrayXd desirable = array({1, 0, 0, 1, 1, 0, 1, 1, 0});
  const coho::kto_loss loss{{.beta = 0.3, .desirable_weight = 1.3, .undesirable_weight = 0.8}};
  const auto expected = loss.value_and_grad(judged(log_probs, reference, desirable, 0.7, host_weights{w}));
  const at::Tensor x = leaf(spoiled(log_probs));
  for (const auto type : {at::kDouble, at::kBool, at::kLong}) {
    const at::Tensor wanted = tensor(desirable).to(type), weights = tensor(w);
    const auto found = loss.value_and_grad(judged(x, tensor(spoiled(reference)), wanted, 0.7, tensor_weights{weights}));
    CHECK(number(found.value) == Approx(expected.value));
    CHECK(close(host(found.d_log_probs), expected.d_log_probs));
    CHECK(number(found.accuracy) == Approx(expected.accuracy));
    CHECK(number(found.margin) == Approx(expected.margin));
    x.mutable_grad() = at::Tensor();
    const at::Tensor value = loss(judged(x, tensor(spoiled(reference)), wanted, 0.7, tensor_weights{weights}));
    CHECK(number(value) == Approx(expected.value));
    value.backward();
    CHECK(close(host(x.grad()), expected.d_log_probs));
  }
  const at::Tensor mean = loss(judged(tensor(log_probs), tensor(reference), tensor(desirable), 0.7));
  CHECK(number(mean) == Approx(loss(judged(log_probs, reference, desirable, 0.7))));
  CHECK(coho::kto_baseline(leaf(log_probs), tensor(reference - 8.0)) ==
        Approx(coho::kto_baseline(log_probs, reference - 8.0)));
  CHECK_THROWS_AS(loss(judged(tensor(log_probs), tensor(reference), tensor(desirable), -1.0)), coho::argument_error);
}

TEST_CASE("ORPO of tensors agrees with arrays and with autograd, near certainty too") {
  Eigen::ArrayXd chosen = -normals(count, 1, 2).abs() - 1e-3, rejected = -normals(count, 2, 2).abs() - 1e-3;
  chosen[0] = 0;
  rejected[1] = -0.5e-6;
  chosen[2] = -2e-6;
  rejected[3] = -1e-6;
  chosen[5] = -200;
  for (const double lambda : {0.0, 0.1, 2.0})
    check_pairs(coho::orpo_loss{{.lambda = lambda}}, of_means, chosen, rejected);
}

TEST_CASE("SimPO of tensors agrees with arrays and with autograd") {
  const Eigen::ArrayXd chosen = normals(count, 1), rejected = normals(count, 2);
  check_pairs(coho::simpo_loss{}, of_means, chosen, rejected);
  check_pairs(coho::simpo_loss{{.beta = 2.5, .gamma = 1.6, .label_smoothing = 0.1}}, of_means, chosen, rejected);
}

TEST_CASE("CPO of tensors agrees with arrays and with autograd") {
  const Eigen::ArrayXd chosen = normals(count, 1, 8), rejected = normals(count, 2, 8);
  const Eigen::ArrayXd lengths = array({0, 1, 2, 3, 4, 5, 6, 7, 8});
  for (const auto form : all_forms) {
    const coho::cpo_loss loss{{.beta = 0.3, .form = form, .label_smoothing = smoothing(form)}};
    check_pairs(loss, of_lengths, chosen, rejected, lengths);
    CHECK(number(loss(with_lengths(tensor(chosen), tensor(rejected), tensor(lengths).to(at::kLong)))) ==
          Approx(loss(with_lengths(chosen, rejected, lengths))));
  }
}

TEST_CASE("tie losses of tensors agree with arrays and with autograd") {
  const Eigen::ArrayXd first = normals(count, 1, 3), outcomes = array({1, 0.5, 0, 0.25, 1, 0.75, 0.5, 0, 1});
  Eigen::ArrayXd second = normals(count, 2, 3);
  second[1] = first[1];
  second[2] = first[2] + 90;
  using coho::tie_form;
  for (const auto& options : {coho::bradley_terry_ties_options{}, coho::bradley_terry_ties_options{.theta = 7},
                              coho::bradley_terry_ties_options{.form = tie_form::davidson},
                              coho::bradley_terry_ties_options{.form = tie_form::davidson, .nu = 0.2}}) {
    check_pairs(coho::bradley_terry_ties_loss{options}, of_outcomes, first, second, outcomes);
  }
  const Eigen::ArrayXd decided = outcomes.round();
  check_pairs(coho::bradley_terry_ties_loss{{.theta = 1}}, of_outcomes, first, second, decided);
  check_pairs(coho::bradley_terry_ties_loss{{.form = tie_form::davidson, .nu = 0}}, of_outcomes, first, second,
              decided);
  const at::Tensor one = tensor(array({1})), half = tensor(array({0.5}));
  CHECK(number(coho::bradley_terry_ties_loss{{.theta = 1}}(compared(one, one, half))) == infinity);
}

TEST_CASE("rankings of tensors agree with arrays and with autograd") {
  Eigen::ArrayXd scores = normals(16, 1, 3);
  scores[9] += 300;
  scores[11] -= 300;
  const offsets groups{0, 5, 5, 6, 8, 16};
  const Eigen::ArrayXd w = array({0.5, 1, 2, 0, 0.1});
  Eigen::ArrayXd masked = scores;
  masked[6] = not_a_number;
  for (const std::size_t top : {0, 1, 3, 100}) {
    const coho::plackett_luce_loss loss{{.top = top}};
    const auto expected = loss.value_and_grad(scores, groups, host_weights{w});
    const at::Tensor x = leaf(masked);
    const auto found = loss.value_and_grad(x, groups, tensor_weights{tensor(w)});
    CHECK(found.value.dim() == 0);
    CHECK(number(found.value) == Approx(expected.value));
    CHECK(close(host(found.d_scores), expected.d_scores));
    CHECK(number(found.accuracy) == Approx(expected.accuracy));
    const at::Tensor value = loss(x, groups, tensor_weights{tensor(w)});
    CHECK(value.dim() == 0);
    CHECK(number(value) == Approx(expected.value).epsilon(1e-10));
    value.backward();
    CHECK(close(host(x.grad()), expected.d_scores));

    const auto mean = loss.value_and_grad(scores, groups);
    const at::Tensor y = leaf(scores), mean_value = loss(y, groups);
    CHECK(number(mean_value) == Approx(mean.value).epsilon(1e-10));
    mean_value.backward();
    CHECK(close(host(y.grad()), mean.d_scores));
    CHECK(close(host(loss.value_and_grad(tensor(scores), groups).d_scores), mean.d_scores));
  }
}

TEST_CASE("rankings of tensors without a choice cost nothing, and their offsets must fit") {
  const coho::plackett_luce_loss loss;
  const at::Tensor x = leaf(array({1, not_a_number}));
  const at::Tensor value = loss(x, offsets{0, 1, 1, 2});
  CHECK(number(value) == 0);
  value.backward();
  CHECK(close(host(x.grad()), array({0, 0})));
  CHECK(number(loss(tensor(Eigen::ArrayXd()), offsets{0})) == 0);
  CHECK(number(loss(tensor(array({40, 0})), offsets{0, 2})) == Approx(std::exp(-40.0)));
  CHECK_THROWS_AS(loss(x, offsets{0, 1}), coho::argument_error);
  CHECK_THROWS_AS(loss(x, offsets{0, 2}, tensor_weights{tensor(array({1, 1}))}), coho::argument_error);
}

TEST_CASE("preference losses of float tensors stay float") {
  const at::Tensor a = tensor(array({-1, -2}), at::kFloat), b = tensor(array({-2, -0.5}), at::kFloat);
  const auto is_float = [](const at::Tensor& x) { return x.scalar_type() == at::kFloat; };
  CHECK(is_float(coho::dpo_loss{}(with_reference(a, b, a, b))));
  CHECK(is_float(coho::kto_loss{}(judged(a, b, a, 0.0))));
  CHECK(is_float(coho::orpo_loss{}.value_and_grad(means(a, b)).d_rejected));
  CHECK(is_float(coho::simpo_loss{}.value_and_grad(means(a, b)).d_rejected));
  CHECK(is_float(coho::cpo_loss{}.value_and_grad(with_lengths(a, b, -b)).d_rejected));
  CHECK(is_float(coho::bradley_terry_ties_loss{}.value_and_grad(compared(a, b, at::zeros_like(a))).d_rejected));
  CHECK(is_float(coho::plackett_luce_loss{}(a, offsets{0, 2})));
  CHECK(is_float(coho::plackett_luce_loss{}.value_and_grad(a, offsets{0, 2}).d_scores));
}
