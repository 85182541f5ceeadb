#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include <ATen/ATen.h>
#include <nlohmann/json.hpp>

#include <coho/rng.hpp>

#include "decoder/tensor_conversion.hpp"
#include "llama/adapter_bank.hpp"
#include "support/shared_data.hpp"
#include "support/tensor_difference.hpp"

namespace coho::test {

/// A decoder of two blocks with grouped queries, small enough for any test. window > 0: a sliding window.
inline trainer::llama_config small_config(std::int64_t window = 0, bool tied = false) {
  trainer::llama_config config;
  config.vocab_size = 23;
  config.hidden_size = 16;
  config.intermediate_size = 24;
  config.num_hidden_layers = 2;
  config.num_attention_heads = 4;
  config.num_key_value_heads = 2;
  config.head_dim = 4;
  config.max_position_embeddings = 64;
  config.tie_word_embeddings = tied;
  if (window > 0) config.sliding_window = window;
  return config;
}

/// Weights large enough that logits differ by whole numbers.
inline trainer::llama_weights small_weights(std::int64_t window = 0, bool tied = false) {
  return trainer::llama_weights::random(small_config(window, tied), rng{7}, 0.3);
}

/// The same decoder with everything that an architecture may add: biases on all linears, norms of q and k; none of them
/// at the value that changes nothing.
inline trainer::llama_weights small_weights_with_biases_and_head_norms() {
  trainer::llama_config config = small_config();
  config.query_key_value_bias = config.output_bias = config.mlp_bias = config.query_key_norm = true;
  auto out = trainer::llama_weights::random(config, rng{7}, 0.3);
  rng random{8};
  out.visit([&](const std::string& name, at::Tensor& tensor) {
    const bool norm = name.ends_with("q_norm.weight") || name.ends_with("k_norm.weight");
    if (!norm && !name.ends_with(".bias")) return;
    for (std::int64_t i = 0; i < tensor.numel(); ++i)
      tensor.data_ptr<float>()[i] = static_cast<float>(0.3 * random.normal() + (norm ? 1 : 0));
  });
  return out;
}

inline at::Tensor random_tensor(std::vector<std::int64_t> sizes, std::uint64_t seed, at::ScalarType type = at::kFloat) {
  at::Tensor out = at::empty(sizes, at::kDouble);
  rng random{seed};
  for (std::int64_t i = 0; i < out.numel(); ++i) out.data_ptr<double>()[i] = random.normal();
  return out.to(type);
}

inline std::vector<token> random_tokens(std::size_t count, std::int64_t vocabulary, std::uint64_t seed) {
  std::vector<token> out;
  rng random{seed};
  for (std::size_t i = 0; i < count; ++i)
    out.push_back(static_cast<token>(random.index(static_cast<std::uint64_t>(vocabulary))));
  return out;
}

/// A short sequence of words that the demo's vocabulary has.
inline const std::vector<token> few_tokens{1, 4, 60, 7, 300, 12};

/// Logits [T, V] of one sequence.
inline at::Tensor logits_of(trainer::adapter_bank& bank, const std::string& role, const std::vector<token>& tokens) {
  const std::int64_t length[] = {static_cast<std::int64_t>(tokens.size())};
  return at::matmul(bank.hidden(role, trainer::token_tensor(tokens), trainer::sequence_layout(length)),
                    bank.head(role).t())
      .detach();
}

inline nlohmann::json read_fixture(const std::filesystem::path& path) {
  std::ifstream file(path);
  return nlohmann::json::parse(file);
}

}  // namespace coho::test
