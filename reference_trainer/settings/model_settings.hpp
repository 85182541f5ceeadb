#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "adapters/lora.hpp"
#include "architecture/config.hpp"
#include "architecture/linear_kind.hpp"
#include "architecture/storage_types.hpp"
#include "config/config.hpp"
#include "config/option_list.hpp"
#include "decoder/recomputation.hpp"

namespace coho::trainer {

/// How the linears of a base are packed.
enum class packing { none, nf4 };
constexpr auto option_names(packing) { return std::array{"none", "nf4"}; }

/// The section `model`, before anything is loaded.
struct model_settings {
  std::filesystem::path path;    ///< folder of a checkpoint; with `random_weights` only its shape is used
  std::filesystem::path config;  ///< `model.config`: a config.json, or the name of a shipped shape (llama-2-70b)
  compute_type compute = compute_type::float32;
  base_storage base = base_storage::float32;
  recomputation recompute = recomputation::selective;
  bool random_weights = false;
  packing quantize = packing::none;
  bool double_quantize = true;

  static void describe(auto&& visit, auto&... o) {
    visit(otherwise("required", {"path", path_meaning}), o.path...);
    visit({"config", "shape of the model: a config.json, or the name of a shipped shape; none: that of path"},
          o.config...);
    visit({"dtype", "type of the weights and of the computation"}, o.compute...);
    visit({"quantize", "how the linear layers are packed"}, o.quantize...);
    visit({"double_quantize", "whether the scales of NF4 are packed too"}, o.double_quantize...);
    visit({"recompute", "which activations the backward pass computes again, to save memory"}, o.recompute...);
    visit({"random_weights", "whether to measure with random weights of the model's shape; path is then optional"},
          o.random_weights...);
  }
  /// Sets `base`. Throws `config_error` without a path, unless the weights are random and the shape is given.
  void resolve(const coho::trainer::config& section);

  static constexpr std::string_view path_meaning = "folder of the base model";
};
/// The section `model`. Throws config_error.
model_settings read_model_settings(const config& options);

/// The key `model.adapter`, of stages with a role that may start from an adapter.
struct starting_adapter {
  std::filesystem::path adapter{};

  static void describe(auto&& visit, auto&... o) {
    visit({"adapter", "folder of an adapter or of a trained model to start from; none: the base"}, o.adapter...);
  }
};
/// The folder in `model.adapter`; empty: the role starts from the base.
std::filesystem::path read_starting_adapter(const config& options);

/// The section `model` of a stage with such a role, or without.
option_section model_section(bool with_adapter = false);

/// The file of the shipped shape that a path is named after, as "llama-2-70b" and "models/llama-2-70b/"; nothing where
/// none has that name.
std::optional<std::filesystem::path> shipped_shape(const std::filesystem::path& path);

/// The model's shape: `model.config` when given, else config.json in `model.path`, else a shipped shape of that
/// folder's name. Nothing if there is none; `file_error` when `model.config` names nothing or the file cannot be
/// used. Opens no weights.
std::optional<llama_config> find_model_config(const model_settings& settings);

/// What is trained of a role that starts from the base.
enum class trained_weights { lora, full };
constexpr auto option_names(trained_weights) { return std::array{"lora", "full"}; }

/// The section `adapter`.
struct adapter_settings {
  bool full = false;  ///< the role has its own weights instead of an adapter
  lora_options lora{};
  trained_weights kind = trained_weights::lora;
  std::vector<std::string> targets = all_targets();
  std::vector<std::string> rank_pattern{}, alpha_pattern{};

  /// The names of all seven linears of a block, which is what a recipe without `targets` adapts.
  static std::vector<std::string> all_targets();
  static void describe(auto&& visit, auto&... o) {
    visit({"kind", "what is trained of a role: an adapter, or all its weights"}, o.kind...);
    lora_options::describe(visit, o.lora...);
    visit({"targets", "linear layers of a block that have an adapter"}, o.targets...);
    visit({"rank_pattern",
           "ranks of single modules: a list of \"pattern=number\", the pattern a regular expression for the end of a "
           "module's "
           "path"},
          o.rank_pattern...);
    visit({"alpha_pattern", "α of single modules, in the form of rank_pattern"}, o.alpha_pattern...);
  }
  /// Sets `full` and the rest of `lora`. Throws `config_error`, also for keys of an adapter where whole weights are
  /// trained, and `option_error`.
  void resolve(const config& section);

  /// The rank of each linear of a new adapter over so many blocks, 0 where it is not adapted; empty for `full`.
  std::vector<linear_ranks> ranks(std::int64_t blocks) const;
};

/// The same of an adapter in a folder, from its adapter_config.json only. Where that restricts the targeted linears by
/// more than their names, all linears are taken: it is never less than what will be loaded. Throws `file_error`.
std::vector<linear_ranks> read_adapter_ranks(const std::filesystem::path& directory, std::int64_t blocks);

/// The section `adapter`. Throws config_error, option_error.
adapter_settings read_adapter_settings(const config& options);

}  // namespace coho::trainer
