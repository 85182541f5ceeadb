#include "llama/model.hpp"

#include <ATen/core/grad_mode.h>

#include "support/catch.hpp"
#include "support/small_models.hpp"

using namespace coho;
using namespace coho::trainer;
using namespace coho::test;

namespace {

// Full attention, a sliding window, and what other architectures add.
std::vector<llama_weights> each_kind_of_weights() {
  return {small_weights(), small_weights(4), small_weights_with_biases_and_head_norms()};
}

}  // namespace

TEST_CASE("model: sequences of mixed lengths come out as one by one") {
  for (const llama_weights& weights : each_kind_of_weights()) {
    adapter_bank bank(weights);
    bank.add_base("model");
    std::vector<token> all;
    std::vector<std::int64_t> lengths;
    std::vector<at::Tensor> alone;
    for (const std::size_t length : {5, 1, 12, 3, 9, 2, 7}) {
      const auto tokens = random_tokens(length, 23, length);
      lengths.push_back(static_cast<std::int64_t>(length));
      all.insert(all.end(), tokens.begin(), tokens.end());
      alone.push_back(logits_of(bank, "model", tokens));
    }
    const sequence_layout layout(lengths);
    const auto together = at::matmul(bank.hidden("model", token_tensor(all), layout), bank.head("model").t());
    for (std::size_t i = 0; i < alone.size(); ++i)
      CHECK(largest_difference(together.narrow(0, layout.offsets[i], lengths[i]), alone[i]) < 1e-5);
  }
}

TEST_CASE("model: decoding with a cache is the full forward, past a sliding window too") {
  for (const llama_weights& weights : each_kind_of_weights()) {
    llama_model model(weights.config);
    const std::size_t total = 14;
    // Slots of different lengths: the second prompt is longer than the window.
    const std::vector<std::vector<token>> sequences{random_tokens(total, 23, 1), random_tokens(total, 23, 2)};
    const std::vector<std::int64_t> prompts{2, 6}, slots{0, 1};
    kv_cache cache(weights.config, 2, static_cast<std::int64_t>(total), at::TensorOptions().dtype(at::kFloat));
    std::vector<token> prefix(sequences[0].begin(), sequences[0].begin() + 2);
    prefix.insert(prefix.end(), sequences[1].begin(), sequences[1].begin() + 6);
    const at::NoGradGuard no_gradient;
    model.hidden(weights, nullptr, token_tensor(prefix), sequence_layout(prompts), &cache, slots);
    std::vector<at::Tensor> full;
    for (const auto& tokens : sequences) {
      const std::int64_t length[] = {static_cast<std::int64_t>(total)};
      full.push_back(model.hidden(weights, nullptr, token_tensor(tokens), sequence_layout(length)));
    }
    std::vector<std::int64_t> positions = prompts;
    for (; positions[1] < static_cast<std::int64_t>(total); ++positions[0], ++positions[1]) {
      const std::vector<token> next{sequences[0][static_cast<std::size_t>(positions[0])],
                                    sequences[1][static_cast<std::size_t>(positions[1])]};
      const auto out = model.decode(weights, nullptr, token_tensor(next), positions, cache);
      for (const std::int64_t s : {0, 1})
        CHECK(largest_difference(out[s], full[static_cast<std::size_t>(s)][positions[static_cast<std::size_t>(s)]]) <
              1e-5);
    }
  }
}

TEST_CASE("model: biases are added and heads are normalised before they are rotated") {
  const auto weights = small_weights_with_biases_and_head_norms();
  const llama_config& config = weights.config;
  const std::vector<token> tokens = random_tokens(6, 23, 3);
  const std::int64_t length[] = {6};
  llama_model model(config);
  const at::NoGradGuard no_gradient;
  const at::Tensor found = model.hidden(weights, nullptr, token_tensor(tokens), sequence_layout(length));

  // The same from the formulas, with libtorch's operators alone.
  const auto norm = [&](const at::Tensor& x, const at::Tensor& weight) {
    return x * at::rsqrt(x.square().mean(-1, true) + config.rms_norm_eps) * weight;
  };
  const at::Tensor angle = at::outer(at::arange(6, at::kFloat), at::pow(10000.0, -at::arange(2, at::kFloat) / 2));
  const auto rotated = [&](const at::Tensor& x) {  // [T, heads, 4]
    const at::Tensor a = x.narrow(2, 0, 2), b = x.narrow(2, 2, 2);
    const at::Tensor c = at::cos(angle).unsqueeze(1), s = at::sin(angle).unsqueeze(1);
    return at::cat({a * c - b * s, b * c + a * s}, 2);
  };
  at::Tensor x = at::embedding(weights.embedding, token_tensor(tokens));
  for (const decoder_block& block : weights.blocks) {
    const auto linear = [&](const at::Tensor& in, linear_kind kind) {
      return at::matmul(in, block[kind].dense().t()) + block.biases[static_cast<std::size_t>(kind)];
    };
    const at::Tensor in = norm(x, block.input_norm);
    const at::Tensor q = rotated(norm(linear(in, linear_kind::q).view({6, 4, 4}), block.query_norm));
    const at::Tensor k = rotated(norm(linear(in, linear_kind::k).view({6, 2, 4}), block.key_norm));
    const at::Tensor v = linear(in, linear_kind::v).view({6, 2, 4});
    const auto by_head = [](const at::Tensor& t) { return t.transpose(0, 1); };
    const at::Tensor keys = at::repeat_interleave(by_head(k), 2, 0), values = at::repeat_interleave(by_head(v), 2, 0);
    const at::Tensor scores =
        at::matmul(by_head(q), keys.transpose(1, 2)) / 2 + at::triu(at::full({6, 6}, -1e30, at::kFloat), 1);
    const at::Tensor mixed = by_head(at::matmul(at::softmax(scores, -1), values)).reshape({6, 16});
    x = x + linear(mixed, linear_kind::o);
    const at::Tensor inner = norm(x, block.post_attention_norm);
    x = x + linear(at::silu(linear(inner, linear_kind::gate)) * linear(inner, linear_kind::up), linear_kind::down);
  }
  CHECK(largest_difference(found, norm(x, weights.norm)) < 1e-4);
}
