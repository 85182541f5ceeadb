#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "architecture/module_pattern.hpp"
#include "checkpoint/peft.hpp"

namespace coho::trainer {

/// Whether the adapter's configuration says that it adapts the linear of this path: by the last parts of paths that
/// `target_modules` lists, or by the expression of `target_pattern`.
bool is_target(const lora_weights& adapter, std::string_view module);

/// Sets rank, alpha, their patterns and the target modules from the adapter's matrices and the scales of its modules,
/// for a model of so many layers. The commonest rank and alpha are the adapter's; what differs gets a pattern: one for
/// all linears of a name where they agree, else one for each. A name that not every layer has among the modules is
/// listed by full paths, for PEFT would make fresh matrices in the others. `use_rslora` says how alpha follows from a
/// scale.
void describe_modules(lora_weights& adapter, const std::map<std::string, double>& scales, std::int64_t layers);

}  // namespace coho::trainer
