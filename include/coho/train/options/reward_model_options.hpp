#pragma once

#include <cstddef>
#include <cstdint>

#include <coho/loss/bradley_terry.hpp>
#include <coho/optimization/data_order.hpp>
#include <coho/optimization/learning_rate_schedule.hpp>
#include <coho/rollout/micro_batch.hpp>
#include <coho/train/options/fit_options.hpp>

namespace coho::inline v0_1 {

struct reward_model_options {
  learning_rate_options learning_rate{};
  bradley_terry_options loss{};
  std::size_t batch_size = 64;  ///< pairs per optimizer step, over all ranks
  batch_limits micro_batch{};   ///< what one forward may hold; `sequences` counts pairs
  std::uint64_t epochs = 1;
  double gradient_norm_clip = 1;  ///< 0: off
  bool shuffle = true;
  std::uint64_t seed = 0;

  static void describe(auto&& visit, auto&... o) {
    detail::describe_fit_options(visit, "pairs", o...);
    visit({"loss", "of pairs"}, o.loss...);
  }
};

struct reward_model_statistics {
  std::uint64_t step = 0, epoch = 0;
  double loss = 0;
  double accuracy = 0;  ///< share of pairs with the chosen answer scored higher; equal scores and ties count one half
  double score_difference = 0;  ///< mean of the scores, chosen − rejected, times 2·target − 1
  double score = 0;             ///< mean score of all answers
  double pairs = 0;             ///< over all ranks
  double gradient_norm = 0, learning_rate = 0, seconds = 0;
};

using reward_model_state = data_position;

}  // namespace coho::inline v0_1
