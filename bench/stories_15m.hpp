#pragma once

#include <memory>

#include <coho/rng.hpp>

#include "llama/adapter_bank.hpp"

namespace coho::trainer {

/// A random LLaMA with the shape of stories15M: six layers of 288, 32,000 words, tied.
inline std::unique_ptr<adapter_bank> random_15m() {
  llama_config config;
  config.vocab_size = 32000;
  config.hidden_size = 288;
  config.intermediate_size = 768;
  config.num_hidden_layers = 6;
  config.num_attention_heads = config.num_key_value_heads = 6;
  config.head_dim = 48;
  config.max_position_embeddings = 1024;
  config.tie_word_embeddings = true;
  return std::make_unique<adapter_bank>(llama_weights::random(config, rng{1}));
}

}  // namespace coho::trainer
