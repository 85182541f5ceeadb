#pragma once

#include <cstdint>
#include <vector>

#include "architecture/config.hpp"

namespace coho::trainer {

/// What a rotary table is made of: cos and sin of position · inverse_frequencies[j], both times `attention_scale`.
struct rope_table {
  std::vector<float> inverse_frequencies;  ///< head_dim / 2 numbers
  double attention_scale = 1.0;
};

/// Inverse frequencies of the rotary embedding, f_j = θ^(−2j/D) for j = 0 … D/2 − 1, changed by the scaling type:
///
/// * linear: f_j / s (position interpolation, Chen et al. 2023);
/// * dynamic: θ ← θ · (s·L/M − (s − 1))^(D/(D−2)) when the sequence length L exceeds the trained context M, so that the
///   table depends on `sequence_length`;
/// * llama3: f_j / s for wavelengths above M/low_freq_factor, f_j for those below M/high_freq_factor, a linear blend
///   between them (Llama 3 technical report, 2024);
/// * yarn: a blend by dimension of f_j / s and f_j between the dimensions that turn `beta_fast` and `beta_slow` times
///   within M; cos and sin are multiplied by 0.1·ln(s) + 1 (Peng et al. 2023, §3).
///
/// `sequence_length` is the longest position plus one that will be asked for; only `dynamic` reads it.
///
///     const auto table = coho::trainer::make_rope_table(config);
///     table.inverse_frequencies[0];  // 1
rope_table make_rope_table(const llama_config& config, std::int64_t sequence_length = 0);

}  // namespace coho::trainer
