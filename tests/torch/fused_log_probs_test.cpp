#include <coho/torch/fused_log_probs.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <vector>

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
  coho::fused_log_probs_options options() const { return {.temperature = 0.7, .logit_bias = bias, .entropy = true, .block_numbers = 22}; }
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
  coho::fused_log_probs(p.hidden, w, p.targets, {.block_numbers = 1}).log_probs.sum().backward();
  at::Tensor h2 = p.hidden.clone().set_requires_grad(true), w2 = p.head.clone().set_requires_grad(true);
  at::log_softmax(at::matmul(h2, w2.t()), 1).gather(1, p.targets.unsqueeze(1)).sum().backward();
  CHECK(difference(h.grad(), h2.grad()) < 1e-12);
  CHECK(difference(w.grad(), w2.grad()) < 1e-12);
  CHECK_FALSE(coho::fused_log_probs(p.hidden, p.head, p.targets).entropy.defined());
}

TEST_CASE("fused_log_probs: refuses shapes and options that do not fit") {
  const problem p(at::kFloat);
  CHECK_THROWS_AS(coho::fused_log_probs(p.hidden, p.head, p.targets, {.temperature = 0}), coho::option_error);
  CHECK_THROWS_AS(coho::fused_log_probs(p.hidden, p.head, p.targets, {.block_numbers = 0}), coho::option_error);
  CHECK_THROWS_AS(coho::fused_log_probs(p.hidden, p.head.narrow(1, 0, 4), p.targets), coho::argument_error);
  CHECK_THROWS_AS(coho::fused_log_probs(p.hidden, p.head, p.targets.narrow(0, 0, 6)), coho::argument_error);
}
