#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <coho/concepts.hpp>
#include <coho/detail/if_called.hpp>
#include <coho/detail/span_of.hpp>
#include <coho/error.hpp>
#include <coho/optimization/data_order.hpp>
#include <coho/parallel/shards.hpp>
#include <coho/rollout/trajectory.hpp>
#include <coho/train/steps/callbacks.hpp>

/// The outer loops that trainers share. For authors of drivers.
namespace coho::inline v0_1::detail {

/// 0, 1, …, count − 1.
template <class = detail::if_called>
std::vector<std::size_t> all_indices(std::size_t count) {
  std::vector<std::size_t> out(count);
  std::iota(out.begin(), out.end(), std::size_t{0});
  return out;
}

/// The remaining steps of `epochs` passes over `size` examples, the same on all ranks. `step(batch, epoch)` makes
/// one with the examples at these indices, of all ranks, and returns its statistics. Ends early when a callback
/// requests it.
template <class Options, class Communicator, class Step, class... Callbacks>
auto fit_source(std::size_t size, const Options& options, const std::uint64_t& steps_done, Communicator& ranks,
                Step step, Callbacks&... callbacks) {
  data_order order(size, options.batch_size, options.seed, options.shuffle);
  std::vector<decltype(step(std::vector<std::size_t>(), std::uint64_t{}))> history;
  const std::uint64_t end = options.epochs * order.steps_per_epoch();
  while (steps_done < end) {
    history.push_back(step(order.batch(steps_done, 0, 1), steps_done / order.steps_per_epoch()));
    if (notify::stop_requested(ranks, callbacks...)) break;
  }
  return history;
}

/// A batch whose examples are not loaded yet: the assignment to shards, and the indices that this rank has to load,
/// to which the shards refer.
struct loading_plan {
  work_plan work;
  std::vector<std::size_t> mine;
};
/// The plan of a batch of indices: shards of equal numbers of examples, since their lengths are not known yet.
template <class Communicator>
loading_plan plan_loading(const std::vector<std::size_t>& batch, Communicator& ranks) {
  const std::vector<std::size_t> lengths(batch.size(), 0);
  loading_plan out{partition(all_indices(batch.size()), span_of(lengths), ranks), {}};
  for (auto& shard : out.work.mine) {
    for (std::size_t& i : shard.indices) {
      out.mine.push_back(batch[i]);
      i = out.mine.size() - 1;
    }
  }
  return out;
}

/// Steps of an on-policy trainer until `steps` have been made in all or a callback requests a stop. `source(step)`
/// returns the prompts of a step as a contiguous range of rl_prompt.
template <class Trainer, class Communicator, class Source, class... Callbacks>
auto run_steps(Trainer& trainer, Communicator& ranks, Source& source, const std::uint64_t& steps_done,
               std::uint64_t steps, Callbacks&... callbacks) {
  std::vector<decltype(trainer.step(std::span<const rl_prompt>{}, callbacks...))> history;
  while (steps_done < steps) {
    const auto& prompts = source(steps_done);
    history.push_back(trainer.step(std::span<const rl_prompt>(prompts), callbacks...));
    if (notify::stop_requested(ranks, callbacks...)) break;
  }
  return history;
}

/// Throws argument_error for a saved run that had another value of an option which every later step depends on.
template <class = detail::if_called>
void require_saved_value(std::string_view name, std::uint64_t saved, std::uint64_t own) {
  require_argument(saved == own, std::string(name) + " = " + std::to_string(own) + " is not allowed: it must be " +
                                     std::to_string(saved) + ", as in the saved run");
}

/// Throws argument_error for a saved run whose data order differs: another seed or batch size.
template <class Options>
void require_same_data_order(const data_position& saved, const Options& options) {
  require_saved_value("seed", saved.seed, options.seed);
  require_saved_value("batch_size", saved.batch_size, options.batch_size);
}

}  // namespace coho::inline v0_1::detail
