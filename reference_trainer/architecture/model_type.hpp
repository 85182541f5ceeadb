#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace coho::trainer {

/// What sets one family of decoders apart from LLaMA's, and what its `config.json` means where a field is absent (the
/// defaults of transformers). All families share the rest: RMSNorm before each half of a block, rotary positions,
/// grouped queries, SwiGLU.
struct model_type {
  std::string_view name;    ///< `model_type`: "qwen2"
  std::string_view prefix;  ///< of the architectures' names: "Qwen2" in Qwen2ForCausalLM

  bool query_key_value_bias = false;   ///< q_proj, k_proj and v_proj always have biases
  bool attention_bias_option = false;  ///< `attention_bias` gives q_proj, k_proj, v_proj and o_proj biases
  bool mlp_bias_option = false;        ///< `mlp_bias` gives gate_proj, up_proj and down_proj biases
  bool query_key_norm = false;         ///< RMSNorm over each head of q and k before the rotation
  bool sliding_window = false;         ///< `sliding_window` applies to every block
  bool sliding_window_option = false;  ///< … only with `use_sliding_window`, from block `max_window_layers` on

  std::int64_t vocab_size = 32000;
  std::int64_t intermediate_size = 11008;
  std::int64_t num_key_value_heads = 0;  ///< 0: as many as query heads
  std::int64_t head_dim = 0;             ///< 0: hidden_size / num_attention_heads
  std::int64_t max_position_embeddings = 2048;
  bool begin_and_end_tokens = true;  ///< begin 1 and end 2; otherwise none
};

inline constexpr std::array<model_type, 4> model_types{
    {{.name = "llama", .prefix = "Llama", .attention_bias_option = true, .mlp_bias_option = true},
     {.name = "mistral",
      .prefix = "Mistral",
      .sliding_window = true,
      .intermediate_size = 14336,
      .num_key_value_heads = 8,
      .max_position_embeddings = 131072},
     {.name = "qwen2",
      .prefix = "Qwen2",
      .query_key_value_bias = true,
      .sliding_window_option = true,
      .vocab_size = 151936,
      .intermediate_size = 22016,
      .max_position_embeddings = 32768,
      .begin_and_end_tokens = false},
     {.name = "qwen3",
      .prefix = "Qwen3",
      .attention_bias_option = true,
      .query_key_norm = true,
      .sliding_window_option = true,
      .vocab_size = 151936,
      .intermediate_size = 22016,
      .head_dim = 128,
      .max_position_embeddings = 32768,
      .begin_and_end_tokens = false}}};

/// The entry of a `model_type`, or null.
const model_type* find_model_type(std::string_view name);
/// The entry whose causal language model or sequence classifier has this name, or null: "Qwen2ForCausalLM".
const model_type* find_architecture(std::string_view architecture);
/// "LlamaForCausalLM, MistralForCausalLM, …", for messages.
std::string supported_architectures();
/// "llama, mistral, …", for messages.
std::string supported_model_types();

}  // namespace coho::trainer
