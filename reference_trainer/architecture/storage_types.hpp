#pragma once

#include <array>

namespace coho::trainer {

/// How the seven linears of every block are stored. Embedding, head and norms are always stored in the compute type.
enum class base_storage { float32, bfloat16, nf4, nf4_double };
/// The type of the model's arithmetic.
enum class compute_type { float32, bfloat16 };
/// The spelling of recipes.
constexpr auto option_names(compute_type) { return std::array{"float32", "bfloat16"}; }

}  // namespace coho::trainer
