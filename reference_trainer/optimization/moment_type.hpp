#pragma once

#include <array>
#include <string_view>

namespace coho::trainer {

/// How the two moments are stored between steps: 8, 4 or 2.03 bytes per parameter. Parameters and gradients are always
/// fp32, and a step updates parameters with the moments before these are rounded.
///  - `bfloat16` is rounded stochastically. Rounding to nearest would stall: with β2 = 0.999 a step changes v by a
///    thousandth or less while its gradient keeps its size, and half of the gap to the next bfloat16 is two to four
///    thousandths. The random bits are a function of (step, element), so runs are bit-identical for any number of
///    threads or ranks.
///  - `eight_bit` is blockwise dynamic quantisation (Dettmers et al. 2022, "8-bit Optimizers via Block-wise
///    Quantization"), 256 elements of one tensor per block, rounded to nearest; the block's maximum is fp32, so it
///    keeps moving.
enum class moment_type { float32, bfloat16, eight_bit };
constexpr auto option_names(moment_type) { return std::array{"float32", "bfloat16", "8bit"}; }
/// "float32", "bfloat16", "8bit": the spelling of recipes.
std::string_view moment_type_name(moment_type type);
/// The type with this name; throws option_error for another.
moment_type parse_moment_type(std::string_view name);

}  // namespace coho::trainer
