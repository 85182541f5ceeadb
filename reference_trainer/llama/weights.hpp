#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include <coho/rng.hpp>

#include "llama/config.hpp"

namespace coho::trainer {

/// The seven linear layers of a decoder block, in the order used everywhere.
enum class linear_kind : std::size_t { q, k, v, o, gate, up, down };
inline constexpr std::size_t linear_kinds = 7;

/// Path of a linear inside its block as checkpoints spell it: "self_attn.q_proj", …, "mlp.down_proj".
const char* linear_path(linear_kind kind);

struct decoder_block {
  at::Tensor input_norm;           ///< [H]
  at::Tensor post_attention_norm;  ///< [H]
  at::Tensor linears[linear_kinds];

  const at::Tensor& operator[](linear_kind kind) const { return linears[static_cast<std::size_t>(kind)]; }
  at::Tensor& operator[](linear_kind kind) { return linears[static_cast<std::size_t>(kind)]; }
};

/// All weights of a LLaMA or Mistral decoder. Copies share storage; `clone` does not.
struct llama_weights {
  llama_config config;
  at::Tensor embedding;  ///< [V, H]
  std::vector<decoder_block> blocks;
  at::Tensor norm;  ///< [H]
  at::Tensor head;  ///< [V, H]; the embedding itself when tied

  /// From tensors named as in Hugging Face checkpoints. Throws `argument_error` naming a missing or misshapen tensor.
  static llama_weights from_tensors(const llama_config& config, const std::map<std::string, at::Tensor>& tensors);
  /// Normal(0, `deviation`) matrices (residual outputs scaled by 1/√(2·layers)), unit norms: a fresh model to pre-train.
  static llama_weights random(const llama_config& config, rng random, double deviation = 0.02);

  /// Names as in checkpoints, in a fixed order; a tied head is not repeated.
  std::map<std::string, at::Tensor> tensors() const;
  /// Calls visit(name, tensor&) on each stored tensor, in a fixed order.
  template <class Visitor>
  void visit(Visitor&& visitor);

  llama_weights clone() const;
  llama_weights to(at::ScalarType type, at::Device device) const;
};

template <class Visitor>
void llama_weights::visit(Visitor&& visitor) {
  const bool tied = config.tie_word_embeddings;
  visitor(std::string("model.embed_tokens.weight"), embedding);
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    const std::string prefix = "model.layers." + std::to_string(i) + ".";
    visitor(prefix + "input_layernorm.weight", blocks[i].input_norm);
    visitor(prefix + "post_attention_layernorm.weight", blocks[i].post_attention_norm);
    for (std::size_t kind = 0; kind < linear_kinds; ++kind)
      visitor(prefix + linear_path(static_cast<linear_kind>(kind)) + ".weight", blocks[i].linears[kind]);
  }
  visitor(std::string("model.norm.weight"), norm);
  if (tied) {
    head = embedding;
  } else {
    visitor(std::string("lm_head.weight"), head);
  }
}

}  // namespace coho::trainer
