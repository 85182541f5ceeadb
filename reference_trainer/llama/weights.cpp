#include "llama/weights.hpp"

#include <cmath>
#include <sstream>

#include <coho/error.hpp>

namespace coho::trainer {
namespace {

std::vector<std::int64_t> linear_shape(const llama_config& config, linear_kind kind) {
  const std::int64_t h = config.hidden_size, i = config.intermediate_size;
  switch (kind) {
    case linear_kind::q: return {config.query_size(), h};
    case linear_kind::k:
    case linear_kind::v: return {config.key_value_size(), h};
    case linear_kind::o: return {h, config.query_size()};
    case linear_kind::gate:
    case linear_kind::up: return {i, h};
    case linear_kind::down: return {h, i};
  }
  return {};
}

at::Tensor take(const std::map<std::string, at::Tensor>& tensors, const std::string& name, at::IntArrayRef shape) {
  const auto found = tensors.find(name);
  require_argument(found != tensors.end(), "the checkpoint has no tensor " + name);
  if (found->second.sizes() != shape) {
    std::ostringstream what;
    what << "tensor " << name << " has shape " << found->second.sizes() << ", the config asks for " << shape;
    throw argument_error(what.str());
  }
  return found->second;
}

at::Tensor normal(at::IntArrayRef shape, rng random, double deviation) {
  at::Tensor out = at::empty(shape, at::kFloat);
  float* data = out.data_ptr<float>();
  for (std::int64_t i = 0; i < out.numel(); ++i) data[i] = static_cast<float>(deviation * random.normal());
  return out;
}

}  // namespace

const char* linear_path(linear_kind kind) {
  static constexpr const char* paths[linear_kinds] = {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
                                                      "mlp.gate_proj",    "mlp.up_proj",      "mlp.down_proj"};
  return paths[static_cast<std::size_t>(kind)];
}

llama_weights llama_weights::from_tensors(const llama_config& config, const std::map<std::string, at::Tensor>& tensors) {
  llama_weights out;
  out.config = config;
  const std::int64_t h = config.hidden_size;
  out.embedding = take(tensors, "model.embed_tokens.weight", {config.vocab_size, h});
  for (std::int64_t i = 0; i < config.num_hidden_layers; ++i) {
    const std::string prefix = "model.layers." + std::to_string(i) + ".";
    decoder_block block;
    block.input_norm = take(tensors, prefix + "input_layernorm.weight", {h});
    block.post_attention_norm = take(tensors, prefix + "post_attention_layernorm.weight", {h});
    for (std::size_t kind = 0; kind < linear_kinds; ++kind) {
      const auto which = static_cast<linear_kind>(kind);
      block.linears[kind] = take(tensors, prefix + linear_path(which) + ".weight", linear_shape(config, which));
    }
    out.blocks.push_back(std::move(block));
  }
  out.norm = take(tensors, "model.norm.weight", {h});
  // A classifier's checkpoint has no language-model head; the embedding stands in and is never read as one.
  const bool own_head = !config.tie_word_embeddings && !config.sequence_classification();
  out.head = own_head ? take(tensors, "lm_head.weight", {config.vocab_size, h}) : out.embedding;
  return out;
}

llama_weights llama_weights::random(const llama_config& config, rng random, double deviation) {
  llama_weights out;
  out.config = config;
  out.blocks.resize(static_cast<std::size_t>(config.num_hidden_layers));
  const std::int64_t h = config.hidden_size;
  const double residual = deviation / std::sqrt(2.0 * static_cast<double>(config.num_hidden_layers));
  out.visit([&](const std::string& name, at::Tensor& tensor) {
    const rng stream = random.split(stream_key(name));
    if (name.ends_with("norm.weight")) {
      tensor = at::ones({h}, at::kFloat);
    } else if (name == "model.embed_tokens.weight" || name == "lm_head.weight") {
      tensor = normal({config.vocab_size, h}, stream, deviation);
    } else {
      for (std::size_t kind = 0; kind < linear_kinds; ++kind) {
        const auto which = static_cast<linear_kind>(kind);
        if (!name.ends_with(std::string(linear_path(which)) + ".weight")) continue;
        const bool into_residual = which == linear_kind::o || which == linear_kind::down;
        tensor = normal(linear_shape(config, which), stream, into_residual ? residual : deviation);
      }
    }
  });
  return out;
}

std::map<std::string, at::Tensor> llama_weights::tensors() const {
  std::map<std::string, at::Tensor> out;
  llama_weights shared = *this;
  shared.visit([&](const std::string& name, at::Tensor& tensor) { out.emplace(name, tensor); });
  return out;
}

llama_weights llama_weights::clone() const {
  llama_weights out = *this;
  out.visit([](const std::string&, at::Tensor& tensor) { tensor = tensor.detach().clone(); });
  return out;
}

llama_weights llama_weights::to(at::ScalarType type, at::Device device) const {
  llama_weights out = *this;
  out.visit([&](const std::string&, at::Tensor& tensor) { tensor = tensor.detach().to(device, type); });
  return out;
}

}  // namespace coho::trainer
