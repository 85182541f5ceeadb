#pragma once

#include <cstdint>

#include "architecture/config.hpp"

namespace coho::test {

/// The least shape with grouped queries: 2 blocks, hidden size 8, 12 in between, 2 heads of 4 over 1 of keys.
inline trainer::llama_config tiny_config(std::int64_t vocabulary = 11) {
  trainer::llama_config config;
  config.vocab_size = vocabulary;
  config.hidden_size = 8;
  config.intermediate_size = 12;
  config.num_hidden_layers = 2;
  config.num_attention_heads = 2;
  config.num_key_value_heads = 1;
  config.head_dim = 4;
  config.max_position_embeddings = 16;
  return config;
}

}  // namespace coho::test
