#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <ATen/ATen.h>

#include <coho/rng.hpp>

#include "architecture/config.hpp"
#include "architecture/linear_kind.hpp"
#include "quant/linear_weight.hpp"

namespace coho::trainer {

/// The weights of one block.
struct decoder_block {
  at::Tensor input_norm;           ///< [H]
  at::Tensor post_attention_norm;  ///< [H]
  at::Tensor query_norm;           ///< [D], over each head of q; undefined where the model has none
  at::Tensor key_norm;             ///< [D]
  linear_weight linears[linear_kinds];
  at::Tensor biases[linear_kinds];  ///< [out]; undefined for a linear without one

  const linear_weight& operator[](linear_kind kind) const { return linears[static_cast<std::size_t>(kind)]; }
  linear_weight& operator[](linear_kind kind) { return linears[static_cast<std::size_t>(kind)]; }
};

/// The form in which weights are stored after loading.
struct weight_form {
  at::ScalarType type = at::kFloat;  ///< of everything that is not packed: the type of the model's arithmetic
  at::Device device = at::kCPU;
  /// The decoder blocks' linears are packed as NF4 while they are read; absent: they stay as in the checkpoint
  /// (including packed ones).
  std::optional<nf4_options> quantize = std::nullopt;
};

/// All weights of a decoder. Copies share storage; `clone` does not.
struct llama_weights {
  llama_config config;
  at::Tensor embedding;  ///< [V, H]
  std::vector<decoder_block> blocks;
  at::Tensor norm;  ///< [H]
  at::Tensor head;  ///< [V, H]; the embedding itself when tied

  /// The weights from tensors named as in Hugging Face checkpoints; NF4-packed linears come with their companions
  /// (".absmax", …). Throws `argument_error` naming a missing or misshapen tensor, `file_error` naming one that
  /// contradicts its quantisation state.
  static llama_weights from_tensors(const llama_config& config, std::map<std::string, at::Tensor> tensors);
  /// The same with each tensor converted to `form` and released before the next is touched: for tensors in a mapped
  /// file, memory holds the result and one tensor at a time.
  static llama_weights from_tensors(const llama_config& config, std::map<std::string, at::Tensor> tensors,
                                    const weight_form& form);
  /// Normal(0, `deviation`) matrices (residual outputs scaled by 1/√(2·layers)), unit norms, biases of 0: a fresh model
  /// for pre-training, or one of any shape for measurements. Converted to `form` one by one.
  static llama_weights random(const llama_config& config, rng random, double deviation = 0.02,
                              const weight_form& form = {});

  /// Tensors named as in checkpoints, in a fixed order, packed linears as bitsandbytes stores them; a tied head is not
  /// repeated.
  std::map<std::string, at::Tensor> tensors() const;
  /// Calls visit(name, tensor&) on each stored tensor, in a fixed order; a packed linear has several.
  template <class Visitor>
  void visit(Visitor&& visitor);

  /// A copy with storage of its own.
  llama_weights clone() const;
  /// A copy in another type and on another device; packed linears only move.
  llama_weights to(at::ScalarType type, at::Device device) const;
  /// Whether the linears are packed as NF4.
  bool is_quantized() const { return !blocks.empty() && blocks.front().linears[0].is_quantized(); }

 private:
  // Weights of the config's shapes: `make(name, shape)` returns each tensor as it is to be stored, `make_linear` each
  // linear.
  static llama_weights assemble(const llama_config& config,
                                const std::function<at::Tensor(const std::string&, at::IntArrayRef)>& make,
                                const std::function<linear_weight(const std::string&, at::IntArrayRef)>& make_linear);
};

template <class Visitor>
void llama_weights::visit(Visitor&& visitor) {
  // A classifier has no head either: the embedding is a placeholder.
  const bool tied = config.tie_word_embeddings || config.sequence_classification();
  visitor(std::string("model.embed_tokens.weight"), embedding);
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    const std::string prefix = "model.layers." + std::to_string(i) + ".";
    visitor(prefix + "input_layernorm.weight", blocks[i].input_norm);
    visitor(prefix + "post_attention_layernorm.weight", blocks[i].post_attention_norm);
    if (config.query_key_norm) {
      visitor(prefix + "self_attn.q_norm.weight", blocks[i].query_norm);
      visitor(prefix + "self_attn.k_norm.weight", blocks[i].key_norm);
    }
    for (std::size_t kind = 0; kind < linear_kinds; ++kind) {
      const std::string name = prefix + linear_path(static_cast<linear_kind>(kind));
      blocks[i].linears[kind].visit(
          [&](const std::string& part, at::Tensor& tensor) { visitor(name + ".weight" + part, tensor); });
      if (blocks[i].biases[kind].defined()) visitor(name + ".bias", blocks[i].biases[kind]);
    }
  }
  visitor(std::string("model.norm.weight"), norm);
  if (tied) {
    head = embedding;
  } else {
    visitor(std::string("lm_head.weight"), head);
  }
}

}  // namespace coho::trainer
