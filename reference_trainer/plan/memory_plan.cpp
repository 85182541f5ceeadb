#include "plan/memory_plan.hpp"

#include <algorithm>
#include <numeric>

#include <coho/error.hpp>

#include "kernels/cpu/adamw_kernels.hpp"

namespace coho::trainer {
namespace {

// The block sizes of nf4_options and nf4_tensor, and the fp32 map of an 8-bit code.
constexpr std::int64_t nf4_block = 64, nested_block = 256, map_bytes = 256 * 4;

// ⌈a/b⌉.
std::int64_t divide_up(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

// The bytes of all terms.
std::int64_t total_bytes(const std::vector<memory_term>& terms) {
  return std::accumulate(terms.begin(), terms.end(), std::int64_t{0},
                         [](std::int64_t total, const memory_term& term) { return total + term.bytes; });
}

// Bytes of a linear's weight with this many numbers.
std::int64_t storage_bytes(std::int64_t numbers, base_storage storage) {
  switch (storage) {
    case base_storage::float32:
      return 4 * numbers;
    case base_storage::bfloat16:
      return 2 * numbers;
    case base_storage::nf4:
      return nf4_bytes(numbers, false);
    default:
      return nf4_bytes(numbers, true);
  }
}

bool is_quantized(base_storage storage) { return storage == base_storage::nf4 || storage == base_storage::nf4_double; }

// Bytes of both moments; each 8-bit one has absmax and a map.
std::int64_t moment_bytes(std::int64_t parameters, moment_type storage) {
  if (storage == moment_type::eight_bit)
    return 2 * (parameters + 4 * divide_up(parameters, cpu::moment_block) + map_bytes);
  return 2 * (storage == moment_type::float32 ? 4 : 2) * parameters;
}

// All parameters of a model: those of full fine-tuning.
std::int64_t full_parameter_count(const llama_config& model) {
  const std::int64_t vocabulary = model.vocab_size * model.hidden_size;
  return linear_parameter_count(model) + model.norm_and_bias_count() +
         vocabulary * (model.tie_word_embeddings || model.sequence_classification() ? 1 : 2);
}

// The LoRA ranks of a block: its own, or those that all blocks share.
linear_ranks block_ranks(const std::vector<linear_ranks>& ranks, std::int64_t block) {
  if (ranks.empty()) return {};
  return ranks[ranks.size() == 1 ? 0 : static_cast<std::size_t>(block)];
}

// Adds the terms of docs/memory.md to a plan. As in its equations: c is the bytes of a compute number, o the options, m
// the model.
struct planner {
  const memory_plan_options& o;
  const llama_config& m = o.model;
  std::int64_t c = element_bytes(o.compute);
  memory_plan plan{};

  // The weights that all roles share.
  void add_base() {
    std::int64_t linears = 0;
    for (std::size_t i = 0; i < linear_kinds; ++i) {
      const auto [rows, columns] = linear_shape(m, static_cast<linear_kind>(i));
      linears += m.num_hidden_layers * storage_bytes(rows * columns, o.base);
    }
    const std::int64_t vocabulary = m.vocab_size * m.hidden_size * c;
    plan.resident.push_back({"base", "linears", linears});
    plan.resident.push_back({"base", "embedding", vocabulary});
    if (!m.tie_word_embeddings && !m.sequence_classification()) plan.resident.push_back({"base", "head", vocabulary});
    plan.resident.push_back({"base", "norms and biases", m.norm_and_bias_count() * c});
  }

  // Parameters of a role besides its scalar head.
  std::int64_t parameter_count_without_head(const role_plan& r) const {
    return r.full ? full_parameter_count(m) : adapter_parameter_count(m, r.ranks);
  }
  std::int64_t head_parameters(const role_plan& r) const { return r.scalar_head ? m.hidden_size + 1 : 0; }

  // What a role holds in addition to the base.
  void add_role(const role_plan& r) {
    const std::int64_t own = parameter_count_without_head(r), head = head_parameters(r), trained = own + head;
    // A frozen adapter is held in the compute type. A trained one is its fp32 master weights: a linear's two matrices
    // are cast as they are used. A role's own weights are fp32 in any compute type.
    if (own > 0 && !r.trained)
      plan.resident.push_back({r.full ? "weights" : "adapter", r.name, (r.full ? 4 : c) * own});
    if (head > 0 && !r.trained) plan.resident.push_back({"scalar head", r.name, 4 * head});
    if (!r.trained) return;
    plan.resident.push_back({"master weights", r.name, 4 * trained});
    plan.resident.push_back({"gradients", r.name, 4 * trained});
    plan.resident.push_back({"moments", r.name, moment_bytes(trained, o.moments)});
  }

  // The buffer for the largest linear of a packed base.
  std::int64_t dequantized_bytes() const {
    if (!is_quantized(o.base)) return 0;
    std::int64_t largest = 0;
    for (std::size_t i = 0; i < linear_kinds; ++i) {
      const auto [rows, columns] = linear_shape(m, static_cast<linear_kind>(i));
      largest = std::max(largest, rows * columns);
    }
    return largest * c;
  }

  // What drop_elements_by_operators holds for a piece of the widest input, per block of four elements: four words of 8
  // bytes, four factors, and a comparison.
  std::int64_t dropout_scratch(const role_plan& r, std::int64_t tokens) const {
    if (o.dropout == 0 || o.dropout_blocks == 0) return 0;
    std::int64_t widest = 0;
    for (const auto& ranks : r.ranks)
      for (std::size_t i = 0; i < linear_kinds; ++i)
        if (ranks[i] > 0) widest = std::max(widest, linear_shape(m, static_cast<linear_kind>(i))[1]);
    return (4 * 8 + 4 * c + 1) * std::min(o.dropout_blocks, divide_up(tokens * widest, 4));
  }

  // A block of logits, first as the product's type gives it; with entropy also e·(z − max).
  std::int64_t log_prob_scratch(std::int64_t rows) const {
    const std::int64_t numbers =
        o.log_prob_blocks * std::min(o.log_prob_rows, rows) * std::min(o.log_prob_columns, m.vocab_size);
    return numbers * (4 + (c < 4 ? c : 0) + (o.entropy ? 4 : 0));
  }

  // Response positions among this many tokens of whole sequences.
  std::int64_t response_rows(std::int64_t tokens) const {
    return divide_up(tokens * o.response_tokens, o.query_tokens + o.response_tokens);
  }

  // Generation: cache, logits of a step, and the working set of prefill or decoding.
  void add_rollout() {
    if (o.slots == 0) return;
    const std::int64_t capacity = o.query_tokens + o.response_tokens;
    const std::int64_t cache = 2 * m.key_value_size() * m.num_hidden_layers * capacity * c;
    const std::int64_t prefill = std::max(o.slots, std::min(o.prefill_tokens, o.slots * o.query_tokens));
    // Scores and probabilities of one block, and its keys and values where a product wants them dense.
    const std::int64_t attention = o.slots * (o.prefix_tokens + capacity) * (8 + c) * m.num_attention_heads +
                                   o.slots * capacity * 2 * m.key_value_size() * c;
    memory_phase phase{.name = "rollout", .terms = {}};
    phase.terms.push_back({"cache", "keys and values", o.slots * cache});
    if (o.prefix_tokens > 0)
      phase.terms.push_back(
          {"cache", "shared prefix", 2 * m.key_value_size() * m.num_hidden_layers * o.prefix_tokens * c});
    phase.terms.push_back({"logits", "of a step", o.slots * m.vocab_size * (4 + (c < 4 ? c : 0))});
    phase.terms.push_back({"activations", "working set", std::max(prefill * forward_working_bytes(o), attention)});
    add_dequantized(phase);
    plan.phases.push_back(std::move(phase));
  }

  // Adds the buffer for dequantised weights to a phase.
  void add_dequantized(memory_phase& phase) const {
    if (const auto bytes = dequantized_bytes(); bytes > 0)
      phase.terms.push_back({"scratch", "dequantised linear", bytes});
  }

  // Forward passes without gradients.
  void add_scoring() {
    if (o.scoring_tokens == 0) return;
    const std::int64_t tokens = batch_tokens(o.scoring_tokens), rows = response_rows(tokens);
    memory_phase phase{.name = "scoring", .terms = {}};
    // Block and head peak at different times: the larger counts. At the head: the last residual stream and its norm.
    const std::int64_t in_block = tokens * forward_working_bytes(o);
    const std::int64_t at_head = 2 * tokens * m.hidden_size * c + rows * m.hidden_size * (c + 4);
    const bool log_probs = std::ranges::any_of(o.roles, &role_plan::log_probs);
    const std::int64_t logits = log_probs ? log_prob_scratch(rows) : 0;
    if (in_block + dequantized_bytes() >= at_head + logits) {
      phase.terms.push_back({"activations", "working set", in_block});
      add_dequantized(phase);
    } else {
      phase.terms.push_back({"activations", "response positions", at_head});
      if (log_probs) phase.terms.push_back({"scratch", "blocks of logits", logits});
    }
    plan.phases.push_back(std::move(phase));
  }

  // The limit of a forward pass, or all sequences of the step if these are fewer.
  std::int64_t batch_tokens(std::int64_t tokens) const {
    const std::int64_t all = o.sequences * (o.query_tokens + o.response_tokens);
    return all > 0 ? std::min(tokens, all) : tokens;
  }

  // Forward and backward passes of the role that needs most, and the double-precision sum of shards.
  void add_update() {
    if (o.micro_batch_tokens == 0) return;
    const std::int64_t tokens = batch_tokens(o.micro_batch_tokens), rows = response_rows(tokens);
    memory_phase largest;
    // One model is updated after the other: the larger one counts.
    for (const auto& r : o.roles) {
      if (!r.trained) continue;
      memory_phase phase{.name = "update", .terms = {}};
      std::int64_t kept = 0, most = 0;
      for (std::int64_t block = 0; block < m.num_hidden_layers; ++block) {
        const linear_ranks ranks = block_ranks(r.ranks, block);
        kept += activation_bytes(o, ranks, o.recompute);
        most = std::max(most, activation_bytes(o, ranks, recomputation::none));
      }
      phase.terms.push_back({"activations", "kept for backward", tokens * kept});
      // With full recomputation backward makes all of one block again. Going back through the head and through a block
      // peak at different times: the larger counts.
      const std::int64_t again = o.recompute == recomputation::full ? most : 0;
      const std::int64_t in_block = tokens * (again + backward_working_bytes(o));
      // Last residual stream, its norm and the gradient; response rows and, from the head, Σ e·W in fp32 (twice with
      // entropy).
      const std::int64_t from_head = r.log_probs && o.entropy ? 8 : 4;
      const std::int64_t at_head = 3 * tokens * m.hidden_size * c + rows * m.hidden_size * (c + from_head);
      const std::int64_t logits = r.log_probs ? log_prob_scratch(rows) : 0;
      const std::int64_t dropout = dropout_scratch(r, tokens);
      if (in_block + dequantized_bytes() + dropout >= at_head + logits) {
        phase.terms.push_back({"activations", "working set", in_block});
        add_dequantized(phase);
        if (dropout > 0) phase.terms.push_back({"scratch", "numbers of dropout", dropout});
      } else {
        phase.terms.push_back({"activations", "response positions", at_head});
        if (r.log_probs) phase.terms.push_back({"scratch", "blocks of logits", logits});
      }
      if (phase.bytes() > largest.bytes()) largest = std::move(phase);
    }
    if (largest.terms.empty()) return;
    if (o.shards > 1) {
      // In double and of all that is trained, whichever of it is gone back through.
      std::int64_t trained = 0;
      for (const auto& r : o.roles)
        if (r.trained) trained += parameter_count_without_head(r) + head_parameters(r);
      largest.terms.push_back({"gradients", "sum of shards", 8 * trained});
    }
    plan.phases.push_back(std::move(largest));
  }

  // Rollouts, which are kept on the host.
  void add_host() {
    if (o.sequences == 0) return;
    // Token ids, and for a response's token the log-probabilities of sampler, policy and reference, value, reward,
    // advantage, return.
    plan.host.push_back({"rollouts", "tokens", o.sequences * (o.query_tokens + o.response_tokens) * 4});
    plan.host.push_back({"rollouts", "numbers of a response", o.sequences * o.response_tokens * 7 * 8});
  }
};

}  // namespace

void memory_plan_options::validate() const {
  const auto from_zero = [](std::int64_t value, const char* name) {
    require_option(value >= 0, name, value, "at least 0");
  };
  from_zero(query_tokens, "query_tokens");
  from_zero(response_tokens, "response_tokens");
  require_option(query_tokens + response_tokens > 0, "response_tokens", response_tokens,
                 "above 0 when query_tokens is 0");
  from_zero(prefix_tokens, "prefix_tokens");
  from_zero(slots, "slots");
  from_zero(prefill_tokens, "prefill_tokens");
  from_zero(scoring_tokens, "scoring_tokens");
  from_zero(micro_batch_tokens, "micro_batch_tokens");
  from_zero(sequences, "sequences");
  require_option(shards > 0, "shards", shards, "at least 1");
  require_option(log_prob_blocks > 0, "log_prob_blocks", log_prob_blocks, "at least 1");
  require_option(log_prob_rows > 0, "log_prob_rows", log_prob_rows, "at least 1");
  require_option(log_prob_columns > 0, "log_prob_columns", log_prob_columns, "at least 1");
  require_option(dropout >= 0 && dropout < 1, "dropout", dropout, "in [0, 1)");
  from_zero(dropout_blocks, "dropout_blocks");
  for (const auto& role : roles) {
    require_option(role.ranks.size() <= 1 || static_cast<std::int64_t>(role.ranks.size()) == model.num_hidden_layers,
                   "ranks", role.ranks.size(), "of every block, or once for all");
    for (const auto& ranks : role.ranks)
      for (const auto rank : ranks) from_zero(rank, "rank");
  }
}

std::int64_t memory_phase::bytes() const { return total_bytes(terms); }
std::int64_t memory_plan::resident_bytes() const { return total_bytes(resident); }

std::int64_t memory_plan::peak_bytes() const {
  std::int64_t most = 0;
  for (const auto& phase : phases) most = std::max(most, phase.bytes());
  return resident_bytes() + most;
}

std::int64_t memory_plan::group_bytes(std::string_view group, std::string_view name) const {
  std::int64_t total = 0;
  for (const auto& term : resident)
    if (term.group == group && (name.empty() || term.name == name)) total += term.bytes;
  return total;
}

std::int64_t element_bytes(compute_type type) { return type == compute_type::float32 ? 4 : 2; }

std::int64_t linear_parameter_count(const llama_config& model) {
  std::int64_t total = 0;
  for (std::size_t i = 0; i < linear_kinds; ++i) {
    const auto [rows, columns] = linear_shape(model, static_cast<linear_kind>(i));
    total += rows * columns;
  }
  return model.num_hidden_layers * total;
}

std::int64_t adapter_parameter_count(const llama_config& model, const std::vector<linear_ranks>& ranks) {
  std::int64_t total = 0;
  for (std::int64_t block = 0; block < model.num_hidden_layers; ++block) {
    const linear_ranks of_block = block_ranks(ranks, block);
    for (std::size_t i = 0; i < linear_kinds; ++i) {
      const auto [rows, columns] = linear_shape(model, static_cast<linear_kind>(i));
      total += of_block[i] * (rows + columns);
    }
  }
  return total;
}

std::int64_t nf4_bytes(std::int64_t numbers, bool double_quantize) {
  const std::int64_t codes = divide_up(numbers, 2), blocks = divide_up(numbers, nf4_block);
  return codes + (double_quantize ? blocks + 4 * divide_up(blocks, nested_block) + map_bytes : 4 * blocks);
}

std::int64_t activation_bytes(const memory_plan_options& options, const linear_ranks& ranks, recomputation mode) {
  const llama_config& m = options.model;
  const std::int64_t c = element_bytes(options.compute), h = m.hidden_size, q = m.query_size(), k = m.key_value_size();
  if (mode == recomputation::full) return h * c;
  const std::int64_t low_rank = std::accumulate(ranks.begin(), ranks.end(), std::int64_t{0});
  std::int64_t numbers = 2 * h + (q + 2 * k) + q + 2 * m.intermediate_size + low_rank;
  if (mode == recomputation::none) numbers += 2 * h + m.intermediate_size;
  std::int64_t statistics = m.num_attention_heads;
  if (m.query_key_norm) {
    // q and k before their norms, and the root mean squares.
    numbers += q + k;
    statistics += m.num_attention_heads + m.num_key_value_heads;
  }
  return numbers * c + 4 * statistics;
}

std::int64_t forward_working_bytes(const memory_plan_options& options) {
  const llama_config& m = options.model;
  const std::int64_t h = m.hidden_size, q = m.query_size(), k = m.key_value_size();
  const std::int64_t feed_forward = 3 * h + 3 * m.intermediate_size;
  // The block's input; q, k, v before and after rotation; keys and values repeated, the output and what makes it.
  const std::int64_t attention = h + 2 * (q + 2 * k) + 5 * q;
  return element_bytes(options.compute) * std::max(feed_forward, attention);
}

std::int64_t backward_working_bytes(const memory_plan_options& options) {
  const llama_config& m = options.model;
  const bool kept = options.recompute != recomputation::selective;
  const std::int64_t h = m.hidden_size, q = m.query_size(), i = m.intermediate_size;
  // The feed-forward half comes first: the residual stream's gradient; gradients of product, gate and up; the product
  // again.
  const std::int64_t feed_forward = h + 3 * i + (kept ? 0 : i);
  // Then what was kept of it is free: its input, gate, up, and the product and normed input where they were kept.
  const std::int64_t freed = h + 2 * i + (kept ? h + i : 0);
  const std::int64_t attention = 3 * h + 9 * q - freed;
  return element_bytes(options.compute) * std::max(feed_forward, attention);
}

memory_plan plan_memory(const memory_plan_options& options) {
  options.validate();
  planner p{options};
  p.add_base();
  for (const auto& role : options.roles) p.add_role(role);
  p.add_rollout();
  p.add_scoring();
  p.add_update();
  p.add_host();
  return std::move(p.plan);
}

}  // namespace coho::trainer
