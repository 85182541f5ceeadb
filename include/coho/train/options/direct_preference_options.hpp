#pragma once

#include <cstddef>
#include <cstdint>

#include <coho/optimization/data_order.hpp>
#include <coho/optimization/learning_rate_schedule.hpp>
#include <coho/rollout/micro_batch.hpp>
#include <coho/train/options/fit_options.hpp>

namespace coho::inline v0_1 {

struct direct_preference_options {
  learning_rate_options learning_rate{.peak = 5e-7};
  std::size_t batch_size = 64;  ///< examples per optimizer step, over all ranks
  batch_limits micro_batch{};   ///< what one forward may hold; `sequences` counts examples, two responses each
  std::uint64_t epochs = 1;
  double gradient_norm_clip = 1;  ///< 0: off
  bool shuffle = true;
  std::uint64_t seed = 0;

  static void describe(auto&& visit, auto&... o) { detail::describe_fit_options(visit, "examples", o...); }
};

struct direct_preference_statistics {
  std::uint64_t step = 0, epoch = 0;
  double loss = 0;
  double accuracy = 0;           ///< fraction of examples whose implicit rewards are ordered like the labels
  double reward_difference = 0;  ///< mean difference of the implicit rewards
  /// Mean log π of whole responses, nats, over the responses present in examples of weight > 0.
  double chosen_log_prob = 0, rejected_log_prob = 0;
  double kl_baseline = 0;  ///< of KTO
  double examples = 0;     ///< over all ranks
  double tokens = 0;       ///< of all responses, over all ranks
  double gradient_norm = 0, learning_rate = 0, seconds = 0;
};

using direct_preference_state = data_position;

}  // namespace coho::inline v0_1
