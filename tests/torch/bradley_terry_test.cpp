#include <coho/loss/bradley_terry.hpp>
#include <coho/reduce.hpp>
#include <coho/torch/ops.hpp>

#include "support/catch.hpp"
#include "support/tensors.hpp"
#include "support/test_arrays.hpp"

using namespace coho::test;
using Catch::Matchers::ContainsSubstring;
using coho::bradley_terry_loss, coho::bradley_terry_options, coho::pair_margins;
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
  const pair_margins margins{m};
  for (const auto& options : {bradley_terry_options{}, bradley_terry_options{.margin = 0.4},
                              bradley_terry_options{.label_smoothing = 0.1, .centring = 0.02}}) {
    const bradley_terry_loss loss{options};
    {
      const at::Tensor r = leaf(chosen), s = leaf(rejected);
      const pair_margins same{tensor(m)};
      check_agreement(loss.value_and_grad(chosen, rejected, margins), loss.value_and_grad(r, s, same), loss(r, s, same),
                      r, s);
    }
    {
      const at::Tensor r = leaf(chosen), s = leaf(rejected);
      const pair_margins same{0.3};
      check_agreement(loss.value_and_grad(chosen, rejected, same), loss.value_and_grad(r, s, same), loss(r, s, same), r,
                      s);
    }
    {
      const at::Tensor r = leaf(spoiled(chosen)), s = leaf(spoiled(rejected));
      const pair_margins same{tensor(spoiled(m))};
      check_agreement(loss.value_and_grad(chosen, rejected, weights, margins),
                      loss.value_and_grad(r, s, on_device, same), loss(r, s, on_device, same), r, s);
    }
    {
      const at::Tensor r = leaf(spoiled(chosen)), s = leaf(spoiled(rejected)), targets = tensor(spoiled(t));
      const pair_margins same{tensor(spoiled(m))};
      check_agreement(loss.value_and_grad(chosen, rejected, weights, t, margins),
                      loss.value_and_grad(r, s, on_device, targets, same), loss(r, s, on_device, targets, same), r, s);
    }
    {
      const at::Tensor r = leaf(spoiled(chosen)), s = leaf(spoiled(rejected)), targets = tensor(spoiled(t));
      check_agreement(loss.value_and_grad(chosen, rejected, weights, t), loss.value_and_grad(r, s, on_device, targets),
                      loss(r, s, on_device, targets), r, s);
    }
  }
}

TEST_CASE("margins and targets of tensors are constants of the optimisation") {
  const at::Tensor r = leaf(normals(4, 1)), s = leaf(normals(4, 2)), m = leaf(normals(4, 3)),
                   t = leaf(array({1, 0, 0.5, 1}));
  const tensor_weights weights{tensor(Eigen::ArrayXd::Constant(4, 0.25))};
  bradley_terry_loss{}(r, s, weights, t, pair_margins{m}).backward();
  CHECK(r.grad().defined());
  CHECK(s.grad().defined());
  CHECK_FALSE(m.grad().defined());
  CHECK_FALSE(t.grad().defined());
}

TEST_CASE("tensors of margins must have the scores' shape, and floats stay floats") {
  const bradley_terry_loss loss;
  const at::Tensor r = tensor(array({1, 2})), s = tensor(array({0, 0}));
  CHECK_THROWS_WITH(loss(r, s, pair_margins{tensor(array({1}))}), ContainsSubstring("margins"));
  CHECK_THROWS_AS(loss.value_and_grad(r, s, pair_margins{tensor(array({1, 2, 3}))}), coho::argument_error);
  CHECK_THROWS_AS(loss(r, s, pair_margins{tensor(array({1, 2})).unsqueeze(1)}), coho::argument_error);
  const at::Tensor a = tensor(array({1, 2}), at::kFloat), b = tensor(array({0, 0.5}), at::kFloat);
  CHECK(loss(a, b, pair_margins{b}).scalar_type() == at::kFloat);
  CHECK(loss(a, b, pair_margins{0.5}).scalar_type() == at::kFloat);
  CHECK(loss.value_and_grad(a, b, pair_margins{b}).d_rejected.scalar_type() == at::kFloat);
  const at::Tensor none = leaf(Eigen::ArrayXd());
  CHECK(number(loss(none, none, pair_margins{tensor(Eigen::ArrayXd())})) == 0);
  CHECK(number(loss.value_and_grad(none, none, pair_margins{tensor(Eigen::ArrayXd())}).value) == 0);
}

TEST_CASE("weights of whole numbers leave targets and margins that are numbers as they are") {
  const Eigen::ArrayXd x = normals(5, 6), y = normals(5, 7);
  const at::Tensor r = tensor(x), s = tensor(y);
  const bradley_terry_loss loss{{.label_smoothing = 0.1}};
  const coho::token_weights<Eigen::ArrayXd> weights{array({1, 0, 1, 1, 0})};
  const double expected = loss(x, y, weights, Eigen::ArrayXd::Constant(5, 0.7), pair_margins{0.6});
  for (const auto type : {at::kLong, at::kByte, at::kBool, at::kFloat, at::kDouble}) {
    const tensor_weights mask{tensor(weights.values).to(type)};
    INFO("weights of type " << type);
    CHECK(number(loss(r, s, mask, 0.7, pair_margins{0.6})) == Approx(expected).epsilon(1e-12));
    CHECK(number(loss.value_and_grad(r, s, mask, 0.7, pair_margins{0.6}).value) == Approx(expected).epsilon(1e-12));
  }
}
