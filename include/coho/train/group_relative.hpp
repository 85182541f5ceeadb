#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <Eigen/Core>

#include <coho/advantage/whiten.hpp>
#include <coho/concepts.hpp>
#include <coho/error.hpp>
#include <coho/loss/ppo_clip.hpp>
#include <coho/loss/value_clip.hpp>
#include <coho/optimization/learning_rate_schedule.hpp>
#include <coho/reduce.hpp>
#include <coho/rollout/trajectory.hpp>
#include <coho/train/options/group_relative_options.hpp>
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

/// What a group-relative trainer works on, by reference: `ppo_models` without a value model.
template <class Policy, class Reference, class Reward, class Optimizer, class Decoder = const no_decoder_type,
          class Bonus = const no_bonus_type, class Communicator = const local_communicator>
struct group_relative_models {
  Policy& policy;
  Reference& reference;
  Reward& reward;
  Optimizer& optimizer;
  Decoder& decoder = no_decoder;
  Bonus& bonus = no_bonus;
  Communicator& ranks = local;
};

/// Parts of a group-relative trainer that a caller replaces; those left out are built from the options.
template <class PolicyLoss = from_options, class Advantage = from_options, class KlController = from_options>
struct group_relative_components {
  PolicyLoss policy_loss{};  ///< policy_loss; default ppo_clip_loss
  Advantage advantage{};     ///< group_advantage_estimator; default the options' baseline
  /// kl_controller of the KL penalty of the reward; default fixed, or adaptive with options.adaptive_kl.
  KlController kl_controller{};
};

#if defined(__clang__) && __clang_major__ < 17
// clang 16 deduces no aggregate's template arguments. With these it does, from the members in their order, not by name.
template <class... Models>
group_relative_models(Models&...) -> group_relative_models<Models...>;
template <class... Parts>
group_relative_components(Parts...) -> group_relative_components<Parts...>;
#endif

/// Policy gradients whose baseline is the other responses to the same prompt: GRPO (Shao et al. 2024, §4.1), Dr. GRPO
/// (Liu et al. 2025), RLOO (Ahmadian et al. 2024), DAPO (Yu et al. 2025) and, with another policy loss, GSPO and CISPO,
/// on one loop:
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
class group_relative_trainer {
 public:
  explicit group_relative_trainer(Models models, group_relative_trainer_options options = {},
                                  Components components = {})
      : models_{models.policy,    models.reference, no_value,     models.reward, models.optimizer,
                models.optimizer, models.decoder,   models.bonus, models.ranks},
        options_((options.validate(), std::move(options))),
        shared_(options_.shared()),
        rate_(options_.learning_rate),
        advantage_(detail::component_or(std::move(components.advantage),
                                        [&] { return advantage_default(options_, models_.ranks); })),
        controller_(detail::component_or(
            std::move(components.kl_controller),
            [&] { return configured_kl_controller(options_.shaping.kl_coefficient, options_.adaptive_kl); })),
        update_(models_, shared_,
                detail::component_or(std::move(components.policy_loss),
                                     [&] { return ppo_clip_loss(options_.policy_clip); }),
                value_clip_loss()) {}

  /// One step over this rank's prompts, `group_size` samples of each. Every rank must call it, each with at least one
  /// prompt.
  template <class... Callbacks>
  ppo_statistics step(std::span<const rl_prompt> prompts, Callbacks&&... callbacks) {
    static_assert(
        (detail::require_callback<Callbacks, ppo_statistics, minibatch_statistics, trajectory_batch>() && ...));
    require_argument(!prompts.empty(), "a step needs at least one prompt");
    notify::step_begin(step_, callbacks...);
    ppo_statistics out{.step = step_, .kl_coefficient = kl_coefficient(), .learning_rate = rate_(step_)};
    check_prompts(prompts);
    trajectory_batch rollouts = collect_rollouts(models_, samples_of(prompts), shared_, step_, out);
    detail::stopwatch watch;
    const auto kept = estimate(rollouts, prompts.size(), out);
    detail::describe_rollouts(rollouts, models_.ranks, out);
    notify::rollouts(rollouts, callbacks...);
    if (options_.scope == minibatch_scope::global && models_.ranks.size() > 1) {
      const auto all_kept = gathered(kept, rollouts.size());
      update_(gather_rollouts(std::move(rollouts), models_.ranks), all_kept, step_, out, callbacks...);
    } else {
      update_(rollouts, kept, step_, out, callbacks...);
    }
    out.phase_seconds.update += watch.lap();
    controller_.update(out.kl_sequence, out.sequences);
    ++step_;
    notify::step_end(out, callbacks...);
    return out;
  }

  /// As `ppo_trainer::run`.
  template <class Source, class... Callbacks>
  std::vector<ppo_statistics> run(Source&& source, std::uint64_t steps, Callbacks&&... callbacks) {
    return detail::run_steps(*this, models_.ranks, source, step_, steps, callbacks...);
  }

  /// β of the reward's KL penalty in the next step.
  double kl_coefficient() const { return static_cast<double>(controller_.coefficient()); }
  const group_relative_trainer_options& options() const noexcept { return options_; }

  ppo_state save() const { return {step_, options_.seed, controller_.save()}; }
  /// Throws `argument_error` for a state of another seed: the run would not be the same.
  void restore(const ppo_state& saved) {
    detail::require_seed(saved.seed, options_.seed);
    controller_.restore(saved.kl);
    step_ = saved.step;
  }

 private:
  template <class Policy, class Reference, class Reward, class Optimizer, class Decoder, class Bonus,
            class Communicator>
  static ppo_models<Policy, Reference, const no_value_type, Reward, Optimizer, Optimizer, Decoder, Bonus, Communicator>
  widened(const group_relative_models<Policy, Reference, Reward, Optimizer, Decoder, Bonus, Communicator>&);
  using models_type = decltype(widened(std::declval<Models>()));
  static_assert(detail::require_ppo_models<models_type>());
  using policy_loss_type = detail::component_t<decltype(Components::policy_loss), ppo_clip_loss>;
  using advantage_default =
      group_baseline_estimator<std::remove_reference_t<decltype(std::declval<models_type>().ranks)>>;
  using advantage_type = detail::component_t<decltype(Components::advantage), advantage_default>;
  using controller_type = detail::component_t<decltype(Components::kl_controller), configured_kl_controller>;
  static_assert(require_kl_controller<controller_type>());
  static_assert(require_policy_loss<policy_loss_type>());
  static_assert(require_group_advantage_estimator<advantage_type>());

  // Hashes as keys leave no room for the number of the sample.
  std::uint64_t sample_key(std::uint64_t prompt, std::uint64_t sample) const {
    const std::uint64_t size = options_.group_size;
    return prompt <= std::numeric_limits<std::uint64_t>::max() / size - 1 ? prompt * size + sample
                                                                          : rng(prompt, sample).bits64();
  }

  std::vector<rl_prompt> samples_of(std::span<const rl_prompt> prompts) const {
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

  // Advantages of all tokens; returns which rollouts the update sees.
  std::vector<std::size_t> estimate(trajectory_batch& rollouts, std::size_t groups, ppo_statistics& out) {
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
    detail::correct_sampler(rollouts, shared_);
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

  // The chosen ones among the rollouts of all ranks.
  std::vector<std::size_t> gathered(const std::vector<std::size_t>& kept, std::size_t size) {
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

  models_type models_;
  group_relative_trainer_options options_;
  ppo_options shared_;
  learning_rate_schedule rate_;
  advantage_type advantage_;
  controller_type controller_;
  detail::policy_update<models_type, policy_loss_type, value_clip_loss> update_;
  std::uint64_t step_ = 0;
};

}  // namespace coho
