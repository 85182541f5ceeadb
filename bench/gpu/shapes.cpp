#include "shapes.hpp"

#include <vector>

#include <ATen/Parallel.h>

#include "files/data_files.hpp"

namespace coho::bench {

using namespace trainer;

shapes shapes::of(const bench_machine& machine) {
  shapes out{.model = llama_config::from_file(shipped_file("configs/llama-2-70b.json"))};
  if (!machine.small) return out;
  llama_config& m = out.model;
  m.vocab_size = 512;
  m.hidden_size = 128;
  m.intermediate_size = 256;
  m.num_attention_heads = 4;
  m.num_key_value_heads = 2;
  m.head_dim = 32;
  out.rank = 8;
  out.query_tokens = 8;
  out.response_tokens = 8;
  out.rollouts = 4;
  out.device_batch = 2;
  out.scoring_tokens = 32;
  out.decoded_tokens = 8;
  out.log_prob_tokens = 64;
  return out;
}

llama_weights random_weights(const shapes& sizes, const bench_machine& machine, std::int64_t layers) {
  llama_config config = sizes.model;
  config.num_hidden_layers = layers;
  const weight_form form{
      .type = machine.compute, .device = machine.device, .quantize = nf4_options{.double_quantize = true}};
  return llama_weights::random(config, rng(1), 0.02, form);
}

llama_weights first_layers(const llama_weights& weights, std::int64_t layers) {
  llama_weights out = weights;
  out.blocks.resize(static_cast<std::size_t>(layers));
  out.config.num_hidden_layers = layers;
  return out;
}

memory_plan_options four_models_plan(const shapes& sizes, const bench_machine& machine, std::int64_t layers) {
  memory_plan_options out{.model = sizes.model};
  out.model.num_hidden_layers = layers;
  out.base = base_storage::nf4_double;
  out.compute = machine.compute == at::kBFloat16 ? compute_type::bfloat16 : compute_type::float32;
  out.recompute = recomputation::full;
  linear_ranks block{};
  block.fill(sizes.rank);
  const std::vector<linear_ranks> ranks{block};
  out.roles = {{.name = "reference", .ranks = ranks, .log_probs = true},
               {.name = "policy", .ranks = ranks, .trained = true, .log_probs = true},
               {.name = "reward", .ranks = ranks, .scalar_head = true},
               {.name = "value", .ranks = ranks, .scalar_head = true, .trained = true}};
  out.query_tokens = sizes.query_tokens;
  out.response_tokens = sizes.response_tokens;
  out.slots = out.sequences = sizes.device_batch;
  out.scoring_tokens = out.micro_batch_tokens = sizes.scoring_tokens;
  if (machine.cuda()) return out;
  out.log_prob_blocks = at::get_num_threads();
  out.log_prob_rows = 256;
  out.log_prob_columns = 1024;
  return out;
}

}  // namespace coho::bench
