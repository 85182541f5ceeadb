#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "adapters/lora.hpp"
#include "architecture/config.hpp"
#include "architecture/linear_kind.hpp"
#include "architecture/storage_types.hpp"
#include "config/config.hpp"
#include "decoder/recomputation.hpp"

namespace coho::trainer {

/// The section `model`, before anything is loaded.
struct model_settings {
  std::filesystem::path path;    ///< folder of a checkpoint; with `random_weights` only its shape is used
  std::filesystem::path config;  ///< `model.config`: a config.json, or the name of a shipped shape (llama-2-70b)
  compute_type compute = compute_type::float32;
  base_storage base = base_storage::float32;
  recomputation recompute = recomputation::selective;
  bool random_weights = false;
};

/// `model.path`, `.config`, `.dtype`, `.quantize` ("none", "nf4"), `.double_quantize`, `.recompute` ("none",
/// "selective", "full") and `.random_weights`. Throws `config_error`; without random weights `model.path` must be
/// given.
model_settings read_model_settings(const config& options);

/// The model's shape: `model.config` when given, else config.json in `model.path`, else a shipped shape of that
/// folder's name. Nothing if there is none; `file_error` when `model.config` names nothing or the file cannot be
/// used. Opens no weights.
std::optional<llama_config> find_model_config(const model_settings& settings);

/// The section `adapter`.
struct adapter_settings {
  bool full = false;  ///< the role has its own weights instead of an adapter
  lora_options lora{};

  /// Of an adapter of so many blocks that it makes; none for `full`.
  std::vector<linear_ranks> ranks(std::int64_t blocks) const;
};

/// Of an adapter in a folder, from its adapter_config.json only. Where that restricts the targeted linears by more
/// than their names, all linears are taken: it is never less than what will be loaded. Throws `file_error`.
std::vector<linear_ranks> ranks_of_adapter(const std::filesystem::path& directory, std::int64_t blocks);

/// `adapter.kind` ("lora", "full"), `.rank`, `.alpha`, `.rslora`, `.dropout`, `.targets`, and `.rank_pattern`,
/// `.alpha_pattern`, lists of "pattern=number" for modules with their own rank or α. Throws `config_error`,
/// `option_error`.
adapter_settings read_adapter_settings(const config& options);

}  // namespace coho::trainer
