#include "decoder/rope.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace coho::trainer {
namespace {

/// The (fractional) dimension whose frequency turns `rotations` times within `context` positions.
double correction_dimension(double rotations, double dimensions, double theta, double context) {
  return dimensions * std::log(context / (rotations * 2 * std::numbers::pi)) / (2 * std::log(theta));
}

/// The frequencies of `llama3`, in place; see make_rope_table.
void scale_llama3(std::vector<double>& frequencies, const rope_options& rope, double context) {
  const double longest = context / rope.low_freq_factor, shortest = context / rope.high_freq_factor;
  for (auto& frequency : frequencies) {
    const double wavelength = 2 * std::numbers::pi / frequency;
    if (wavelength < shortest) continue;
    if (wavelength > longest) {
      frequency /= rope.factor;
      continue;
    }
    const double kept = (context / wavelength - rope.low_freq_factor) / (rope.high_freq_factor - rope.low_freq_factor);
    frequency *= (1 - kept) / rope.factor + kept;
  }
}

/// The frequencies of `yarn`, in place: `low` and `high` are the dimensions between which f_j and f_j / s are blended.
void scale_yarn(std::vector<double>& frequencies, const rope_options& rope, double dimensions, double context) {
  double low = correction_dimension(rope.beta_fast, dimensions, rope.theta, context);
  double high = correction_dimension(rope.beta_slow, dimensions, rope.theta, context);
  if (rope.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, dimensions - 1);
  if (low == high) high += 0.001;  // as in transformers: no division by zero below
  for (std::size_t j = 0; j < frequencies.size(); ++j) {
    const double stretched = std::clamp((static_cast<double>(j) - low) / (high - low), 0.0, 1.0);
    frequencies[j] *= stretched / rope.factor + (1 - stretched);
  }
}

/// What cos and sin are multiplied by: `attention_factor` if given, otherwise 0.1·ln(s) + 1, weighted by the two
/// mscales if both are given.
double yarn_attention_scale(const rope_options& rope) {
  if (rope.attention_factor) return *rope.attention_factor;
  const auto scale = [&](double m) { return rope.factor <= 1 ? 1.0 : 0.1 * m * std::log(rope.factor) + 1.0; };
  const double mscale = rope.mscale.value_or(0), all = rope.mscale_all_dim.value_or(0);
  return mscale != 0 && all != 0 ? scale(mscale) / scale(all) : scale(1);
}

}  // namespace

rope_table make_rope_table(const llama_config& config, std::int64_t sequence_length) {
  const auto& rope = config.rope;
  const auto dimensions = static_cast<double>(config.head_dim);
  const auto maximum = static_cast<double>(config.max_position_embeddings);
  const auto context =
      rope.original_max_position_embeddings > 0 ? static_cast<double>(rope.original_max_position_embeddings) : maximum;

  double theta = rope.theta;
  const auto length = static_cast<double>(sequence_length);
  if (rope.type == rope_type::dynamic && length > maximum && dimensions > 2) {
    theta *= std::pow(rope.factor * length / maximum - (rope.factor - 1), dimensions / (dimensions - 2));
  }
  std::vector<double> frequencies(static_cast<std::size_t>(config.head_dim / 2));
  for (std::size_t j = 0; j < frequencies.size(); ++j) {
    frequencies[j] = std::pow(theta, -2.0 * static_cast<double>(j) / dimensions);
  }

  rope_table table;
  switch (rope.type) {
    case rope_type::none:
    case rope_type::dynamic:
      break;
    case rope_type::linear:
      for (auto& frequency : frequencies) frequency /= rope.factor;
      break;
    case rope_type::llama3:
      scale_llama3(frequencies, rope, context);
      break;
    case rope_type::yarn:
      scale_yarn(frequencies, rope, dimensions, context);
      table.attention_scale = yarn_attention_scale(rope);
      break;
  }
  table.inverse_frequencies.assign(frequencies.begin(), frequencies.end());
  return table;
}

}  // namespace coho::trainer
