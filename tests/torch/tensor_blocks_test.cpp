#include <cmath>

#include <torch/csrc/autograd/autograd.h>

#include <coho/loss/cpo.hpp>
#include <coho/loss/dpo.hpp>
#include <coho/loss/kto.hpp>
#include <coho/loss/nll.hpp>
#include <coho/loss/orpo.hpp>
#include <coho/loss/simpo.hpp>
#include <coho/torch/ops.hpp>

#include "support/catch.hpp"
#include "support/loss_inputs.hpp"
#include "support/tensor_difference.hpp"
#include "support/tensors.hpp"
#include "support/test_arrays.hpp"

using namespace coho::test;
using Catch::Matchers::ContainsSubstring;
using tensor_weights = coho::token_weights<at::Tensor>;

namespace {

const coho::dpo_loss dpo{{.beta = 0.7}};

at::Tensor of_operators(const at::Tensor& p, const at::Tensor& o, const at::Tensor& rp, const at::Tensor& ro) {
  return -at::log_sigmoid(0.7 * ((p - rp.detach()) - (o - ro.detach())));
}
// Not whole registers, in any number type.
struct pairs {
  at::Tensor p, o, rp, ro, w;
  explicit pairs(at::ScalarType type = at::kDouble, Eigen::Index size = 37)
      : p(tensor(normals(size, 1, 3), type)),
        o(tensor(normals(size, 2, 3), type)),
        rp(tensor(normals(size, 3, 3), type)),
        ro(tensor(normals(size, 4, 3), type)),
        w(tensor(normals(size, 5).abs(), type)) {}
  pairs trained() const {
    pairs out = *this;
    out.p = p.clone().set_requires_grad(true);
    out.o = o.clone().set_requires_grad(true);
    return out;
  }
  at::Tensor loss() const { return dpo(with_reference(p, o, rp, ro)); }
};

}  // namespace

TEST_CASE("one pass over tensors gives value and gradients of the operators") {
  for (const auto type : {at::kDouble, at::kFloat}) {
    const double tolerance = type == at::kDouble ? 1e-12 : 1e-6;
    for (const Eigen::Index size : {1, 2, 3, 4, 5, 37, 4096}) {
      const pairs a = pairs(type, size).trained(), b = pairs(type, size).trained();
      const at::Tensor own = a.loss(), theirs = of_operators(b.p, b.o, b.rp, b.ro).mean();
      CHECK(own.scalar_type() == type);
      CHECK(own.dim() == 0);
      CHECK(largest_difference(own, theirs) < 3 * tolerance);
      own.backward();
      theirs.backward();
      CHECK(a.p.grad().scalar_type() == type);
      CHECK(largest_difference(a.p.grad(), b.p.grad()) < tolerance);
      CHECK(largest_difference(a.o.grad(), b.o.grad()) < tolerance);
      const pairs c = pairs(type, size).trained(), d = pairs(type, size).trained();
      dpo(with_reference(c.p, c.o, c.rp, c.ro, tensor_weights{c.w})).backward();
      (of_operators(d.p, d.o, d.rp, d.ro) * d.w).sum().backward();
      CHECK(largest_difference(c.p.grad(), d.p.grad()) < tolerance);
      CHECK(largest_difference(c.o.grad(), d.o.grad()) < tolerance);
      CHECK(largest_difference(dpo.value_and_grad(with_reference(c.p, c.o, c.rp, c.ro, tensor_weights{c.w})).d_rejected,
                               d.o.grad()) < tolerance);
    }
  }
}

TEST_CASE("the gradient is scaled by what follows the loss, and adds up over losses") {
  const pairs a = pairs().trained(), b = pairs().trained();
  const auto composed = [](const at::Tensor& loss, const at::Tensor& x) { return at::exp(3 * loss) + (x * x).sum(); };
  (composed(a.loss(), a.p) + 2 * coho::nll_loss{}(a.p)).backward();
  (composed(of_operators(b.p, b.o, b.rp, b.ro).mean(), b.p) - 2 * b.p.mean()).backward();
  CHECK(largest_difference(a.p.grad(), b.p.grad()) < 1e-12 * b.p.grad().abs().max().item<double>());
  CHECK(largest_difference(a.o.grad(), b.o.grad()) < 1e-12 * b.o.grad().abs().max().item<double>());
  // A graph that is kept gives the same again.
  const at::Tensor kept = a.loss();
  const at::Tensor once = torch::autograd::grad({kept}, {a.p}, {}, true)[0];
  CHECK(largest_difference(torch::autograd::grad({kept}, {a.p}, {}, false)[0], once) == 0);
}

TEST_CASE("losses take views, and tensors of more dimensions in their shape") {
  const pairs whole(at::kDouble, 48);
  for (const auto& view :
       {+[](const at::Tensor& x) {
          return x.view({6, 8}).t();
        },
        +[](const at::Tensor& x) {
          return x.view({24, 2}).select(1, 1);
        },
        +[](const at::Tensor& x) {
          return x.view({2, 3, 8});
        },
        +[](const at::Tensor& x) { return x.narrow(0, 3, 21); }, +[](const at::Tensor& x) { return x.select(0, 5); }}) {
    const pairs a = whole.trained(), b = whole.trained();
    const at::Tensor own =
        dpo(with_reference(view(a.p), view(a.o), view(a.rp), view(a.ro).contiguous(), tensor_weights{view(a.w)}));
    const at::Tensor theirs = (of_operators(view(b.p), view(b.o), view(b.rp), view(b.ro)) * view(b.w)).sum();
    CHECK(largest_difference(own, theirs) < 1e-12);
    own.backward();
    theirs.backward();
    CHECK(largest_difference(a.p.grad(), b.p.grad()) < 1e-12);
    CHECK(largest_difference(a.o.grad(), b.o.grad()) < 1e-12);
    const auto found = dpo.value_and_grad(with_reference(view(a.p), view(a.o), view(a.rp), view(a.ro)));
    CHECK(found.d_chosen.sizes() == view(a.p).sizes());
    CHECK(found.value.dim() == 0);
    CHECK(found.accuracy.dim() == 0);
  }
}

TEST_CASE("masked NaN of tensors stays where it is, and an unmasked one shows") {
  pairs a = pairs(), b = pairs();
  a.w[2] = 0;
  a.w[36] = 0;
  b.w = a.w;
  for (at::Tensor* x : {&a.p, &a.o, &a.rp, &a.ro}) {
    (*x)[2] = not_a_number;
    (*x)[36] = infinity;
  }
  const pairs c = a.trained(), d = b.trained();
  const at::Tensor value = dpo(with_reference(c.p, c.o, c.rp, c.ro, tensor_weights{c.w}));
  const at::Tensor expected = (of_operators(d.p, d.o, d.rp, d.ro) * d.w).sum();
  CHECK(largest_difference(value, expected) < 1e-12);
  value.backward();
  expected.backward();
  CHECK(number(c.p.grad()[2]) == 0);
  CHECK(number(c.o.grad()[36]) == 0);
  CHECK(largest_difference(c.p.grad(), d.p.grad()) < 1e-12);
  const auto found = dpo.value_and_grad(with_reference(c.p, c.o, c.rp, c.ro, tensor_weights{c.w}));
  CHECK(std::isfinite(number(found.margin)));
  CHECK(std::isnan(number(dpo(with_reference(c.p, c.o, c.rp, c.ro)))));
  CHECK(std::isnan(number(coho::kto_loss{}(judged(c.p, c.rp, c.w, 0.0)))));
  CHECK(std::isnan(number(coho::orpo_loss{}(means(c.p, c.o)))));
  CHECK(std::isfinite(number(coho::orpo_loss{}(means(tensor(array({0.5})), tensor(array({-1})))))));
  // A token of probability 0 still has a gradient.
  CHECK(number(coho::nll_loss{}.value_and_grad(tensor(array({-infinity, -1}))).d_log_probs[0]) == -0.5);
}

TEST_CASE("without a gradient to compute, losses of tensors are constants") {
  const pairs a = pairs().trained(), b;
  CHECK(a.loss().requires_grad());
  CHECK_FALSE(b.loss().requires_grad());
  CHECK(number(b.loss()) == number(a.loss()));
  const at::NoGradGuard off;
  CHECK_FALSE(a.loss().requires_grad());
}

TEST_CASE("references of tensors get no gradient, and one input alone may have one") {
  const pairs a = pairs().trained(), b = pairs().trained();
  a.rp.set_requires_grad(true);
  dpo(with_reference(a.p, b.o.detach(), a.rp, a.ro)).backward();
  b.loss().backward();
  CHECK_FALSE(a.rp.grad().defined());
  CHECK(largest_difference(a.p.grad(), b.p.grad()) == 0);
  const pairs c = pairs().trained();
  dpo(with_reference(c.p.detach(), c.o, c.rp, c.ro)).backward();
  CHECK(largest_difference(c.o.grad(), b.o.grad()) == 0);
}

TEST_CASE("a tensor given twice gets both gradients") {
  const at::Tensor x = tensor(normals(11, 1)).set_requires_grad(true),
                   y = tensor(normals(11, 1)).set_requires_grad(true);
  const at::Tensor r = tensor(normals(11, 2)), s = tensor(normals(11, 3));
  dpo(with_reference(x, x, r, s)).backward();
  of_operators(y, y, r, s).mean().backward();
  CHECK(largest_difference(x.grad(), y.grad()) < 1e-15);
  x.mutable_grad() = at::Tensor();
  coho::simpo_loss{}(means(x, x.detach())).backward();
  CHECK(x.grad().abs().max().item<double>() > 0);
}

TEST_CASE("weights that require a gradient get it") {
  const pairs a = pairs().trained();
  const at::Tensor w = a.w.clone().set_requires_grad(true);
  dpo(with_reference(a.p, a.o, a.rp, a.ro, tensor_weights{w})).backward();
  CHECK(largest_difference(w.grad(), of_operators(a.p, a.o, a.rp, a.ro)) < 1e-12);
}

TEST_CASE("a loss of tensors on the CPU has no second derivative, and that is said") {
  const pairs a = pairs().trained();
  const at::Tensor loss = a.loss();
  const auto gradient = [&](bool create_graph) {
    return torch::autograd::grad({loss}, {a.p}, {}, true, create_graph)[0];
  };
  CHECK_THROWS_AS(gradient(true), coho::argument_error);
  CHECK_THROWS_WITH(gradient(true), ContainsSubstring("no second derivative"));
  CHECK_FALSE(gradient(false).requires_grad());
}

TEST_CASE("half-precision and mixed tensors go through the operators") {
  const pairs exact = pairs(), a = pairs(at::kBFloat16).trained();
  const at::Tensor value = a.loss();
  CHECK(value.scalar_type() == at::kBFloat16);
  CHECK(number(value) == Approx(number(exact.loss())).epsilon(0.05));
  value.backward();
  CHECK(a.p.grad().scalar_type() == at::kBFloat16);
  const pairs narrow(at::kFloat);
  CHECK(dpo(with_reference(narrow.p, narrow.o, exact.rp, exact.ro)).scalar_type() == at::kDouble);
  // Integers beside floats do not change the number type.
  const at::Tensor lengths = at::arange(37, at::kLong);
  CHECK(coho::cpo_loss{}(with_lengths(narrow.p, narrow.o, lengths)).scalar_type() == at::kFloat);
  CHECK(number(coho::cpo_loss{}(with_lengths(exact.p, exact.o, lengths))) ==
        Approx(number(coho::cpo_loss{}(with_lengths(exact.p, exact.o, lengths.to(at::kDouble))))));
}

TEST_CASE("numbers side by side have the logistic terms of single ones") {
  const auto agree = [](auto number_type, double tolerance) {
    using number = decltype(number_type);
    using lanes = coho::detail::simd_lanes<number>;
    for (double z = -120; z < 120; z += 0.0371) {
      const auto x = static_cast<number>(z);
      const auto found = coho::detail::logistic(lanes(x));
      const auto expected = coho::detail::logistic(static_cast<double>(x));
      const auto near = [&](const lanes& a, double b) { return std::abs(a.numbers[0] - b) <= tolerance * b + 1e-37; };
      INFO("z " << z);
      REQUIRE(near(found.softplus, expected.softplus));
      REQUIRE(near(found.softplus_negated, expected.softplus_negated));
      REQUIRE(near(found.sigmoid, expected.sigmoid));
      REQUIRE(near(found.sigmoid_negated, expected.sigmoid_negated));
    }
    const auto at_infinity = coho::detail::logistic(lanes(infinity));
    CHECK(at_infinity.softplus.numbers[0] == infinity);
    CHECK(at_infinity.softplus_negated.numbers[0] < 1e-37);
    CHECK(at_infinity.sigmoid.numbers[0] == 1);
    CHECK(std::isnan(coho::detail::logistic(lanes(not_a_number)).softplus.numbers[0]));
    CHECK(std::isnan(coho::detail::logistic(lanes(not_a_number)).sigmoid.numbers[0]));
  };
  agree(0.0, 1e-15);
  agree(0.0F, 4e-7);
}
