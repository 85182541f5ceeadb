#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <ATen/ATen.h>

#include <coho/rng.hpp>

#include "adapters/lora.hpp"
#include "llama/model.hpp"
#include "optimization/parameter_set.hpp"

namespace coho::trainer {

/// A projection of the hidden state to one number: w·h + b.
struct scalar_head {
  at::Tensor weight;  ///< [1, H] fp32
  at::Tensor bias;    ///< [1] fp32
  bool defined() const { return weight.defined(); }
};

/// Several roles over one base: policy, reference, reward and value model are adapters (and scalar heads) over weights
/// that are stored once (SALMON §4.1.2). A role is the base itself, the base with a LoRA adapter or, for full
/// fine-tuning of small models, a separate copy; code that runs a role does not see the difference.
///
/// The base may be packed as NF4 (QLoRA): then a role is the base or an adapter over it, and full copies are refused.
///
///     adapter_bank bank(std::move(base));
///     bank.add_lora("policy", {.rank = 64}, coho::rng{seed});
///     bank.train("policy");
///     at::Tensor hidden = bank.hidden("policy", tokens, layout);
class adapter_bank {
 public:
  explicit adapter_bank(llama_weights base);

  const llama_config& config() const { return base_.config; }
  const llama_weights& base() const { return base_; }
  at::Device device() const { return base_.embedding.device(); }

  /// The unchanged base.
  void add_base(const std::string& role);
  /// The base with a fresh adapter (B = 0).
  void add_lora(const std::string& role, const lora_options& options, rng random);
  /// The base with a given adapter.
  void add_lora(const std::string& role, lora_adapter adapter);
  /// A copy of the base's weights, in fp32. Throws argument_error when the base is packed.
  void add_full(const std::string& role);
  /// Separate weights, of the base's shape.
  void add_full(const std::string& role, llama_weights weights);
  /// A copy of another role, including adapter, separate weights and head. Frozen until `train`.
  void copy(const std::string& from, const std::string& to);
  /// Stores the adapter of a role that will not be trained in the base's compute type: half the memory under bf16. Make
  /// copies that will be trained before. Throws argument_error if the role is trained.
  void freeze(const std::string& role);
  /// A scalar head of zeros.
  void add_head(const std::string& role);
  /// A given scalar head, copied: weight of H numbers, bias of one. Throws argument_error if the role is trained.
  void set_head(const std::string& role, const at::Tensor& weight, const at::Tensor& bias);
  /// Frees the role and what only it holds.
  void remove(const std::string& role);
  bool has(const std::string& role) const { return roles_.contains(role); }

  /// What forward passes with gradients keep; `selective` by default.
  void set_recomputation(recomputation kind) { recompute_ = kind; }
  /// The generator of the adapters' dropout.
  void set_dropout_random(rng random) { dropout_random_ = random; }

  /// Makes the role's own tensors (adapter or weights, and head) trainable, once.
  parameter_set& train(const std::string& role);
  /// The tensors of a role that is trained; argument_error for a frozen one.
  parameter_set& parameters(const std::string& role);

  /// Final-norm hidden states [N, H]; see llama_model::hidden.
  at::Tensor hidden(const std::string& role, const at::Tensor& tokens, const sequence_layout& layout,
                    kv_cache* cache = nullptr, std::span<const std::int64_t> slots = {});
  /// For sequences that share prefixes, no gradient; see llama_model.
  at::Tensor hidden(const std::string& role, const at::Tensor& tokens, const prefix_layout& layout,
                    const prefix_cache* prefix = nullptr, kv_cache* cache = nullptr,
                    std::span<const std::int64_t> slots = {});
  /// Keys and values of one token sequence under the role's current weights; see llama_model.
  prefix_cache prefix(const std::string& role, const at::Tensor& tokens);
  /// One decoding step; see llama_model.
  at::Tensor decode(const std::string& role, const at::Tensor& tokens, std::span<const std::int64_t> positions,
                    kv_cache& cache, const prefix_cache* prefix = nullptr);
  /// Changes whenever the role's weights may have changed, so that results computed from them can be kept while it is
  /// the same. Nothing for a role that is trained, whose weights change at any time.
  std::optional<std::uint64_t> revision(const std::string& role) const;
  /// The role's scalar head over hidden states: [N].
  at::Tensor scalar_output(const std::string& role, const at::Tensor& hidden) const;
  /// The language-model head [V, H] of the role.
  const at::Tensor& head(const std::string& role) const;

  /// What the bank stores for a role.
  struct role_state {
    llama_weights weights;  ///< shares the base's storage unless `full`
    lora_adapter adapter;
    scalar_head head;
    bool full = false;
    std::unique_ptr<parameter_set> parameters;
    std::uint64_t revision = 0;
  };
  /// Throws argument_error for an unknown role, as do all members that take one.
  const role_state& at(const std::string& role) const;
  /// The role for a caller that changes its tensors or options: starts a new revision.
  role_state& modify(const std::string& role);

  /// Bytes of all distinct storages of the bank: shared ones count once.
  std::int64_t bytes() const;

 private:
  // A new role with the base's weights; argument_error if the name is taken.
  role_state& add(const std::string& role);

  llama_weights base_;
  llama_model model_;
  recomputation recompute_ = recomputation::selective;
  rng dropout_random_{0};
  std::uint64_t revisions_ = 0;
  std::map<std::string, role_state> roles_;
};

}  // namespace coho::trainer
