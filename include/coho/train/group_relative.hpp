#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <Eigen/Core>

#include <coho/advantage/whiten.hpp>
#include <coho/concepts.hpp>
#include <coho/detail/span_of.hpp>
#include <coho/error.hpp>
#include <coho/loss/ppo_clip.hpp>
#include <coho/loss/value_clip.hpp>
#include <coho/options.hpp>
#include <coho/reduce.hpp>
#include <coho/rollout/sampled_rollouts.hpp>
#include <coho/rollout/trajectory.hpp>
#include <coho/train/options/group_relative_trainer_options.hpp>
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

/// The models of a group-relative trainer, by reference: `ppo_models` without a value model.
template <class Policy, class Reference, class Reward, class Optimizer, class Decoder = const no_decoder_type,
          class Bonus = const no_bonus_type, class Communicator = const local_communicator,
          class Sampler = const no_sampler_type>
struct group_relative_models {
  Policy& policy;
  Reference& reference;
  Reward& reward;
  Optimizer& optimizer;
  Decoder& decoder = no_decoder;
  Bonus& bonus = no_bonus;
  Communicator& ranks = local;
  Sampler& sampler = no_sampler;
};

namespace detail {

/// The same models as `ppo_models` without a value model, for the steps that both drivers share.
template <class Policy, class Reference, class Reward, class Optimizer, class Decoder, class Bonus, class Communicator,
          class Sampler>
auto without_value_model(
    const group_relative_models<Policy, Reference, Reward, Optimizer, Decoder, Bonus, Communicator, Sampler>& models) {
  return ppo_models<Policy, Reference, const no_value_type, Reward, Optimizer, Optimizer, Decoder, Bonus, Communicator,
                    Sampler>{models.policy,    models.reference, no_value,     models.reward, models.optimizer,
                             models.optimizer, models.decoder,   models.bonus, models.ranks,  models.sampler};
}
template <class Models>
using models_without_value = decltype(without_value_model(std::declval<const Models&>()));

}  // namespace detail

/// Parts of a group-relative trainer that a caller can replace; those omitted are built from the options.
template <class PolicyLoss = from_options, class Advantage = from_options, class KlController = from_options>
struct group_relative_components {
  PolicyLoss policy_loss{};  ///< policy_loss; default ppo_clip_loss
  Advantage advantage{};     ///< group_advantage_estimator; default the options' baseline
  /// kl_controller of the KL penalty of the reward; default fixed, or adaptive with options.adaptive_kl.
  KlController kl_controller{};
};

#if defined(__clang__) && __clang_major__ < 17
// clang 16 deduces no aggregate's template arguments. With these it does, from members in order, not by name.
template <class... Models>
group_relative_models(Models&...) -> group_relative_models<Models...>;
template <class... Parts>
group_relative_components(Parts...) -> group_relative_components<Parts...>;
#endif

/// Policy gradients whose baseline is the other responses to the same prompt: GRPO (Shao et al. 2024, §4.1), Dr. GRPO
/// (Liu et al. 2025), RLOO (Ahmadian et al. 2024), DAPO (Yu et al. 2025) and, with another policy loss, GSPO and CISPO,
/// in one loop:
///
///     y_1, …, y_G ~ π(· | x);   R_i the sum of y_i's shaped token rewards;   A_i = baseline(R_1, …, R_G)_i for each
///     token of y_i
///
/// followed by the same updates as PPO's policy. There is no value model. All G samples of a prompt are scored under
/// the prompt's one draw of principles: comparing them under different guidelines would compare guidelines.
///
/// Prompts, determinism and errors as for `ppo_trainer`; sample k of the prompt with key q draws from the stream of q·G
/// + k.
///
///     coho::group_relative_models models{.policy = policy, .reference = initial, .reward = reward, .optimizer = adam};
///     coho::group_relative_trainer trainer{models, coho::group_relative_trainer_options::grpo()};
///     coho::ppo_statistics statistics = trainer.step(prompts);  // prompts · group_size rollouts
template <class Models, class Components = group_relative_components<>>
class group_relative_trainer
    : public detail::on_policy_driver<
          group_relative_trainer<Models, Components>, detail::models_without_value<Models>,
          detail::component_t<decltype(Components::policy_loss), ppo_clip_loss>, value_clip_loss,
          detail::component_t<decltype(Components::kl_controller), configured_kl_controller>> {
  using models_type = detail::models_without_value<Models>;
  static_assert(detail::require_ppo_models<models_type>());
  using policy_loss_type = detail::component_t<decltype(Components::policy_loss), ppo_clip_loss>;
  using advantage_default =
      group_baseline_estimator<std::remove_reference_t<decltype(std::declval<models_type>().ranks)>>;
  using advantage_type = detail::component_t<decltype(Components::advantage), advantage_default>;
  using controller_type = detail::component_t<decltype(Components::kl_controller), configured_kl_controller>;
  static_assert(require_kl_controller<controller_type>());
  static_assert(require_policy_loss<policy_loss_type>());
  static_assert(require_group_advantage_estimator<advantage_type>());
  using driver =
      detail::on_policy_driver<group_relative_trainer, models_type, policy_loss_type, value_clip_loss, controller_type>;

 public:
  explicit group_relative_trainer(Models models, group_relative_trainer_options options = {},
                                  Components components = {})
      : group_relative_trainer(detail::checked<group_relative_trainer_options>(std::move(options)), models,
                               std::move(components)) {}

  /// One step over this rank's prompts, `group_size` samples of each. Every rank must call it, each with at least one
  /// prompt.
  template <class... Callbacks>
  ppo_statistics step(std::span<const rl_prompt> prompts, Callbacks&&... callbacks) {
    static_assert(detail::require_step_models<models_type>());
    return train_step(
        prompts.size(),
        [&](ppo_statistics& out) {
          check_prompts(prompts);
          return collect_rollouts(models_, repeat_prompts(prompts), shared_, step_, out);
        },
        callbacks...);
  }

  /// One step over rollouts that were sampled elsewhere, by the current policy: `group_size` of each prompt, one
  /// after another, each with its own key. Otherwise as `ppo_trainer::update`.
  template <class... Callbacks>
  ppo_statistics update(const sampled_rollouts& rollouts, Callbacks&&... callbacks) {
    check_rollouts(rollouts);
    check_group_prompts(rollouts.prompts);
    return train_step(
        rollouts.size() / options_.group_size,
        [&](ppo_statistics& out) { return evaluate_rollouts(models_, rollouts, shared_, out); }, callbacks...);
  }

  const group_relative_trainer_options& options() const noexcept { return options_; }

 private:
  using driver::models_, driver::shared_, driver::step_;

  group_relative_trainer(detail::checked<group_relative_trainer_options> given, const Models& models,
                         Components components)
      : driver(detail::without_value_model(models), given.options.as_ppo_options(),
               detail::component_or(std::move(components.policy_loss),
                                    [&] { return ppo_clip_loss(given.options.policy_clip); }),
               value_clip_loss(),
               detail::component_or(std::move(components.kl_controller),
                                    [&] {
                                      return configured_kl_controller(given.options.shaping.kl_coefficient,
                                                                      given.options.adaptive_kl);
                                    })),
        options_(std::move(given.options)),
        advantage_(detail::component_or(std::move(components.advantage),
                                        [&] { return advantage_default(options_, models_.ranks); })) {
    using parts = Components;
    if constexpr (!std::is_same_v<decltype(parts::policy_loss), from_options>)
      require_unused(options_.policy_clip, {}, "policy_clip.", "where a policy loss is given");
    if constexpr (!std::is_same_v<decltype(parts::kl_controller), from_options>)
      detail::require_no_kl_options(options_);
  }

  // One step, with the callbacks around it. `collect(statistics)` makes this rank's rollouts, group by group.
  template <class Collect, class... Callbacks>
  ppo_statistics train_step(std::size_t groups, Collect collect, Callbacks&... callbacks) {
    static_assert(driver::template require_callbacks<Callbacks...>());
    require_argument(groups > 0, "a step needs at least one prompt");
    const auto prepare = [&](trajectory_batch& rollouts, ppo_statistics& out) {
      auto kept = estimate_advantages_by_group(rollouts, groups, out);
      detail::describe_rollouts(rollouts, models_.ranks, out);
      notify::rollouts(rollouts, callbacks...);
      if (driver::global_scope() && models_.ranks.size() > 1) {
        kept = gather_kept(kept, rollouts.size());
        rollouts = gather_rollouts(std::move(rollouts), models_.ranks);
      }
      return kept;
    };
    return driver::run_step(collect, prepare, callbacks...);
  }

  // Throws argument_error unless the rollouts come in groups of `group_size`, each of one prompt and guideline.
  void check_group_prompts(const std::vector<rl_prompt>& prompts) const {
    const std::size_t size = options_.group_size;
    require_argument(prompts.size() % size == 0, "the rollouts are " + std::to_string(prompts.size()) +
                                                     ", which is not a multiple of group_size, " +
                                                     std::to_string(size));
    for (std::size_t i = 0; i < prompts.size(); ++i) {
      const rl_prompt &prompt = prompts[i], &first = prompts[i - i % size];
      require_argument(prompt.tokens == first.tokens && prompt.principles == first.principles,
                       "rollouts " + std::to_string(i - i % size) + " and " + std::to_string(i) +
                           " are of one group but not of one prompt and guideline: give the group_size responses to a "
                           "prompt one after another");
    }
  }

  // The stream of a prompt's sample: q·G + k, or a hash where that does not fit 64 bits, as for keys that are hashes.
  std::uint64_t sample_key(std::uint64_t prompt, std::uint64_t sample) const {
    const std::uint64_t size = options_.group_size;
    return prompt <= std::numeric_limits<std::uint64_t>::max() / size - 1 ? prompt * size + sample
                                                                          : rng(prompt, sample).bits64();
  }

  // Each prompt `group_size` times in a row, each with the key of its sample.
  std::vector<rl_prompt> repeat_prompts(std::span<const rl_prompt> prompts) const {
    std::vector<rl_prompt> out;
    out.reserve(prompts.size() * options_.group_size);
    for (const auto& prompt : prompts) {
      for (std::size_t k = 0; k < options_.group_size; ++k) {
        out.push_back(prompt);
        out.back().key = sample_key(prompt.key, k);
      }
    }
    return out;
  }

  // Fills in shaped rewards and the advantages of all tokens; returns which rollouts the update sees: all, or those of
  // groups whose rewards differ.
  std::vector<std::size_t> estimate_advantages_by_group(trajectory_batch& rollouts, std::size_t groups,
                                                        ppo_statistics& out) {
    shape_rollout_rewards(rollouts, shared_, out.kl_coefficient, models_.ranks);
    const auto offsets = detail::span_of(std::as_const(rollouts.batch.responses.offsets));
    const Eigen::ArrayXd rewards = sequence_sums(rollouts.rewards, offsets);
    std::vector<std::size_t> group_offsets(groups + 1);
    for (std::size_t g = 0; g <= groups; ++g) group_offsets[g] = g * options_.group_size;
    const Eigen::ArrayXd advantages = advantage_(rewards, group_offsets);
    detail::check_lengths(rollouts.size(), static_cast<std::size_t>(advantages.size()), "group_relative_trainer",
                          "the advantages");
    for (const double advantage : advantages) {
      require_argument(std::isfinite(advantage), "an advantage of the group estimator is not finite");
    }
    rollouts.advantages = sequence_spread(advantages, offsets);
    if (options_.whiten_advantages) {
      const std::vector<std::uint8_t> real(rollouts.tokens(), 1);
      rollouts.advantages = whiten(rollouts.advantages, real, options_.advantage_whitening, models_.ranks);
    }
    detail::apply_sampler_correction(rollouts, shared_);
    rollouts.returns = rollouts.values;

    std::vector<std::size_t> kept;
    double counts[] = {0, static_cast<double>(groups)};
    for (std::size_t g = 0; g < groups; ++g) {
      const double first = rewards(static_cast<Eigen::Index>(group_offsets[g]));
      bool uniform = true;
      for (std::size_t i = group_offsets[g]; i < group_offsets[g + 1]; ++i) {
        uniform = uniform && rewards(static_cast<Eigen::Index>(i)) == first;
      }
      counts[0] += uniform ? 1 : 0;
      if (uniform && options_.skip_uniform_groups) continue;
      for (std::size_t i = group_offsets[g]; i < group_offsets[g + 1]; ++i) kept.push_back(i);
    }
    models_.ranks.all_reduce_sum(detail::span_of(counts));
    out.uniform_groups = counts[0] / counts[1];
    return kept;
  }

  // The same selection of all ranks, as positions among the gathered rollouts.
  std::vector<std::size_t> gather_kept(const std::vector<std::size_t>& kept, std::size_t size) {
    std::vector<std::uint8_t> flags(size, 0);
    for (const std::size_t i : kept) flags[i] = 1;
    std::vector<std::size_t> out;
    std::size_t place = 0;
    for (const auto& each : all_gather(detail::span_of(std::as_const(flags)), models_.ranks)) {
      for (const auto flag : each) {
        if (flag != 0) out.push_back(place);
        ++place;
      }
    }
    return out;
  }

  group_relative_trainer_options options_;
  advantage_type advantage_;
};

}  // namespace coho::inline v0_1
