#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <coho/concepts.hpp>
#include <coho/error.hpp>
#include <coho/loss/ppo_clip.hpp>
#include <coho/loss/value_clip.hpp>
#include <coho/optimization/learning_rate_schedule.hpp>
#include <coho/rollout/trajectory.hpp>
#include <coho/train/options/ppo_options.hpp>
#include <coho/train/steps/callbacks.hpp>
#include <coho/train/steps/collect_rollouts.hpp>
#include <coho/train/steps/estimate_advantages.hpp>
#include <coho/train/steps/gather_rollouts.hpp>
#include <coho/train/steps/loops.hpp>
#include <coho/train/steps/policy_components.hpp>
#include <coho/train/steps/policy_update.hpp>
#include <coho/train/steps/ppo_models.hpp>
#include <coho/train/steps/ppo_statistics.hpp>
#include <coho/train/steps/stopwatch.hpp>

namespace coho {

/// Proximal policy optimisation of a language model against a reward model (Schulman et al. 2017; SALMON §3.1, eq. 2):
///
///     maximise  E[ r(x, y) − β Σ_t (log π(y_t | x, y_<t) − log π_ref(y_t | x, y_<t)) ]
///
/// A step samples a response to each prompt, evaluates policy, reference, values and rewards once, shapes token
/// rewards, estimates and whitens advantages over all ranks, and makes `epochs` passes of clipped updates over shuffled
/// minibatches. A minibatch's losses are normalised by its tokens over all micro-batches and ranks.
///
/// The policy loss, the value loss, the advantage estimator and the KL controller are those of the options unless
/// `components` brings others.
///
/// Several ranks, with scope `global`: each samples and evaluates its prompts, then all have all rollouts, and each
/// works on its shares of every minibatch. Advantages, losses and statistics are those of one process.
///
/// Deterministic in (seed, step, keys): independent of the order of the prompts, of micro-batches and, with scope
/// `global`, of the number of ranks, up to the order of summation, and to the bit for a given number of shares. The
/// models are held by reference.
///
/// Throws `option_error` on construction; `argument_error` for prompts or model outputs that do not fit or are not
/// finite; `error` when a gradient is not finite (that minibatch is not applied). A step that throws does not count.
///
///     coho::ppo_models models{.policy = policy, .reference = initial, .value = value, .reward = reward, .optimizer =
///     adam}; coho::ppo_trainer trainer{models, coho::ppo_options{.epochs = 2}}; coho::ppo_statistics statistics =
///     trainer.step(prompts);
template <class Models, class Components = ppo_components<>>
class ppo_trainer {
  static_assert(detail::require_ppo_models<Models>());

 public:
  explicit ppo_trainer(Models models, ppo_options options = {}, Components components = {})
      : models_(models),
        options_((options.validate(), std::move(options))),
        rate_(options_.learning_rate),
        advantage_(
            detail::component_or(std::move(components.advantage), [&] { return detail::bound_gae{options_.gae}; })),
        controller_(detail::component_or(
            std::move(components.kl_controller),
            [&] { return configured_kl_controller(options_.shaping.kl_coefficient, options_.adaptive_kl); })),
        update_(models_, options_,
                detail::component_or(std::move(components.policy_loss),
                                     [&] { return ppo_clip_loss(options_.policy_clip); }),
                detail::component_or(std::move(components.value_loss),
                                     [&] { return value_clip_loss(options_.value_clip); })) {}

  /// One PPO step over this rank's prompts. Every rank must call it; with scope `each_rank` each with at least one
  /// prompt, else a rank may have none. `part_of_rank` cuts prompts that all ranks know.
  template <class... Callbacks>
  ppo_statistics step(std::span<const rl_prompt> prompts, Callbacks&&... callbacks) {
    static_assert(
        (detail::require_callback<Callbacks, ppo_statistics, minibatch_statistics, trajectory_batch>() && ...));
    const bool together = options_.scope == minibatch_scope::global;
    require_argument(!prompts.empty() || (together && models_.ranks.size() > 1),
                     "a PPO step needs at least one prompt");
    notify::step_begin(step_, callbacks...);
    ppo_statistics out{.step = step_, .kl_coefficient = kl_coefficient(), .learning_rate = rate_(step_)};
    trajectory_batch rollouts = together ? detail::collect_shares(models_, prompts, options_, step_, out)
                                         : collect_rollouts(models_, prompts, options_, step_, out);
    detail::stopwatch watch;
    const auto evaluate = [&](auto& ranks) {
      estimate_advantages(rollouts, options_, out.kl_coefficient, ranks, advantage_);
      detail::describe_rollouts(rollouts, ranks, out);
    };
    if (together) {
      rollouts = gather_rollouts(std::move(rollouts), models_.ranks);
      require_argument(rollouts.size() > 0, "a PPO step needs at least one prompt");
      check_prompts(detail::span_of(std::as_const(rollouts.prompts)));
      evaluate(local);
    } else {
      evaluate(models_.ranks);
    }
    notify::rollouts(rollouts, callbacks...);
    update_(rollouts, detail::all_indices(rollouts.size()), step_, out, callbacks...);
    out.phase_seconds.update += watch.lap();
    controller_.update(out.kl_sequence, out.sequences);
    ++step_;
    notify::step_end(out, callbacks...);
    return out;
  }

  /// Steps until `steps` have been made in all (those before a `restore` included) or a callback requests a stop.
  /// `source(step)` returns the prompts of a step as a contiguous range of rl_prompt.
  template <class Source, class... Callbacks>
  std::vector<ppo_statistics> run(Source&& source, std::uint64_t steps, Callbacks&&... callbacks) {
    return detail::run_steps(*this, models_.ranks, source, step_, steps, callbacks...);
  }

  /// β of the next step.
  double kl_coefficient() const { return static_cast<double>(controller_.coefficient()); }
  const ppo_options& options() const noexcept { return options_; }

  ppo_state save() const { return {step_, options_.seed, controller_.save()}; }
  /// Throws `argument_error` for a state of another seed: the run would not be the same.
  void restore(const ppo_state& saved) {
    detail::require_seed(saved.seed, options_.seed);
    controller_.restore(saved.kl);
    step_ = saved.step;
  }

 private:
  using policy_loss_type = detail::component_t<decltype(Components::policy_loss), ppo_clip_loss>;
  using value_loss_type = detail::component_t<decltype(Components::value_loss), value_clip_loss>;
  using advantage_type = detail::component_t<decltype(Components::advantage), detail::bound_gae>;
  using controller_type = detail::component_t<decltype(Components::kl_controller), configured_kl_controller>;
  static_assert(require_policy_loss<policy_loss_type>());
  static_assert(require_value_loss<value_loss_type>());
  static_assert(require_advantage_estimator<advantage_type>());
  static_assert(require_kl_controller<controller_type>());

  Models models_;
  ppo_options options_;
  learning_rate_schedule rate_;
  advantage_type advantage_;
  controller_type controller_;
  detail::policy_update<Models, policy_loss_type, value_loss_type> update_;
  std::uint64_t step_ = 0;
};

}  // namespace coho
