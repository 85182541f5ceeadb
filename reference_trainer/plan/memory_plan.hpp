#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "architecture/config.hpp"
#include "architecture/linear_kind.hpp"
#include "architecture/storage_types.hpp"
#include "decoder/recomputation.hpp"
#include "optimization/moment_type.hpp"

namespace coho::trainer {

/// A role over the base: the base itself (no rank above 0), the base with an adapter, or its own weights.
struct role_plan {
  std::string name;
  std::vector<linear_ranks>
      ranks{};               ///< of the adapter, by block; a single entry holds for every block, none: no adapter
  bool full = false;         ///< own weights in fp32 instead of an adapter
  bool scalar_head = false;  ///< w [H] and b, fp32
  bool trained = false;
  bool log_probs = false;  ///< reads the language-model head at the response's positions
};

/// What a stage holds and how much it computes at a time. Sizes of 0 switch their phase off.
struct memory_plan_options {
  llama_config model;
  base_storage base = base_storage::bfloat16;
  compute_type compute = compute_type::bfloat16;
  moment_type moments = moment_type::float32;
  recomputation recompute = recomputation::selective;
  std::vector<role_plan> roles{};

  std::int64_t query_tokens = 256, response_tokens = 1024;  ///< of a sequence, at most
  std::int64_t prefix_tokens = 0;                           ///< before every query; held and computed once
  std::int64_t slots = 0;                                   ///< sequences decoded together
  std::int64_t prefill_tokens = 8192;
  std::int64_t scoring_tokens = 0;      ///< of a forward without gradients
  std::int64_t micro_batch_tokens = 0;  ///< of a forward with gradients
  std::int64_t sequences = 0;           ///< rollouts of a step, kept on the host
  std::int64_t shards = 1;              ///< of a minibatch that one device works on, one after the other
  bool entropy = false;                 ///< whether its gradient is computed
  /// Blocks of logits that are held at once (one per thread on the CPU, where blocks have 256 rows and 1024 columns)
  /// and their sizes: those of fused_log_probs.
  std::int64_t log_prob_blocks = 1, log_prob_rows = 2048, log_prob_columns = 8192;
  /// Of trained adapters; and how many blocks of four numbers are drawn for it at a time (0: each as it is used, as on
  /// the CPU).
  double dropout = 0;
  std::int64_t dropout_blocks = std::int64_t{1} << 20;

  /// Throws `option_error` for a negative size, rank or length, sequences without length, ranks of another number of
  /// blocks than the model has, or a dropout outside [0, 1).
  void validate() const;
};

/// One line of the plan.
struct memory_term {
  std::string group;  ///< "base", "adapter", "optimizer", "activations", …
  std::string name;
  std::int64_t bytes = 0;
};

/// A phase of a step and what it holds in addition to the resident tensors.
struct memory_phase {
  std::string name;  ///< "rollout", "scoring", "update"
  std::vector<memory_term> terms;
  std::int64_t bytes() const;
};

/// Bytes of tensors; overhead of an allocator or a driver is excluded.
struct memory_plan {
  std::vector<memory_term> resident;  ///< held all the time
  std::vector<memory_phase> phases;   ///< what each holds in addition
  std::vector<memory_term> host;      ///< on the host, for any device

  /// Σ of the resident terms.
  std::int64_t resident_bytes() const;
  /// What a device holds in this phase.
  std::int64_t phase_bytes(const memory_phase& phase) const { return resident_bytes() + phase.bytes(); }
  /// The largest phase, or what is resident when there is none.
  std::int64_t peak_bytes() const;
  /// Of the resident terms of a group, or only of those with the name, if given.
  std::int64_t group_bytes(std::string_view group, std::string_view name = {}) const;
};

/// Lays out a stage's memory; each term is explained in docs/memory.md. Throws `option_error`.
///
///     memory_plan plan = plan_memory({.model = llama_config::from_file("config.json"), .base = base_storage::nf4_double});
///     plan.peak_bytes();
memory_plan plan_memory(const memory_plan_options& options);

/// Weights of all seven linears of all blocks.
std::int64_t linear_parameter_count(const llama_config& model);
/// Σ r·(in + out) over the adapted linears of all blocks, `ranks` as in role_plan.
std::int64_t adapter_parameter_count(const llama_config& model, const std::vector<linear_ranks>& ranks);
/// Bytes of a weight of `numbers` entries in NF4: codes ⌈n/2⌉; then 4·⌈n/64⌉ for absmax, or with double quantisation
/// ⌈n/64⌉ codes, 4·⌈⌈n/64⌉/256⌉ nested absmax and the nested map of 1024 bytes (Dettmers et al. 2023, §3).
std::int64_t nf4_bytes(std::int64_t numbers, bool double_quantize);
/// Bytes of one number.
std::int64_t element_bytes(compute_type type);

/// Bytes that a training forward pass keeps for backward per token and block, with the ranks of that block.
std::int64_t activation_bytes(const memory_plan_options& options, const linear_ranks& ranks, recomputation mode);
/// Bytes per token of temporaries inside one block, in addition to what is kept: of a forward pass without gradients,
/// and of a backward pass.
std::int64_t forward_working_bytes(const memory_plan_options& options);
std::int64_t backward_working_bytes(const memory_plan_options& options);

}  // namespace coho::trainer
