#pragma once

#include <cstddef>
#include <span>
#include <type_traits>
#include <utility>

#include <coho/concepts.hpp>
#include <coho/detail/span_of.hpp>
#include <coho/error.hpp>
#include <coho/loss/ppo_clip.hpp>
#include <coho/loss/value_clip.hpp>
#include <coho/options.hpp>
#include <coho/rollout/sampled_rollouts.hpp>
#include <coho/rollout/trajectory.hpp>
#include <coho/train/options/ppo_options.hpp>
#include <coho/train/steps/callbacks.hpp>
#include <coho/train/steps/collect_rollouts.hpp>
#include <coho/train/steps/estimate_advantages.hpp>
#include <coho/train/steps/gather_rollouts.hpp>
#include <coho/train/steps/loops.hpp>
#include <coho/train/steps/on_policy_driver.hpp>
#include <coho/train/steps/policy_components.hpp>
#include <coho/train/steps/ppo_models.hpp>
#include <coho/train/steps/ppo_statistics.hpp>

namespace coho::inline v0_1 {

/// Proximal policy optimisation of a language model against a reward model (Schulman et al. 2017; SALMON §3.1, eq. 2):
///
///     maximise  E[ r(x, y) − β Σ_t (log π(y_t | x, y_<t) − log π_ref(y_t | x, y_<t)) ]
///
/// A step samples a response to each prompt, evaluates policy, reference, values and rewards once, shapes token
/// rewards, estimates and whitens advantages over all ranks, and makes `epochs` passes of clipped updates over shuffled
/// minibatches. A minibatch's losses are normalised by its tokens over all micro-batches and ranks. `update` does the
/// same with responses that were sampled elsewhere.
///
/// The policy loss, the value loss, the advantage estimator and the KL controller are those of the options unless
/// `components` supplies others.
///
/// Several ranks, with scope `global`: each samples and evaluates its prompts, then gets all rollouts, and
/// works on its shards of every minibatch. Advantages, losses and statistics equal those of one process.
///
/// Deterministic in (seed, step, keys): independent of the order of the prompts, of micro-batches and, with scope
/// `global`, of the number of ranks, up to the order of summation, and bit for bit for a given number of shards. The
/// models are held by reference.
///
/// Throws `option_error` on construction; `argument_error` for prompts or model outputs that do not fit or are not
/// finite; `error` when a gradient is not finite (that minibatch is not applied). A step that throws does not count.
///
///     coho::ppo_models models{.policy = policy, .reference = initial, .value = value, .reward = reward,
///                             .optimizer = adam};
///     coho::ppo_trainer trainer{models, coho::ppo_options{.epochs = 2}};
///     coho::ppo_statistics statistics = trainer.step(prompts);
template <class Models, class Components = ppo_components<>>
class ppo_trainer : public detail::on_policy_driver<
                        ppo_trainer<Models, Components>, Models,
                        detail::component_t<decltype(Components::policy_loss), ppo_clip_loss>,
                        detail::component_t<decltype(Components::value_loss), value_clip_loss>,
                        detail::component_t<decltype(Components::kl_controller), configured_kl_controller>> {
  static_assert(detail::require_ppo_models<Models>());
  using policy_loss_type = detail::component_t<decltype(Components::policy_loss), ppo_clip_loss>;
  using value_loss_type = detail::component_t<decltype(Components::value_loss), value_clip_loss>;
  using advantage_type = detail::component_t<decltype(Components::advantage), detail::bound_gae>;
  using controller_type = detail::component_t<decltype(Components::kl_controller), configured_kl_controller>;
  static_assert(require_policy_loss<policy_loss_type>());
  static_assert(require_value_loss<value_loss_type>());
  static_assert(require_advantage_estimator<advantage_type>());
  static_assert(require_kl_controller<controller_type>());
  using driver = detail::on_policy_driver<ppo_trainer, Models, policy_loss_type, value_loss_type, controller_type>;

 public:
  explicit ppo_trainer(Models models, ppo_options options = {}, Components components = {})
      : ppo_trainer(detail::checked<ppo_options>(std::move(options)), models, std::move(components)) {}

  /// One PPO step over this rank's prompts. Every rank must call it; with scope `each_rank`, with at least one
  /// prompt, otherwise possibly none. `range_of_rank` partitions prompts known to all ranks.
  template <class... Callbacks>
  ppo_statistics step(std::span<const rl_prompt> prompts, Callbacks&&... callbacks) {
    static_assert(detail::require_step_models<Models>());
    return train_step(
        prompts.size(),
        [&](std::size_t begin, std::size_t end, ppo_statistics& out) {
          return collect_rollouts(models_, prompts.subspan(begin, end - begin), shared_, step_, out);
        },
        callbacks...);
  }

  /// One PPO step over rollouts that were sampled elsewhere, by the current policy: what `step` does after
  /// sampling. With `rollouts.scores` the reward model is not used. Without `rollouts.log_probs`
  /// `recorded_log_probs` stays empty and the statistics of the sampler are NaN. Ranks as for `step`. Throws
  /// `argument_error` like `check_rollouts`.
  ///
  ///     trainer.update({.prompts = prompts, .responses = responses});
  template <class... Callbacks>
  ppo_statistics update(const sampled_rollouts& rollouts, Callbacks&&... callbacks) {
    check_rollouts(rollouts);
    return train_step(
        rollouts.size(),
        [&](std::size_t begin, std::size_t end, ppo_statistics& out) {
          return evaluate_rollouts(models_, rollouts.slice(begin, end), shared_, out);
        },
        callbacks...);
  }

  const ppo_options& options() const noexcept { return shared_; }

 private:
  using driver::models_, driver::shared_, driver::step_;

  ppo_trainer(detail::checked<ppo_options> given, const Models& models, Components components)
      : driver(models, given.options,
               detail::component_or(std::move(components.policy_loss),
                                    [&] { return ppo_clip_loss(given.options.policy_clip); }),
               detail::component_or(std::move(components.value_loss),
                                    [&] { return value_clip_loss(given.options.value_clip); }),
               detail::component_or(std::move(components.kl_controller),
                                    [&] {
                                      return configured_kl_controller(given.options.shaping.kl_coefficient,
                                                                      given.options.adaptive_kl);
                                    })),
        advantage_(detail::component_or(std::move(components.advantage),
                                        [&] { return detail::bound_gae{given.options.gae}; })) {
    using parts = Components;
    if constexpr (!std::is_same_v<decltype(parts::policy_loss), from_options>)
      require_unused(shared_.policy_clip, {}, "policy_clip.", "where a policy loss is given");
    if constexpr (!std::is_same_v<decltype(parts::value_loss), from_options>)
      require_unused(shared_.value_clip, {}, "value_clip.", "where a value loss is given");
    if constexpr (!std::is_same_v<decltype(parts::advantage), from_options>)
      require_unused(shared_.gae, {}, "gae.", "where an advantage estimator is given");
    if constexpr (!std::is_same_v<decltype(parts::kl_controller), from_options>) detail::require_no_kl_options(shared_);
  }

  // One step, with the callbacks around it. `evaluate(begin, end, statistics)` makes rollouts for a range of this
  // rank's `count`.
  template <class Evaluate, class... Callbacks>
  ppo_statistics train_step(std::size_t count, Evaluate evaluate, Callbacks&... callbacks) {
    static_assert(driver::template require_callbacks<Callbacks...>());
    const bool together = driver::global_scope();
    require_argument(count > 0 || (together && models_.ranks.size() > 1), "a PPO step needs at least one prompt");
    const auto collect = [&](ppo_statistics& out) {
      if (!together) return evaluate(0, count, out);
      return detail::evaluate_by_shards(count, models_.ranks,
                                        [&](std::size_t begin, std::size_t end) { return evaluate(begin, end, out); });
    };
    const auto prepare = [&](trajectory_batch& rollouts, ppo_statistics& out) {
      const auto estimate = [&](auto& ranks) {
        estimate_advantages(rollouts, shared_, out.kl_coefficient, ranks, advantage_);
        detail::describe_rollouts(rollouts, ranks, out);
      };
      if (together) {
        rollouts = gather_rollouts(std::move(rollouts), models_.ranks);
        require_argument(rollouts.size() > 0, "a PPO step needs at least one prompt");
        check_prompts(detail::span_of(std::as_const(rollouts.prompts)));
        estimate(local);
      } else {
        estimate(models_.ranks);
      }
      notify::rollouts(rollouts, callbacks...);
      return detail::all_indices(rollouts.size());
    };
    return driver::run_step(collect, prepare, callbacks...);
  }

  advantage_type advantage_;
};

}  // namespace coho::inline v0_1
