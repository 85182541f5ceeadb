#include "rollouts/ppo_log.hpp"

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <span>

#include "observe/format.hpp"

namespace coho::trainer {
namespace {

// Over all ranks: all tokens, and the slowest rank's seconds.
struct total_work {
  ppo_phases tokens, seconds;
};

// Collective.
total_work gather_work(const ppo_statistics& s, process_group& ranks) {
  const double mine[] = {s.phase_tokens.generation, s.phase_tokens.update, s.phase_seconds.generation,
                         s.phase_seconds.update};
  const auto all = ranks.all_gather(std::span<const double>(mine));
  total_work out;
  for (std::size_t r = 0; r < all.size(); r += std::size(mine)) {
    out.tokens.generation += all[r];
    out.tokens.update += all[r + 1];
    out.seconds.generation = std::max(out.seconds.generation, all[r + 2]);
    out.seconds.update = std::max(out.seconds.update, all[r + 3]);
  }
  return out;
}

// Writes the step's scalars.
void log_step(metrics_log& log, const ppo_statistics& s, const total_work& work, const reward_parts& parts) {
  for (const auto& [name, mean] : parts.means()) log.add_scalar(name, static_cast<std::int64_t>(s.step), mean);
  log.add_scalars(static_cast<std::int64_t>(s.step), {{"reward", s.reward_mean},
                                                      {"score", s.score_mean},
                                                      {"shaped_reward", s.shaped_reward_mean},
                                                      {"kl", s.kl_sequence},
                                                      {"kl_token", s.kl_token},
                                                      {"kl_coefficient", s.kl_coefficient},
                                                      {"length", s.length_mean},
                                                      {"unfinished", s.unfinished},
                                                      {"empty", s.empty},
                                                      {"entropy", s.entropy},
                                                      {"policy_loss", s.policy_loss},
                                                      {"value_loss", s.value_loss},
                                                      {"clip_fraction", s.clip_fraction},
                                                      {"value_clip_fraction", s.value_clip_fraction},
                                                      {"approximate_kl", s.approximate_kl},
                                                      {"explained_variance", s.explained_variance},
                                                      {"gradient_norm", s.gradient_norm},
                                                      {"learning_rate", s.learning_rate},
                                                      {"first_ratio_deviation", s.first_ratio_deviation},
                                                      {"sampler_difference_max", s.sampler_difference_max},
                                                      {"seconds_generation", s.phase_seconds.generation},
                                                      {"seconds_update", s.phase_seconds.update},
                                                      {"seconds", s.phase_seconds.total()}});
  log.add_scalars(static_cast<std::int64_t>(s.step),
                  {{"generated_tokens_per_second", work.tokens.generation / work.seconds.generation},
                   {"trained_tokens_per_second", work.tokens.update / work.seconds.update}});
}

}  // namespace

std::string log_ppo_step(const ppo_statistics& s, const reward_parts& parts, metrics_log& log, progress& bar,
                         process_group& ranks) {
  const total_work work = gather_work(s, ranks);
  log_step(log, s, work, parts);
  bar.count("generated", work.tokens.generation);
  bar.count("trained", work.tokens.update);
  return "reward " + format_number(s.reward_mean, 2) + " kl " + format_number(s.kl_sequence, 2) + " length " +
         format_number(s.length_mean, 1) + (s.empty > 0 ? " empty " + format_number(100 * s.empty, 0) + " %" : "");
}

}  // namespace coho::trainer
