#include "decoder/weights.hpp"

#include <cmath>

#include <ATen/Parallel.h>

#include <coho/error.hpp>

#include "checkpoint/bitsandbytes.hpp"
#include "checkpoint/hf_names.hpp"
#include "checkpoint/tensor_io.hpp"

namespace coho::trainer {
namespace {

// Moves a linear out of the map, with its companions if it is packed as NF4.
linear_weight extract_linear(std::map<std::string, at::Tensor>& tensors, const std::string& name,
                             at::IntArrayRef shape) {
  if (!tensors.contains(name + nf4_companions[0])) return extract_tensor(tensors, name, shape);
  linear_weight out = read_nf4(tensors, name, shape.vec(), "the checkpoint");
  tensors.erase(name);
  for (const char* companion : nf4_companions) tensors.erase(name + companion);
  return out;
}

// Normal(0, deviation) in fp32. A number of the counter-based generator depends only on its index: any number of
// threads makes the same matrix.
at::Tensor normal_tensor(at::IntArrayRef shape, rng random, double deviation) {
  at::Tensor out = at::empty(shape, at::kFloat);
  float* data = out.data_ptr<float>();
  const auto start = random.save();
  at::parallel_for(0, out.numel(), 1 << 12, [&](std::int64_t begin, std::int64_t end) {
    // normal() consumes one block of four 32-bit numbers.
    rng part = rng::restore({start.seed, start.stream, start.consumed + 4 * static_cast<std::uint64_t>(begin)});
    for (std::int64_t i = begin; i < end; ++i) data[i] = static_cast<float>(deviation * part.normal());
  });
  return out;
}

// A copy even if nothing changes, because the model must not keep a mapped file alive.
at::Tensor copy_in_form(const at::Tensor& tensor, const weight_form& form) {
  return tensor.to(form.device, form.type, /*non_blocking=*/false, /*copy=*/true);
}

// Likewise a linear, which is packed if the form says so; one packed already stays as it is.
linear_weight convert_linear(const linear_weight& weight, const weight_form& form) {
  if (weight.is_quantized()) return weight.clone().to(form.type, form.device);
  if (!form.quantize) return copy_in_form(weight.dense(), form);
  return linear_weight(quantize_nf4(weight.dense(), *form.quantize)).to(form.type, form.device);
}

}  // namespace

llama_weights llama_weights::assemble(
    const llama_config& config, const std::function<at::Tensor(const std::string&, at::IntArrayRef)>& make,
    const std::function<linear_weight(const std::string&, at::IntArrayRef)>& make_linear) {
  llama_weights out;
  out.config = config;
  const std::int64_t h = config.hidden_size;
  out.embedding = make("model.embed_tokens.weight", {config.vocab_size, h});
  for (std::int64_t i = 0; i < config.num_hidden_layers; ++i) {
    const std::string prefix = "model.layers." + std::to_string(i) + ".";
    decoder_block block;
    block.input_norm = make(prefix + "input_layernorm.weight", {h});
    block.post_attention_norm = make(prefix + "post_attention_layernorm.weight", {h});
    if (config.query_key_norm) {
      block.query_norm = make(prefix + "self_attn.q_norm.weight", {config.head_dim});
      block.key_norm = make(prefix + "self_attn.k_norm.weight", {config.head_dim});
    }
    for (std::size_t kind = 0; kind < linear_kinds; ++kind) {
      const auto which = static_cast<linear_kind>(kind);
      const auto shape = linear_shape(config, which);
      block.linears[kind] = make_linear(prefix + linear_path(which) + ".weight", shape);
      if (linear_has_bias(config, which)) block.biases[kind] = make(prefix + linear_path(which) + ".bias", {shape[0]});
    }
    out.blocks.push_back(std::move(block));
  }
  out.norm = make("model.norm.weight", {h});
  // A classifier's checkpoint has no language-model head; the embedding is a placeholder and never read as one.
  const bool own_head = !config.tie_word_embeddings && !config.sequence_classification();
  out.head = own_head ? make("lm_head.weight", {config.vocab_size, h}) : out.embedding;
  return out;
}

llama_weights llama_weights::from_tensors(const llama_config& config, std::map<std::string, at::Tensor> tensors) {
  return assemble(
      config, [&](const std::string& name, at::IntArrayRef shape) { return extract_tensor(tensors, name, shape); },
      [&](const std::string& name, at::IntArrayRef shape) { return extract_linear(tensors, name, shape); });
}

llama_weights llama_weights::from_tensors(const llama_config& config, std::map<std::string, at::Tensor> tensors,
                                          const weight_form& form) {
  return assemble(
      config,
      [&](const std::string& name, at::IntArrayRef shape) {
        return copy_in_form(extract_tensor(tensors, name, shape), form);
      },
      [&](const std::string& name, at::IntArrayRef shape) {
        return convert_linear(extract_linear(tensors, name, shape), form);
      });
}

llama_weights llama_weights::random(const llama_config& config, rng random, double deviation, const weight_form& form) {
  const double residual = deviation / std::sqrt(2.0 * static_cast<double>(config.num_hidden_layers));
  const auto make = [&](const std::string& name, at::IntArrayRef shape) {
    if (name.ends_with("norm.weight")) return copy_in_form(at::ones(shape, at::kFloat), form);
    if (name.ends_with(".bias")) return copy_in_form(at::zeros(shape, at::kFloat), form);
    return copy_in_form(normal_tensor(shape, random.split(stream_key(name)), deviation), form);
  };
  const auto make_linear = [&](const std::string& name, at::IntArrayRef shape) {
    const bool into_residual = name.ends_with("o_proj.weight") || name.ends_with("down_proj.weight");
    return convert_linear(normal_tensor(shape, random.split(stream_key(name)), into_residual ? residual : deviation),
                          form);
  };
  return assemble(config, make, make_linear);
}

std::map<std::string, at::Tensor> llama_weights::tensors() const {
  std::map<std::string, at::Tensor> out;
  llama_weights shared = *this;
  shared.visit([&](const std::string& name, at::Tensor& tensor) { out.emplace(name, tensor); });
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    for (std::size_t kind = 0; kind < linear_kinds; ++kind) {
      const linear_weight& weight = blocks[i].linears[kind];
      if (!weight.is_quantized()) continue;
      const std::string name =
          "model.layers." + std::to_string(i) + "." + linear_path(static_cast<linear_kind>(kind)) + ".weight";
      for (auto& [part, tensor] : nf4_tensors(name, weight.packed())) out.insert_or_assign(part, tensor);
    }
  }
  return out;
}

llama_weights llama_weights::clone() const {
  llama_weights out = *this;
  out.visit([](const std::string&, at::Tensor& tensor) { tensor = tensor.detach().clone(); });
  return out;
}

llama_weights llama_weights::to(at::ScalarType type, at::Device device) const {
  llama_weights out = *this;
  const auto moved = [&](const at::Tensor& tensor) {
    return tensor.defined() ? tensor.detach().to(device, type) : tensor;
  };
  out.embedding = moved(embedding);
  out.norm = moved(norm);
  out.head = head.is_same(embedding) ? out.embedding : moved(head);
  for (auto& block : out.blocks) {
    block.input_norm = moved(block.input_norm);
    block.post_attention_norm = moved(block.post_attention_norm);
    block.query_norm = moved(block.query_norm);
    block.key_norm = moved(block.key_norm);
    for (auto& weight : block.linears) weight = weight.to(type, device);
    for (auto& bias : block.biases) bias = moved(bias);
  }
  return out;
}

}  // namespace coho::trainer
