#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <vector>

#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>
#include <torch/csrc/autograd/autograd.h>

#include <coho/rng.hpp>
#include <coho/torch/fused_log_probs.hpp>
#include <coho/torch/fused_log_probs_blocks.hpp>

#include "support/catch.hpp"
#include "support/tensor_difference.hpp"

using coho::test::largest_difference;

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
      : hidden(random_tensor({7, 5}, 1, type)),
        head(random_tensor({11, 5}, 2, type)),
        targets(at::arange(7, at::kLong)),
        bias(at::zeros({11}, type)),
        d_log_probs(random_tensor({7}, 3, type)),
        d_entropy(random_tensor({7}, 4, type)) {
    bias[9] = -1e9;
  }
  // Blocks of 2 rows by 4 words: the last ones are smaller.
  coho::fused_log_probs_options options() const {
    return {.temperature = 0.7, .logit_bias = bias, .entropy = true, .block_rows = 2, .block_columns = 4};
  }
  double loss(const at::Tensor& h, const at::Tensor& w) const {
    const auto out = coho::fused_log_probs(h, w, targets, options());
    return ((out.log_probs * d_log_probs).sum() + (out.entropy * d_entropy).sum()).item<double>();
  }
};

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
  CHECK(largest_difference(out.log_probs, log_probs) < 1e-5);
  CHECK(largest_difference(out.entropy, entropy) < 1e-5);
  ((out.log_probs * p.d_log_probs).sum() + (out.entropy * p.d_entropy).sum()).backward();
  ((log_probs * p.d_log_probs).sum() + (entropy * p.d_entropy).sum()).backward();
  CHECK(largest_difference(h.grad(), h2.grad()) < 1e-4);
  CHECK(largest_difference(w.grad(), w2.grad()) < 1e-4);
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
  CHECK(largest_difference(h.grad(), h2.grad()) < 1e-12);
  CHECK(largest_difference(w.grad(), w2.grad()) < 1e-12);
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
    CHECK(largest_difference(h.grad(), h2.grad()) < 1e-12);
    CHECK(largest_difference(w.grad(), w2.grad()) < 1e-12);
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
    CHECK(largest_difference(out.log_probs, log_probs) < tolerance);
    CHECK(largest_difference(out.entropy, entropy) < tolerance);
    ((out.log_probs * p.d_log_probs).sum() + (out.entropy * p.d_entropy).sum()).backward();
    ((log_probs * p.d_log_probs).sum() + (entropy * p.d_entropy).sum()).backward();
    CHECK(largest_difference(h.grad(), h2.grad()) < tolerance);
    CHECK(largest_difference(w.grad(), w2.grad()) < tolerance);
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
    for (std::size_t i = 0; i < expected.size(); ++i) CHECK(largest_difference(result[i], expected[i]) < 1e-12);
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
  CHECK_THROWS_AS(coho::fused_log_probs(p.hidden, p.head, p.targets, {.block_columns = -1}), coho::option_error);
  CHECK_THROWS_AS(coho::fused_log_probs(p.hidden, p.head.to(at::kDouble), p.targets), coho::argument_error);
  CHECK_THROWS_AS(coho::fused_log_probs(p.hidden, p.head, p.targets + 5), coho::argument_error);
  CHECK_THROWS_AS(coho::fused_log_probs(p.hidden, p.head, p.targets - 1), coho::argument_error);
  const coho::log_prob_block_kernels half{};
  CHECK_THROWS_AS(coho::fused_log_probs(p.hidden, p.head, p.targets, {.kernels = &half}), coho::argument_error);
  CHECK_THROWS_AS(coho::fused_log_probs(p.hidden, p.head, p.targets, {.logit_bias = at::zeros({1})}),
                  coho::argument_error);
  CHECK_THROWS_AS(coho::fused_log_probs(p.hidden, p.head, p.targets, {.logit_bias = at::zeros({1, 11})}),
                  coho::argument_error);
}

namespace {

/// Results and gradients, in double, of Σ d_log_probs·log p + d_entropy·H.
struct outcome {
  at::Tensor log_probs, entropy, d_hidden, d_head;
};

template <class Terms>
outcome differentiated(const at::Tensor& hidden, const at::Tensor& head, const at::Tensor& d_log_probs,
                       const at::Tensor& d_entropy, const Terms& terms, bool train_head = true) {
  at::Tensor h = hidden.detach().clone().set_requires_grad(true),
             w = head.detach().clone().set_requires_grad(train_head);
  const auto [log_probs, entropy] = terms(h, w);
  ((log_probs * d_log_probs).sum() + (entropy * d_entropy).sum()).backward();
  const auto wide = [](const at::Tensor& x) { return x.defined() ? x.detach().to(at::kDouble) : x; };
  return {wide(log_probs), wide(entropy), wide(h.grad()), wide(w.grad())};
}

/// log_softmax and gather of the whole logits, in the type of its operands.
auto composite(const at::Tensor& targets, double temperature, const at::Tensor& bias) {
  return [=](const at::Tensor& h, const at::Tensor& w) {
    at::Tensor z = at::matmul(h, w.t()) / temperature;
    if (bias.defined()) z = z + bias;
    const at::Tensor all = at::log_softmax(z, 1);
    return std::make_pair(all.gather(1, targets.unsqueeze(1)).squeeze(1), -(all.exp() * all).sum(1));
  };
}
auto fused(const at::Tensor& targets, const coho::fused_log_probs_options& options) {
  return [=](const at::Tensor& h, const at::Tensor& w) {
    const auto out = coho::fused_log_probs(h, w, targets, options);
    return std::make_pair(out.log_probs, out.entropy);
  };
}

void check_close(const outcome& a, const outcome& b, double tolerance) {
  CHECK(largest_difference(a.log_probs, b.log_probs) <= tolerance);
  CHECK(largest_difference(a.entropy, b.entropy) <= tolerance);
  CHECK(largest_difference(a.d_hidden, b.d_hidden) <= tolerance);
  if (a.d_head.defined()) CHECK(largest_difference(a.d_head, b.d_head) <= tolerance);
}

/// 9 tokens, 37 words; targets on both sides of the borders of blocks of 5 and of 16 words.
struct larger_problem {
  at::Tensor hidden = random_tensor({9, 6}, 1, at::kDouble), head = random_tensor({37, 6}, 2, at::kDouble),
             bias = random_tensor({37}, 3, at::kDouble), d_log_probs = random_tensor({9}, 4, at::kDouble),
             d_entropy = random_tensor({9}, 5, at::kDouble),
             targets = at::tensor({0, 4, 5, 9, 15, 16, 31, 32, 36}, at::kLong);
};

}  // namespace

TEST_CASE("fused_log_probs: blocks of any size give what whole logits give") {
  const larger_problem p;
  const double temperature = GENERATE(1.0, 0.6);
  const at::Tensor bias = GENERATE(false, true) ? p.bias : at::Tensor();
  const outcome expected =
      differentiated(p.hidden, p.head, p.d_log_probs, p.d_entropy, composite(p.targets, temperature, bias));
  for (const std::int64_t rows : {0, 1, 4, 9, 100}) {
    for (const std::int64_t columns : {0, 1, 5, 16, 36, 37, 1000}) {
      for (const bool train_head : {false, true}) {
        coho::fused_log_probs_options options{.temperature = temperature, .logit_bias = bias, .entropy = true};
        options.block_rows = rows;
        options.block_columns = columns;
        INFO("blocks of " << rows << " by " << columns);
        const outcome result =
            differentiated(p.hidden, p.head, p.d_log_probs, p.d_entropy, fused(p.targets, options), train_head);
        check_close(result, expected, 1e-12);
        CHECK(result.d_head.defined() == train_head);
      }
    }
  }
}

TEST_CASE("fused_log_probs: logits of ten thousands neither overflow nor lose the small ones") {
  const larger_problem p;
  const at::Tensor hidden = (p.hidden * 3000).to(at::kFloat), head = p.head.to(at::kFloat);
  const outcome expected = differentiated(hidden.to(at::kDouble), head.to(at::kDouble), p.d_log_probs, p.d_entropy,
                                          composite(p.targets, 1, {}));
  REQUIRE(at::matmul(hidden, head.t()).abs().max().item<double>() > 1e4);
  for (const std::int64_t columns : {5, 37}) {
    const auto terms = fused(p.targets, {.entropy = true, .block_columns = columns});
    const outcome result =
        differentiated(hidden, head, p.d_log_probs.to(at::kFloat), p.d_entropy.to(at::kFloat), terms);
    // fp32 logits of 3e4 are 2e-3 apart; the gradient of the head is of the hidden states' size.
    CHECK(largest_difference(result.log_probs, expected.log_probs) < 0.02);
    CHECK(largest_difference(result.entropy, expected.entropy) < 0.02);
    CHECK(largest_difference(result.d_hidden, expected.d_hidden) < 0.02);
    CHECK(largest_difference(result.d_head, expected.d_head) < 0.02 * 3000);
  }
}

TEST_CASE("fused_log_probs: blocks of banned tokens alone change nothing") {
  const larger_problem p;
  const double banned = GENERATE(-1e9, -std::numeric_limits<double>::infinity());
  const auto type = GENERATE(at::kFloat, at::kDouble);
  at::Tensor bias = p.bias.clone();
  bias.narrow(0, 0, 12).fill_(banned);
  bias.narrow(0, 20, 6).fill_(banned);
  const at::Tensor targets = at::tensor({12, 13, 14, 15, 19, 26, 30, 35, 36}, at::kLong);
  const outcome expected =
      differentiated(p.hidden, p.head, p.d_log_probs, p.d_entropy, composite(targets, 1, bias.clamp_min(-1e9)));
  for (const std::int64_t columns : {1, 6, 37}) {
    const auto terms = fused(targets, {.logit_bias = bias.to(type), .entropy = true, .block_columns = columns});
    const outcome result =
        differentiated(p.hidden.to(type), p.head.to(type), p.d_log_probs.to(type), p.d_entropy.to(type), terms);
    check_close(result, expected, type == at::kDouble ? 1e-12 : 2e-5);
    const auto alone = coho::fused_log_probs(p.hidden.to(type), p.head.to(type), targets,
                                             {.logit_bias = bias, .block_columns = columns});
    CHECK(largest_difference(alone.log_probs.to(at::kDouble), expected.log_probs) < 1e-5);
  }
}

TEST_CASE("fused_log_probs: equal logits give the uniform distribution") {
  const larger_problem p;
  at::Tensor h = p.hidden.to(at::kFloat).set_requires_grad(true);
  const at::Tensor head = at::ones({37, 6});
  const auto out = coho::fused_log_probs(h, head, p.targets, {.entropy = true, .block_columns = 5});
  CHECK(largest_difference(out.log_probs, at::full({9}, -std::log(37.0))) < 2e-6);
  CHECK(largest_difference(out.entropy, at::full({9}, std::log(37.0))) < 2e-6);
  (out.log_probs + out.entropy).sum().backward();
  CHECK(h.grad().abs().max().item<double>() < 2e-6);
}

TEST_CASE("fused_log_probs: halves are multiplied and summed in fp32") {
  const larger_problem p;
  const auto type = GENERATE(at::kBFloat16, at::kHalf);
  const at::Tensor hidden = p.hidden.to(type), head = p.head.to(type);
  const outcome expected = differentiated(hidden.to(at::kDouble), head.to(at::kDouble), p.d_log_probs, p.d_entropy,
                                          composite(p.targets, 0.7, p.bias.to(at::kFloat).to(at::kDouble)));
  const auto terms =
      fused(p.targets, {.temperature = 0.7, .logit_bias = p.bias.to(at::kFloat), .entropy = true, .block_columns = 16});
  const outcome result = differentiated(hidden, head, p.d_log_probs.to(at::kFloat), p.d_entropy.to(at::kFloat), terms);
  CHECK(largest_difference(result.log_probs, expected.log_probs) < 1e-5);
  CHECK(largest_difference(result.entropy, expected.entropy) < 1e-5);
  // Gradients are rounded once, to the type of what they are of.
  const double rounding = type == at::kHalf ? 1.0 / 2048 : 1.0 / 256;
  CHECK(largest_difference(result.d_hidden, expected.d_hidden) <
        rounding * expected.d_hidden.abs().max().item<double>());
  CHECK(largest_difference(result.d_head, expected.d_head) < rounding * expected.d_head.abs().max().item<double>());
}

TEST_CASE("fused_log_probs: the number of threads changes no bit") {
  const at::Tensor hidden = random_tensor({600, 24}, 1, at::kFloat), head = random_tensor({1500, 24}, 2, at::kFloat);
  const at::Tensor targets = at::arange(600, at::kLong), g = random_tensor({600}, 3, at::kFloat);
  const std::int64_t rows = GENERATE(0, 64);
  const int kept = at::get_num_threads();
  const auto with = [&](int threads) {
    at::set_num_threads(threads);
    return differentiated(hidden, head, g, g,
                          fused(targets, {.temperature = 0.9, .entropy = true, .block_rows = rows}));
  };
  const outcome one = with(1), two = with(2);
  at::set_num_threads(kept);
  CHECK((at::equal(one.log_probs, two.log_probs) && at::equal(one.entropy, two.entropy)));
  CHECK((at::equal(one.d_hidden, two.d_hidden) && at::equal(one.d_head, two.d_head)));
}

TEST_CASE("fused_log_probs: backward may run again, and nothing is kept where no gradient is wanted") {
  const problem p(at::kDouble);
  at::set_num_threads(2);
  at::Tensor h = p.hidden.clone().set_requires_grad(true);
  const auto out = coho::fused_log_probs(h, p.head, p.targets, p.options());
  const at::Tensor sum = (out.log_probs + out.entropy).sum();
  const auto gradient = [&] { return torch::autograd::grad({sum}, {h}, {}, true, false)[0]; };
  const at::Tensor first = gradient();
  CHECK(at::equal(first, gradient()));
  const at::NoGradGuard no_gradient;
  const auto scored = coho::fused_log_probs(h, p.head, p.targets, p.options());
  CHECK_FALSE(scored.log_probs.requires_grad());
  CHECK((at::equal(scored.log_probs, out.log_probs) && at::equal(scored.entropy, out.entropy)));
  const c10::InferenceMode inference;
  CHECK(at::equal(coho::fused_log_probs(p.hidden * 1, p.head, p.targets, p.options()).log_probs, out.log_probs));
}

TEST_CASE("fused_log_probs: what is not a number stays in its row") {
  const problem p(at::kFloat);
  at::Tensor hidden = p.hidden.clone();
  hidden[3][2] = std::numeric_limits<double>::quiet_NaN();
  const auto out = coho::fused_log_probs(hidden, p.head, p.targets, p.options());
  for (const at::Tensor& numbers : {out.log_probs.isnan(), out.entropy.isnan()}) {
    CHECK(numbers.sum().item<std::int64_t>() == 1);
    CHECK(numbers[3].item<bool>());
  }
}
