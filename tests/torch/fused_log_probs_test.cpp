#include <coho/torch/fused_log_probs.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <vector>

#include <torch/csrc/autograd/autograd.h>

#include <coho/rng.hpp>

#include "support/catch.hpp"

namespace {

at::Tensor random_tensor(std::vector<std::int64_t> sizes, std::uint64_t seed, at::ScalarType type) {
  at::Tensor out = at::empty(sizes, at::kDouble);
  coho::rng random{seed};
  for (std::int64_t i = 0; i < out.numel(); ++i) out.data_ptr<double>()[i] = random.normal();
  return out.to(type);
}

struct problem {
  at::Tensor hidden, head, targets, bias, d_log_probs, d_entropy;
  explicit problem(at::ScalarType type)
      : hidden(random_tensor({7, 5}, 1, type)), head(random_tensor({11, 5}, 2, type)), targets(at::arange(7, at::kLong)),
        bias(at::zeros({11}, type)), d_log_probs(random_tensor({7}, 3, type)), d_entropy(random_tensor({7}, 4, type)) {
    bias[9] = -1e9;
  }
  // Blocks of 2 rows: the last one is smaller.
  coho::fused_log_probs_options options() const { return {.temperature = 0.7, .logit_bias = bias, .entropy = true, .block_rows = 2, .block_columns = 4}; }
  double loss(const at::Tensor& h, const at::Tensor& w) const {
    const auto out = coho::fused_log_probs(h, w, targets, options());
    return ((out.log_probs * d_log_probs).sum() + (out.entropy * d_entropy).sum()).item<double>();
  }
};

double difference(const at::Tensor& a, const at::Tensor& b) { return (a.detach() - b.detach()).abs().max().item<double>(); }

void check_numeric(const at::Tensor& x, const at::Tensor& gradient, const std::function<double()>& loss) {
  double* data = x.data_ptr<double>();
  for (std::int64_t i = 0; i < x.numel(); ++i) {
    const double kept = data[i], step = 1e-5;
    data[i] = kept + step;
    const double up = loss();
    data[i] = kept - step;
    const double down = loss();
    data[i] = kept;
    const double numeric = (up - down) / (2 * step), a = gradient.data_ptr<double>()[i];
    INFO("element " << i << ": closed form " << a << ", central difference " << numeric);
    CHECK(std::abs(a - numeric) <= 1e-6 * std::max({1.0, std::abs(a), std::abs(numeric)}));
  }
}

}  // namespace

TEST_CASE("fused_log_probs: values and gradients are those of the composite") {
  const problem p(at::kFloat);
  at::Tensor h = p.hidden.clone().set_requires_grad(true), w = p.head.clone().set_requires_grad(true);
  at::Tensor h2 = p.hidden.clone().set_requires_grad(true), w2 = p.head.clone().set_requires_grad(true);
  const auto out = coho::fused_log_probs(h, w, p.targets, p.options());
  const at::Tensor all = at::log_softmax(at::matmul(h2, w2.t()) / 0.7 + p.bias, 1);
  const at::Tensor log_probs = all.gather(1, p.targets.unsqueeze(1)).squeeze(1), entropy = -(all.exp() * all).sum(1);
  CHECK(difference(out.log_probs, log_probs) < 1e-5);
  CHECK(difference(out.entropy, entropy) < 1e-5);
  ((out.log_probs * p.d_log_probs).sum() + (out.entropy * p.d_entropy).sum()).backward();
  ((log_probs * p.d_log_probs).sum() + (entropy * p.d_entropy).sum()).backward();
  CHECK(difference(h.grad(), h2.grad()) < 1e-4);
  CHECK(difference(w.grad(), w2.grad()) < 1e-4);
}

TEST_CASE("fused_log_probs: gradients are central differences in double") {
  const problem p(at::kDouble);
  at::Tensor h = p.hidden.clone().set_requires_grad(true), w = p.head.clone().set_requires_grad(true);
  const auto out = coho::fused_log_probs(h, w, p.targets, p.options());
  ((out.log_probs * p.d_log_probs).sum() + (out.entropy * p.d_entropy).sum()).backward();
  check_numeric(p.hidden, h.grad(), [&] { return p.loss(p.hidden, p.head); });
  check_numeric(p.head, w.grad(), [&] { return p.loss(p.hidden, p.head); });
}

TEST_CASE("fused_log_probs: one side alone may be trained, and blocks change nothing") {
  const problem p(at::kDouble);
  at::Tensor h = p.hidden.clone().set_requires_grad(true), w = p.head.clone().set_requires_grad(true);
  coho::fused_log_probs(h, p.head, p.targets).log_probs.sum().backward();
  coho::fused_log_probs(p.hidden, w, p.targets, {.block_rows = 1, .block_columns = 1}).log_probs.sum().backward();
  at::Tensor h2 = p.hidden.clone().set_requires_grad(true), w2 = p.head.clone().set_requires_grad(true);
  at::log_softmax(at::matmul(h2, w2.t()), 1).gather(1, p.targets.unsqueeze(1)).sum().backward();
  CHECK(difference(h.grad(), h2.grad()) < 1e-12);
  CHECK(difference(w.grad(), w2.grad()) < 1e-12);
  CHECK_FALSE(coho::fused_log_probs(p.hidden, p.head, p.targets).entropy.defined());
}

TEST_CASE("fused_log_probs: either output alone may be differentiated") {
  const problem p(at::kDouble);
  for (const bool of_entropy : {false, true}) {
    at::Tensor h = p.hidden.clone().set_requires_grad(true), w = p.head.clone().set_requires_grad(true);
    at::Tensor h2 = p.hidden.clone().set_requires_grad(true), w2 = p.head.clone().set_requires_grad(true);
    const auto out = coho::fused_log_probs(h, w, p.targets, p.options());
    const at::Tensor all = at::log_softmax(at::matmul(h2, w2.t()) / 0.7 + p.bias, 1);
    if (of_entropy) {
      (out.entropy * p.d_entropy).sum().backward();
      (-(all.exp() * all).sum(1) * p.d_entropy).sum().backward();
    } else {
      (out.log_probs * p.d_log_probs).sum().backward();
      (all.gather(1, p.targets.unsqueeze(1)).squeeze(1) * p.d_log_probs).sum().backward();
    }
    CHECK(h2.grad().abs().max().item<double>() > 0.01);
    CHECK(difference(h.grad(), h2.grad()) < 1e-12);
    CHECK(difference(w.grad(), w2.grad()) < 1e-12);
  }
}

TEST_CASE("fused_log_probs: a bias of minus infinity leaves the other tokens' softmax") {
  for (const auto type : {at::kFloat, at::kDouble}) {
    problem p(type);
    p.bias[9] = -std::numeric_limits<double>::infinity();
    at::Tensor h = p.hidden.clone().set_requires_grad(true), w = p.head.clone().set_requires_grad(true);
    at::Tensor h2 = p.hidden.clone().set_requires_grad(true), w2 = p.head.clone().set_requires_grad(true);
    const auto out = coho::fused_log_probs(h, w, p.targets, p.options());
    // The composite over the vocabulary without the banned token; the targets 0 to 6 keep their places.
    const at::Tensor kept = at::cat({w2.narrow(0, 0, 9), w2.narrow(0, 10, 1)});
    const at::Tensor all = at::log_softmax(at::matmul(h2, kept.t()) / 0.7, 1);
    const at::Tensor log_probs = all.gather(1, p.targets.unsqueeze(1)).squeeze(1), entropy = -(all.exp() * all).sum(1);
    const double tolerance = type == at::kDouble ? 1e-12 : 1e-4;
    CHECK(difference(out.log_probs, log_probs) < tolerance);
    CHECK(difference(out.entropy, entropy) < tolerance);
    ((out.log_probs * p.d_log_probs).sum() + (out.entropy * p.d_entropy).sum()).backward();
    ((log_probs * p.d_log_probs).sum() + (entropy * p.d_entropy).sum()).backward();
    CHECK(difference(h.grad(), h2.grad()) < tolerance);
    CHECK(difference(w.grad(), w2.grad()) < tolerance);
    CHECK(w.grad()[9].abs().max().item<double>() == 0);
  }
}

TEST_CASE("fused_log_probs: the gradient of a bf16 head is summed in fp32") {
  // Each row adds ½, a block each: in bf16 the sum would stop at 128, where the next number is 129.
  at::Tensor w = at::zeros({2, 1}, at::kBFloat16).set_requires_grad(true);
  const at::Tensor hidden = at::ones({1000, 1}, at::kBFloat16), targets = at::zeros({1000}, at::kLong);
  coho::fused_log_probs(hidden, w, targets, {.block_rows = 1}).log_probs.sum().backward();
  CHECK(w.grad().scalar_type() == at::kBFloat16);
  CHECK(w.grad()[0].item<double>() == 500);
  CHECK(w.grad()[1].item<double>() == -500);
}

TEST_CASE("fused_log_probs: hidden states need not be contiguous") {
  const problem p(at::kDouble);
  const auto gradients = [&](const at::Tensor& hidden) {
    at::Tensor h = hidden.detach().set_requires_grad(true), w = p.head.clone().set_requires_grad(true);
    const auto out = coho::fused_log_probs(h, w, p.targets, p.options());
    ((out.log_probs * p.d_log_probs).sum() + (out.entropy * p.d_entropy).sum()).backward();
    return std::vector<at::Tensor>{out.log_probs, out.entropy, h.grad(), w.grad()};
  };
  const at::Tensor transposed = p.hidden.t().contiguous().t();
  const at::Tensor columns = at::cat({p.hidden.unsqueeze(2), p.hidden.unsqueeze(2) * 3}, 2).select(2, 0);
  const auto expected = gradients(p.hidden);
  for (const at::Tensor& hidden : {transposed, columns}) {
    REQUIRE_FALSE(hidden.is_contiguous());
    const auto result = gradients(hidden);
    for (std::size_t i = 0; i < expected.size(); ++i) CHECK(difference(result[i], expected[i]) < 1e-12);
  }
}

TEST_CASE("fused_log_probs: no rows at all") {
  const problem p(at::kFloat);
  at::Tensor h = at::empty({0, 5}).set_requires_grad(true), w = p.head.clone().set_requires_grad(true);
  const auto out = coho::fused_log_probs(h, w, at::empty({0}, at::kLong), p.options());
  CHECK(out.log_probs.sizes() == at::IntArrayRef({0}));
  CHECK(out.entropy.sizes() == at::IntArrayRef({0}));
  (out.log_probs.sum() + out.entropy.sum()).backward();
  CHECK(h.grad().sizes() == at::IntArrayRef({0, 5}));
  CHECK(w.grad().abs().max().item<double>() == 0);
}

TEST_CASE("fused_log_probs: there is no second derivative, and that is said") {
  const problem p(at::kDouble);
  at::Tensor h = p.hidden.clone().set_requires_grad(true);
  const at::Tensor sum = coho::fused_log_probs(h, p.head, p.targets).log_probs.sum();
  const auto gradient = [&](bool create_graph) { return torch::autograd::grad({sum}, {h}, {}, true, create_graph)[0]; };
  CHECK_THROWS_WITH(gradient(true), Catch::Matchers::ContainsSubstring("no second derivative"));
  CHECK_THROWS_AS(gradient(true), coho::argument_error);
  CHECK(gradient(false).defined());
}

TEST_CASE("fused_log_probs: refuses shapes and options that do not fit") {
  const problem p(at::kFloat);
  CHECK_THROWS_AS(coho::fused_log_probs(p.hidden, p.head, p.targets, {.temperature = 0}), coho::option_error);
  CHECK_THROWS_AS(coho::fused_log_probs(p.hidden, p.head, p.targets, {.block_rows = -1}), coho::option_error);
  CHECK_THROWS_AS(coho::fused_log_probs(p.hidden, p.head.narrow(1, 0, 4), p.targets), coho::argument_error);
  CHECK_THROWS_AS(coho::fused_log_probs(p.hidden, p.head, p.targets.narrow(0, 0, 6)), coho::argument_error);
  CHECK_THROWS_AS(coho::fused_log_probs(p.hidden, at::empty({0, 5}), p.targets), coho::argument_error);
  CHECK_THROWS_AS(coho::fused_log_probs(p.hidden, p.head, p.targets.to(at::kInt)), coho::argument_error);
  CHECK_THROWS_AS(coho::fused_log_probs(p.hidden, p.head, p.targets, {.logit_bias = at::zeros({1})}),
                  coho::argument_error);
  CHECK_THROWS_AS(coho::fused_log_probs(p.hidden, p.head, p.targets, {.logit_bias = at::zeros({1, 11})}),
                  coho::argument_error);
}
