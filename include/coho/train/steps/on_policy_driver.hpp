#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <coho/error.hpp>
#include <coho/optimization/learning_rate_schedule.hpp>
#include <coho/rollout/sampled_rollouts.hpp>
#include <coho/rollout/trajectory.hpp>
#include <coho/train/options/ppo_options.hpp>
#include <coho/train/steps/callbacks.hpp>
#include <coho/train/steps/loops.hpp>
#include <coho/train/steps/policy_update.hpp>
#include <coho/train/steps/ppo_statistics.hpp>
#include <coho/train/steps/stopwatch.hpp>

namespace coho::inline v0_1::detail {

/// The shared part of the on-policy drivers: the order of a step, the loop over steps, the checkpoint. `Driver` is
/// the class that inherits from it.
template <class Driver, class Models, class PolicyLoss, class ValueLoss, class Controller>
class on_policy_driver {
 public:
  /// Steps until `steps` have been made in all (those before a `restore` included) or a callback requests a stop.
  /// `source(step)` returns the prompts of a step as a contiguous range of rl_prompt.
  template <class Source, class... Callbacks>
  std::vector<ppo_statistics> run(Source&& source, std::uint64_t steps, Callbacks&&... callbacks) {
    return run_steps(static_cast<Driver&>(*this), models_.ranks, source, step_, steps, callbacks...);
  }

  /// β of the reward's KL penalty in the next step.
  double kl_coefficient() const { return static_cast<double>(controller_.coefficient()); }

  ppo_state save() const { return {step_, shared_.seed, controller_.save()}; }
  /// Throws `argument_error` for a state with another seed: it would be a different run.
  void restore(const ppo_state& saved) {
    require_saved_value("seed", saved.seed, shared_.seed);
    controller_.restore(saved.kl);
    step_ = saved.step;
  }

 protected:
  on_policy_driver(Models models, ppo_options shared, PolicyLoss policy_loss, ValueLoss value_loss,
                   Controller controller)
      : models_(models),
        shared_(std::move(shared)),
        rate_(shared_.learning_rate),
        controller_(std::move(controller)),
        update_(models_, shared_, std::move(policy_loss), std::move(value_loss)) {}

  /// A compile error for a callback without any hook of these drivers.
  template <class... Callbacks>
  static consteval bool require_callbacks() {
    return (require_callback<Callbacks, ppo_statistics, minibatch_statistics, trajectory_batch>() && ...);
  }

  /// One step. `collect(statistics)` returns this rank's evaluated rollouts; `prepare(rollouts, statistics)` fills in
  /// their advantages and the statistics, leaves the update's input in `rollouts`, calls `on_rollouts`, and
  /// returns the indices of those to learn from.
  template <class Collect, class Prepare, class... Callbacks>
  ppo_statistics run_step(Collect collect, Prepare prepare, Callbacks&... callbacks) {
    notify::step_begin(step_, callbacks...);
    ppo_statistics out{.step = step_, .kl_coefficient = kl_coefficient(), .learning_rate = rate_(step_)};
    trajectory_batch rollouts = collect(out);
    stopwatch watch;
    const std::vector<std::size_t> chosen = prepare(rollouts, out);
    update_(rollouts, chosen, step_, out, callbacks...);
    out.phase_seconds.update += watch.lap();
    controller_.update(out.kl_sequence, out.sequences);
    ++step_;
    notify::step_end(out, callbacks...);
    return out;
  }

  /// Whether minibatches are cut from the rollouts of all ranks.
  bool global_scope() const noexcept { return shared_.scope == minibatch_scope::global; }

  Models models_;
  ppo_options shared_;
  learning_rate_schedule rate_;
  Controller controller_;
  policy_update<Models, PolicyLoss, ValueLoss> update_;
  std::uint64_t step_ = 0;
};

/// Options, validated before anything is built from them.
template <class Options>
struct checked {
  Options options;
  explicit checked(Options unchecked) : options(std::move(unchecked)) { options.validate(); }
};

}  // namespace coho::inline v0_1::detail
