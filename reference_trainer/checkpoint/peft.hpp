#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <ATen/ATen.h>

#include "architecture/config.hpp"

namespace coho::trainer {

/// The two factors of one adapted linear: its output gains scale · B (A x).
struct lora_matrices {
  at::Tensor a;  ///< [r, in]
  at::Tensor b;  ///< [out, r]
};

/// A LoRA adapter as the PEFT library stores it, with the scalar head if it is a reward model.
struct lora_weights {
  std::map<std::string, lora_matrices> modules;  ///< by module path: "model.layers.0.self_attn.q_proj"
  // The defaults are PEFT's, which apply to fields absent from the file.
  std::int64_t rank = 8;
  double alpha = 8.0;
  double dropout = 0.0;     ///< of the adapter's inputs while it trains
  bool use_rslora = false;  ///< scale by α/√r instead of α/r
  /// Ranks and alphas of individual modules, by a regular expression for the end of the module's path; the first match
  /// applies.
  std::vector<std::pair<std::string, std::int64_t>> rank_pattern;
  std::vector<std::pair<std::string, double>> alpha_pattern;
  /// Suffixes of the paths of adapted linears. If empty, the full paths of `modules` are written. Read as empty if the
  /// file restricts the names further (to some layers).
  std::vector<std::string> target_modules;
  std::string target_pattern;  ///< one regular expression for whole paths instead of the names, or "all-linear"
  std::string base_model;      ///< `base_model_name_or_path`
  at::Tensor head_weight;      ///< `score.weight` [1, H], or undefined
  at::Tensor head_bias;        ///< `score.bias` [1], or undefined

  bool has_head() const { return head_weight.defined(); }
  /// The rank of a module: that of the first pattern that matches its path, or the adapter's.
  std::int64_t module_rank(std::string_view module) const;
  /// α/r of the module, or α/√r with rank-stabilised LoRA.
  double module_scale(std::string_view module) const;
};

/// Reads `adapter_config.json` and `adapter_model.safetensors` from a directory, or from its sub-directory `name` for
/// adapters not named "default". Keys may or may not contain the adapter's name; matrices are returned as fp32. Throws
/// `file_error` for methods other than LoRA, for variants that change the base, its biases or the product itself (DoRA,
/// PiSSA, aLoRA, …), for incomplete pairs, and for matrices whose rank differs from the configuration.
///
///     const auto adapter = coho::trainer::read_peft("sft-adapter");
///     adapter.modules.at("model.layers.0.self_attn.q_proj").a.sizes();  // [64, 4096]
lora_weights read_peft(const std::filesystem::path& directory, const std::string& name = "default");

/// The content of `adapter_config.json`, without matrices and head: opens no weights. Throws `file_error` like
/// `read_peft`.
lora_weights read_peft_config(const std::filesystem::path& directory, const std::string& name = "default");

/// Writes an adapter that `read_peft` and PEFT read: fp32, no adapter name in the keys. A head is written to the
/// `modules_to_save` (task type SEQ_CLS), its bias only if it is not zero: PEFT's own head has none.
void write_peft(const std::filesystem::path& directory, const lora_weights& adapter,
                const std::string& name = "default");

/// Checks that each module is a linear of the model, that its matrices match, and that every targeted linear has
/// matrices. Throws `file_error` naming the module; `path` is used in messages only.
void check_lora_shapes(const lora_weights& adapter, const llama_config& config, std::string_view path);

}  // namespace coho::trainer
