#include <coho/loss/bradley_terry.hpp>
#include <coho/reduce.hpp>
#include <coho/torch/ops.hpp>

#include "support/catch.hpp"
#include "support/tensors.hpp"
#include "support/test_arrays.hpp"

using namespace coho::test;
using Catch::Matchers::ContainsSubstring;
using coho::bradley_terry_loss, coho::bradley_terry_options;
using pair_inputs = coho::pair_loss_inputs<at::Tensor>;
using host_weights = coho::token_weights<Eigen::ArrayXd>;
using tensor_weights = coho::token_weights<at::Tensor>;

namespace {

constexpr Eigen::Index count = 9;

/// Closed form and autograd on tensors against the host.
template <class Expected, class Found>
void check_agreement(const Expected& expected, const Found& found, const at::Tensor& value, const at::Tensor& r,
                     const at::Tensor& s) {
  CHECK(found.value.dim() == 0);
  CHECK_FALSE(found.value.requires_grad());
  CHECK(number(found.value) == Approx(expected.value).epsilon(1e-10));
  CHECK(close(host(found.d_chosen), expected.d_chosen));
  CHECK(close(host(found.d_rejected), expected.d_rejected));
  CHECK(number(found.accuracy) == Approx(expected.accuracy));
  CHECK(value.dim() == 0);
  CHECK(number(value) == Approx(expected.value).epsilon(1e-10));
  value.backward();
  CHECK(close(host(r.grad()), expected.d_chosen));
  CHECK(close(host(s.grad()), expected.d_rejected));
}

}  // namespace

TEST_CASE("Bradley-Terry of tensors with margins of pairs agrees with arrays and with autograd") {
  const Eigen::ArrayXd chosen = normals(count, 1, 3), rejected = normals(count, 2, 3), m = normals(count, 3),
                       t = Eigen::ArrayXd::LinSpaced(count, 0, 1), w = weights_with_a_gap(count);
  const host_weights weights{w};
  const tensor_weights on_device{tensor(w)};
  for (const auto& options : {bradley_terry_options{}, bradley_terry_options{.margin = 0.4},
                              bradley_terry_options{.label_smoothing = 0.1, .centring = 0.02}}) {
    const bradley_terry_loss loss{options};
    {
      const at::Tensor r = leaf(chosen), s = leaf(rejected);
      const pair_inputs in{.chosen = r, .rejected = s, .margins = tensor(m)};
      check_agreement(loss.value_and_grad({.chosen = chosen, .rejected = rejected, .margins = m}),
                      loss.value_and_grad(in), loss(in), r, s);
    }
    {
      const at::Tensor r = leaf(spoiled(chosen)), s = leaf(spoiled(rejected));
      const pair_inputs in{.chosen = r, .rejected = s, .margins = tensor(spoiled(m)), .weights = on_device};
      check_agreement(loss.value_and_grad({.chosen = chosen, .rejected = rejected, .margins = m, .weights = weights}),
                      loss.value_and_grad(in), loss(in), r, s);
    }
    {
      const at::Tensor r = leaf(spoiled(chosen)), s = leaf(spoiled(rejected));
      const pair_inputs in{.chosen = r,
                           .rejected = s,
                           .targets = tensor(spoiled(t)),
                           .margins = tensor(spoiled(m)),
                           .weights = on_device};
      check_agreement(
          loss.value_and_grad({.chosen = chosen, .rejected = rejected, .targets = t, .margins = m, .weights = weights}),
          loss.value_and_grad(in), loss(in), r, s);
    }
    {
      const at::Tensor r = leaf(spoiled(chosen)), s = leaf(spoiled(rejected));
      const pair_inputs in{.chosen = r, .rejected = s, .targets = tensor(spoiled(t)), .weights = on_device};
      check_agreement(loss.value_and_grad({.chosen = chosen, .rejected = rejected, .targets = t, .weights = weights}),
                      loss.value_and_grad(in), loss(in), r, s);
    }
  }
}

TEST_CASE("margins and targets of tensors are constants of the optimisation") {
  const at::Tensor r = leaf(normals(4, 1)), s = leaf(normals(4, 2)), m = leaf(normals(4, 3)),
                   t = leaf(array({1, 0, 0.5, 1}));
  const tensor_weights weights{tensor(Eigen::ArrayXd::Constant(4, 0.25))};
  bradley_terry_loss{}(pair_inputs{.chosen = r, .rejected = s, .targets = t, .margins = m, .weights = weights})
      .backward();
  CHECK(r.grad().defined());
  CHECK(s.grad().defined());
  CHECK_FALSE(m.grad().defined());
  CHECK_FALSE(t.grad().defined());
}

TEST_CASE("tensors of margins must have the scores' shape, and floats stay floats") {
  const bradley_terry_loss loss;
  const at::Tensor r = tensor(array({1, 2})), s = tensor(array({0, 0}));
  CHECK_THROWS_WITH(loss(pair_inputs{.chosen = r, .rejected = s, .margins = tensor(array({1}))}),
                    ContainsSubstring("margins"));
  CHECK_THROWS_AS(loss.value_and_grad(pair_inputs{.chosen = r, .rejected = s, .margins = tensor(array({1, 2, 3}))}),
                  coho::argument_error);
  CHECK_THROWS_AS(loss(pair_inputs{.chosen = r, .rejected = s, .margins = tensor(array({1, 2})).unsqueeze(1)}),
                  coho::argument_error);
  const at::Tensor a = tensor(array({1, 2}), at::kFloat), b = tensor(array({0, 0.5}), at::kFloat);
  CHECK(loss(pair_inputs{.chosen = a, .rejected = b, .margins = b}).scalar_type() == at::kFloat);
  CHECK(loss(pair_inputs{.chosen = a, .rejected = b}).scalar_type() == at::kFloat);
  CHECK(loss.value_and_grad(pair_inputs{.chosen = a, .rejected = b, .margins = b}).d_rejected.scalar_type() ==
        at::kFloat);
  const at::Tensor none = leaf(Eigen::ArrayXd());
  CHECK(number(loss(pair_inputs{.chosen = none, .rejected = none, .margins = tensor(Eigen::ArrayXd())})) == 0);
  CHECK(number(loss.value_and_grad(pair_inputs{.chosen = none, .rejected = none, .margins = tensor(Eigen::ArrayXd())})
                   .value) == 0);
}

TEST_CASE("weights of whole numbers leave targets and margins as they are, given or not") {
  const Eigen::ArrayXd x = normals(5, 6), y = normals(5, 7), t = Eigen::ArrayXd::Constant(5, 0.7),
                       m = Eigen::ArrayXd::Constant(5, 0.6);
  const at::Tensor r = tensor(x), s = tensor(y);
  const bradley_terry_loss loss{{.label_smoothing = 0.1}};
  const coho::token_weights<Eigen::ArrayXd> weights{array({1, 0, 1, 1, 0})};
  const double expected = loss({.chosen = x, .rejected = y, .targets = t, .margins = m, .weights = weights});
  const double without = loss({.chosen = x, .rejected = y, .weights = weights});
  for (const auto type : {at::kLong, at::kByte, at::kBool, at::kFloat, at::kDouble}) {
    const tensor_weights mask{tensor(weights.values).to(type)};
    INFO("weights of type " << type);
    const pair_inputs in{.chosen = r, .rejected = s, .targets = tensor(t), .margins = tensor(m), .weights = mask};
    CHECK(number(loss(in)) == Approx(expected).epsilon(1e-12));
    CHECK(number(loss.value_and_grad(in).value) == Approx(expected).epsilon(1e-12));
    const pair_inputs left_out{.chosen = r, .rejected = s, .weights = mask};
    CHECK(number(loss(left_out)) == Approx(without).epsilon(1e-12));
    CHECK(number(loss.value_and_grad(left_out).value) == Approx(without).epsilon(1e-12));
  }
}
