#include <atomic>
#include <cstdint>
#include <limits>
#include <vector>

#include <coho/torch/fused_log_probs.hpp>
#include <coho/torch/log_prob_block.hpp>

#include "support/catch.hpp"
#include "support/tensor_difference.hpp"

using coho::detail::log_prob_state;
using coho::test::largest_difference;

namespace {

std::atomic<int> forward_calls, backward_calls, entropy_blocks, mistakes;

bool fits(const coho::logit_block<float>& block) {
  return block.rows <= 2 && block.columns <= 4 && block.stride == block.columns && block.first_column % 4 == 0;
}
void counted_forward(const coho::logit_block<float>& block, const coho::softmax_sums<float>& sums) {
  ++forward_calls;
  if (sums.entropy_block) ++entropy_blocks;
  if (!fits(block)) ++mistakes;
  coho::detail::log_prob_block_forward_cpu(block, sums);
}
void counted_backward(const coho::logit_block<float>& block, const coho::log_prob_slopes<float>& slopes) {
  ++backward_calls;
  if (!fits(block) || (slopes.d_entropy && !slopes.entropy)) ++mistakes;
  coho::detail::log_prob_block_backward_cpu(block, slopes);
}

/// Three blocks of 17 words, of 5 tokens; a banned word in each, one block being banned altogether.
struct blocks_under_test {
  at::Tensor logits, bias, targets = at::tensor({0, 16, 17, 33, 50}, at::kLong);

  blocks_under_test(at::ScalarType type, double banned) {
    at::manual_seed(3);
    logits = at::randn({5, 51}, at::kDouble).mul_(3).to(type);
    bias = at::randn({51}, at::kDouble).to(type);
    for (const int word : {5, 20, 49}) bias[word] = banned;
  }
};

}  // namespace

TEST_CASE("log_prob_block: operators do in forward what the CPU's loops do") {
  const auto type = GENERATE(at::kFloat, at::kDouble);
  const double banned = GENERATE(-1e9, -std::numeric_limits<double>::infinity());
  const bool entropy = GENERATE(false, true), biased = GENERATE(false, true), first_banned = GENERATE(false, true);
  blocks_under_test p(type, banned);
  if (first_banned) p.logits.narrow(1, 0, 17).fill_(banned);
  const double tolerance = type == at::kDouble ? 1e-13 : 2e-5;
  const log_prob_state loops(5, entropy, p.logits.options()), operators(5, entropy, p.logits.options());
  CHECK(loops.chosen.isnan().all().item<bool>());
  for (std::int64_t first = 0; first < 51; first += 17) {
    const at::Tensor a = p.logits.narrow(1, first, 17).clone(at::MemoryFormat::Contiguous);
    const at::Tensor b = a.clone(), bias = biased ? p.bias.narrow(0, first, 17) : at::Tensor();
    const at::Tensor a_block = entropy ? at::empty_like(a) : at::Tensor(),
                     b_block = entropy ? at::empty_like(a) : a_block;
    coho::detail::log_prob_block_forward({a, bias, 1.25, p.targets, first}, loops, a_block, nullptr);
    coho::detail::log_prob_block_forward_by_operators({b, bias, 1.25, p.targets, first}, operators, b_block);
    INFO("words from " << first);
    CHECK(largest_difference(a, b) < tolerance);
    CHECK(largest_difference(loops.rescale, operators.rescale) < tolerance);
    CHECK(largest_difference(loops.sum, operators.sum) < 20 * tolerance);
    if (!entropy) continue;
    CHECK(largest_difference(a_block, b_block) < tolerance);
    // Only −1e9 itself is large.
    CHECK((loops.weighted_sum - operators.weighted_sum).abs().lt(20 * tolerance).all().item<bool>());
  }
  at::Tensor z = p.logits.to(at::kDouble) * 1.25;
  if (biased) z += p.bias.to(at::kDouble);
  const at::Tensor chosen = z.gather(1, p.targets.unsqueeze(1)).squeeze(1), expected = at::log_softmax(z, 1);
  for (const log_prob_state* state : {&loops, &operators}) {
    CHECK(at::allclose(state->chosen.to(at::kDouble), chosen, 1e-6, 1e-6));
    CHECK(largest_difference(state->log_sum_exp().to(at::kDouble), at::logsumexp(z, {1})) < tolerance);
    if (!entropy) continue;
    const at::Tensor h = state->sum.log() - state->weighted_sum / state->sum;
    CHECK(largest_difference(h.to(at::kDouble), -(expected.exp() * expected.clamp_min(-1e30)).sum(1)) < tolerance);
  }
}

TEST_CASE("log_prob_block: operators do in backward what the CPU's loops do") {
  const auto type = GENERATE(at::kFloat, at::kDouble);
  const double banned = GENERATE(-1e9, -std::numeric_limits<double>::infinity());
  const bool of_log_prob = GENERATE(false, true), of_entropy = GENERATE(false, true);
  if (!of_log_prob && !of_entropy) return;
  const blocks_under_test p(type, banned);
  const double tolerance = type == at::kDouble ? 1e-13 : 2e-5;
  at::Tensor logits = p.logits.to(at::kDouble).set_requires_grad(true);
  const at::Tensor g = at::randn({5}, at::kDouble), h = at::randn({5}, at::kDouble);
  const at::Tensor z = logits * 1.25 + p.bias.to(at::kDouble).clamp_min(-1e9), all = at::log_softmax(z, 1);
  const at::Tensor entropy = -(all.exp() * all).sum(1), log_sum_exp = at::logsumexp(z, {1}).detach();
  at::Tensor loss = at::zeros({}, at::kDouble);
  if (of_log_prob) loss = loss + (all.gather(1, p.targets.unsqueeze(1)).squeeze(1) * g).sum();
  if (of_entropy) loss = loss + (entropy * h).sum();
  loss.backward();
  const auto given = [&](bool wanted, const at::Tensor& x) { return wanted ? x.detach().to(type) : at::Tensor(); };
  for (std::int64_t first = 0; first < 51; first += 17) {
    const at::Tensor a = p.logits.narrow(1, first, 17).clone(at::MemoryFormat::Contiguous), b = a.clone();
    const at::Tensor bias = p.bias.narrow(0, first, 17), lse = log_sum_exp.to(type);
    const coho::detail::slope_tensors slopes{lse, given(of_entropy, entropy), given(of_log_prob, g),
                                             given(of_entropy, h)};
    coho::detail::log_prob_block_backward({a, bias, 1.25, p.targets, first}, slopes, nullptr);
    coho::detail::log_prob_block_backward_by_operators({b, bias, 1.25, p.targets, first}, slopes);
    const at::Tensor expected = logits.grad().narrow(1, first, 17);
    INFO("words from " << first);
    CHECK(largest_difference(a.to(at::kDouble), expected) < tolerance);
    CHECK(largest_difference(b.to(at::kDouble), expected) < tolerance);
  }
}

TEST_CASE("log_prob_block: kernels that are given do every block, and double needs none") {
  const coho::log_prob_block_kernels kernels{.forward = counted_forward, .backward = counted_backward};
  at::manual_seed(4);
  const at::Tensor hidden = at::randn({7, 5}), head = at::randn({11, 5}), targets = at::arange(7, at::kLong);
  const bool entropy = GENERATE(false, true);
  const auto run = [&](const coho::log_prob_block_kernels* given, at::ScalarType type, bool train_head) {
    at::Tensor h = hidden.to(type).detach().clone().set_requires_grad(true);
    at::Tensor w = head.to(type).detach().clone().set_requires_grad(train_head);
    const auto out = coho::fused_log_probs(
        h, w, targets, {.temperature = 0.7, .entropy = entropy, .block_rows = 2, .block_columns = 4, .kernels = given});
    (entropy ? (out.log_probs + out.entropy).sum() : out.log_probs.sum()).backward();
    return std::vector<at::Tensor>{out.log_probs, h.grad(), train_head ? w.grad() : h.grad()};
  };
  for (const bool train_head : {false, true}) {
    forward_calls = backward_calls = entropy_blocks = mistakes = 0;
    const auto by_kernels = run(&kernels, at::kFloat, train_head), without = run(nullptr, at::kFloat, train_head);
    CHECK(forward_calls == 4 * 3);
    CHECK(backward_calls == (train_head ? 4 * 3 : 0));
    CHECK(entropy_blocks == (entropy ? 4 * 3 : 0));
    CHECK(mistakes == 0);
    for (std::size_t i = 0; i < without.size(); ++i) CHECK(at::equal(by_kernels[i], without[i]));
  }
  forward_calls = 0;
  run(&kernels, at::kDouble, true);
  CHECK(forward_calls == 0);

  entropy_blocks = 0;
  const at::NoGradGuard no_gradient;
  coho::fused_log_probs(hidden, head, targets,
                        {.entropy = entropy, .block_rows = 2, .block_columns = 4, .kernels = &kernels});
  CHECK(forward_calls == 4 * 3);
  CHECK(entropy_blocks == 0);  // no gradient, no sum of them
}
