#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace coho::trainer {

enum class rope_type { none, linear, dynamic, llama3, yarn };

/// How rotary positions are extended beyond the context that the model was pre-trained on (`rope_scaling`, or
/// `rope_parameters` in newer files; if a file has both, `rope_scaling` takes precedence). Members that the type does
/// not read keep their defaults.
struct rope_options {
  rope_type type = rope_type::none;
  double theta = 10000.0;
  double factor = 1.0;
  /// Context length of pre-training; 0: the model's `max_position_embeddings`.
  std::int64_t original_max_position_embeddings = 0;
  // llama3
  double low_freq_factor = 1.0;
  double high_freq_factor = 4.0;
  // yarn
  double beta_fast = 32.0;
  double beta_slow = 1.0;
  bool truncate = true;  ///< whether the corrected dimensions are rounded outwards
  std::optional<double> attention_factor =
      std::nullopt;  ///< absent: from `mscale` and `mscale_all_dim`, or 0.1·ln(factor) + 1
  std::optional<double> mscale = std::nullopt;
  std::optional<double> mscale_all_dim = std::nullopt;

  friend bool operator==(const rope_options&, const rope_options&) = default;
};

/// The shape of a decoder of LLaMA's kind (LLaMA, Mistral, Qwen2, Qwen3: `model_types`) from a Hugging Face
/// `config.json`. Each field has the name it has in that file; fields absent there take the defaults of the model type.
/// Nothing is keyed on a model's name.
///
///     const auto config = coho::trainer::llama_config::from_file("llama/config.json");
///     config.head_dim;  // 128
struct llama_config {
  std::string model_type = "llama";  ///< one of `model_types`
  std::string architecture = "LlamaForCausalLM";
  std::int64_t vocab_size = 32000;
  std::int64_t hidden_size = 4096;
  std::int64_t intermediate_size = 11008;
  std::int64_t num_hidden_layers = 32;
  std::int64_t num_attention_heads = 32;
  std::int64_t num_key_value_heads = 32;
  std::int64_t head_dim = 128;
  std::int64_t max_position_embeddings = 2048;
  double rms_norm_eps = 1e-6;
  rope_options rope;
  std::optional<std::int64_t> sliding_window = std::nullopt;  ///< absent: full causal attention
  bool query_key_value_bias = false;                          ///< q_proj, k_proj and v_proj have biases
  bool output_bias = false;                                   ///< o_proj has one
  bool mlp_bias = false;                                      ///< gate_proj, up_proj and down_proj have biases
  bool query_key_norm = false;                                ///< RMSNorm over each head of q and k before the rotation
  bool tie_word_embeddings = false;
  std::optional<std::int64_t> bos_token_id = 1;
  std::vector<std::int64_t> eos_token_ids = {2};  ///< the file may have one number or a list
  std::optional<std::int64_t> pad_token_id = std::nullopt;
  std::string torch_dtype;           ///< "float32", "bfloat16", "float16", or empty if the file does not say
  std::string quantization;          ///< `quantization_config.quant_method` ("bitsandbytes" for NF4), otherwise empty
  bool double_quantization = false;  ///< `quantization_config.bnb_4bit_use_double_quant`

  /// Rows of `q_proj`: num_attention_heads · head_dim.
  std::int64_t query_size() const noexcept { return num_attention_heads * head_dim; }
  /// Rows of `k_proj` and of `v_proj`: num_key_value_heads · head_dim.
  std::int64_t key_value_size() const noexcept { return num_key_value_heads * head_dim; }
  /// Whether the checkpoint has a scalar head (`score.weight`) instead of the language-model head.
  bool sequence_classification() const noexcept { return architecture.ends_with("ForSequenceClassification"); }
  /// Number of weights in norms and biases.
  std::int64_t norm_and_bias_count() const noexcept;
  /// Number of weights, including embeddings and heads (a tied head counted once).
  std::int64_t parameter_count() const noexcept;

  /// Throws `file_error` naming the field for architectures, model types and rope types other than those above,
  /// attention that differs between blocks, activations other than SiLU, and numbers out of range.
  static llama_config from_file(const std::filesystem::path& path);
  /// Like `from_file`; `path` is used in messages only.
  static llama_config from_json(const nlohmann::json& json, std::string_view path = "config.json");
  /// The fields of config.json that `from_json` reads back to an equal configuration.
  nlohmann::json to_json() const;

  friend bool operator==(const llama_config&, const llama_config&) = default;
};

}  // namespace coho::trainer
