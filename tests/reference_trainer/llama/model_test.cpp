#include "llama/model.hpp"

#include <ATen/core/grad_mode.h>

#include "support/catch.hpp"
#include "support/small_models.hpp"

using namespace coho;
using namespace coho::trainer;
using namespace coho::test;

TEST_CASE("model: sequences of mixed lengths come out as one by one") {
  for (const std::int64_t window : {0, 4}) {
    adapter_bank bank(small_weights(window));
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
  for (const std::int64_t window : {0, 4}) {
    const auto weights = small_weights(window);
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
