#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "architecture/module_pattern.hpp"
#include "checkpoint/peft.hpp"

namespace coho::trainer {

/// Whether the adapter's configuration targets the linear at this path: by the last parts of paths that
/// `target_modules` lists, or by the expression of `target_pattern`.
bool is_target(const lora_weights& adapter, std::string_view module);

/// Sets rank, alpha, their patterns and the target modules from the adapter's matrices and the scales of its modules,
/// for a model with the given number of layers. The most common rank and alpha become the adapter's; others get a
/// pattern: one for all linears of a name if they agree, otherwise one for each. A name that is not adapted in every
/// layer is listed by full paths, because PEFT would otherwise create new matrices in the other layers. `use_rslora`
/// decides how alpha follows from a scale.
void infer_lora_config(lora_weights& adapter, const std::map<std::string, double>& scales, std::int64_t layers);

}  // namespace coho::trainer
