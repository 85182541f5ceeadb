#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <ATen/ATen.h>

#include <coho/options.hpp>
#include <coho/rng.hpp>

#include "decoder/weights.hpp"

namespace coho::trainer {

/// Low-rank adapters (Hu et al. 2021): y = W x + s · B (A x), A [r, in], B [out, r], s = α/r, or α/√r with rslora.
struct lora_options {
  /// Up to more than any linear of a model has rows: what is above is a slip, and overflows the sizes of a plan.
  static constexpr option_range allowed_ranks = allowed::in(1, 65536);

  std::int64_t rank = 64;
  double alpha = 16.0;
  bool use_rslora = false;
  double dropout = 0.0;  ///< fraction of the adapter's inputs that is dropped while it trains
  /// Ranks and alphas of individual modules, by a regular expression for the end of the module's path ("mlp.down_proj",
  /// "layers.0..*"); the first match applies.
  std::vector<std::pair<std::string, std::int64_t>> rank_pattern{};
  std::vector<std::pair<std::string, double>> alpha_pattern{};
  std::set<linear_kind> targets{linear_kind::q,    linear_kind::k,  linear_kind::v,   linear_kind::o,
                                linear_kind::gate, linear_kind::up, linear_kind::down};

  /// The rank of the module with this path ("model.layers.0.self_attn.q_proj").
  std::int64_t module_rank(std::string_view path) const;
  double module_alpha(std::string_view path) const;
  /// α/r of the module, or α/√r with rslora.
  double module_scale(std::string_view path) const;
  /// The options of a recipe: without patterns and targets, which have special forms in a recipe.
  static void describe(auto&& visit, auto&... o) {
    visit({"rank", "rank r of each adapted linear", allowed_ranks}, o.rank...);
    visit({"alpha", "α: an adapter's output is scaled by α/r", allowed::above(0)}, o.alpha...);
    visit({"rslora", "whether the output is scaled by α/√r instead"}, o.use_rslora...);
    visit({"dropout", "fraction of the adapter's inputs that is dropped in training", allowed::in_from(0, 1)},
          o.dropout...);
  }
  /// Throws option_error naming the option.
  void validate() const;
};

/// One linear's pair of matrices. Undefined tensors if the linear has no adapter.
struct lora_pair {
  at::Tensor a, b;
  double scale = 1.0;
  bool defined() const { return a.defined(); }
};

/// Adapters of all blocks of one model.
class lora_adapter {
 public:
  lora_adapter() = default;
  /// A Kaiming-uniform(√5), that is U(−1/√in, 1/√in); B zero, so that a fresh adapter changes nothing.
  lora_adapter(const llama_weights& base, const lora_options& options, rng random);

  /// The matrices of one linear; undefined if it is not adapted.
  const lora_pair& pair(std::size_t block, linear_kind kind) const {
    return pairs_[block * linear_kinds + static_cast<std::size_t>(kind)];
  }
  bool empty() const { return pairs_.empty(); }
  const lora_options& options() const { return options_; }
  /// For adapters whose matrices were set individually.
  void set_options(const lora_options& options) { options_ = options; }
  void set_dropout(double probability) { options_.dropout = probability; }

  /// Calls visit(path, pair&) for each adapted linear; path is for example "model.layers.0.self_attn.q_proj".
  template <class Visitor>
  void visit(Visitor&& visitor) {
    for (std::size_t i = 0; i < pairs_.size(); ++i) {
      if (pairs_[i].defined()) visitor(module_path(i), pairs_[i]);
    }
  }

  /// Replaces the named linear's matrices with the given A and B (any floating type); both must match the base's
  /// shapes, otherwise argument_error.
  void set_pair(const llama_weights& base, const std::string& path, const at::Tensor& a, const at::Tensor& b,
                double scale);
  /// A copy with storage of its own.
  lora_adapter clone() const;
  /// base + scale · B A for each adapted linear, as new weights; a packed base is unpacked to its embedding's type.
  llama_weights merge(const llama_weights& base) const;

 private:
  // The path of the pair at an index, as checkpoints name it.
  static std::string module_path(std::size_t index) {
    return "model.layers." + std::to_string(index / linear_kinds) + "." +
           linear_path(static_cast<linear_kind>(index % linear_kinds));
  }

  lora_options options_;
  std::vector<lora_pair> pairs_;
};

}  // namespace coho::trainer
