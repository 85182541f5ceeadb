#include "checkpoint/hf_names.hpp"

#include "architecture/linear_kind.hpp"

namespace coho::trainer {

bool is_layer_linear(std::string_view tensor_name) {
  return tensor_name.starts_with("model.layers.") && tensor_name.ends_with("_proj.weight");
}

std::map<std::string, std::vector<std::int64_t>> layer_linear_shapes(const llama_config& config) {
  std::map<std::string, std::vector<std::int64_t>> out;
  for (std::size_t i = 0; i < linear_kinds; ++i) {
    const auto kind = static_cast<linear_kind>(i);
    const auto [rows, columns] = linear_shape(config, kind);
    out[linear_path(kind)] = {rows, columns};
  }
  return out;
}

std::map<std::string, std::vector<std::int64_t>> hf_shapes(const llama_config& config) {
  const auto hidden = config.hidden_size;
  std::map<std::string, std::vector<std::int64_t>> shapes{{"model.embed_tokens.weight", {config.vocab_size, hidden}},
                                                          {"model.norm.weight", {hidden}}};
  const auto linears = layer_linear_shapes(config);
  for (std::int64_t block = 0; block < config.num_hidden_layers; ++block) {
    const auto prefix = "model.layers." + std::to_string(block) + ".";
    shapes[prefix + "input_layernorm.weight"] = {hidden};
    shapes[prefix + "post_attention_layernorm.weight"] = {hidden};
    for (const auto& [path, shape] : linears) shapes[prefix + path + ".weight"] = shape;
    for (std::size_t i = 0; i < linear_kinds; ++i) {
      const auto kind = static_cast<linear_kind>(i);
      if (linear_has_bias(config, kind)) shapes[prefix + linear_path(kind) + ".bias"] = {linear_shape(config, kind)[0]};
    }
    if (config.query_key_norm) {
      shapes[prefix + "self_attn.q_norm.weight"] = {config.head_dim};
      shapes[prefix + "self_attn.k_norm.weight"] = {config.head_dim};
    }
  }
  if (config.sequence_classification()) {
    shapes["score.weight"] = {1, hidden};
  } else if (!config.tie_word_embeddings) {
    shapes["lm_head.weight"] = {config.vocab_size, hidden};
  }
  return shapes;
}

}  // namespace coho::trainer
