#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <coho/detail/if_called.hpp>
#include <coho/principle/intervention.hpp>
#include <coho/principle/sampling.hpp>
#include <coho/rng.hpp>

namespace coho::inline v0_1 {

/// The guideline by which a prompt's responses are scored at RL time: the enabled interventions and a
/// draw of principles (SALMON, §3.3).
///
/// Everything random in it depends only on (base, prompt_key): responses that are compared with each other are scored
/// by the same lines in the same order. Use one `base` stream per PPO step and one key per prompt.
///
///     coho::guideline_composer compose(coho::principle_sampler(principles), interventions);
///     std::vector<std::string> lines = compose(coho::prompt_type::general, step_random, prompt_key);
class guideline_composer {
 public:
  template <class = detail::if_called>
  explicit guideline_composer(principle_sampler sampler, intervention_set interventions = {},
                              intervention_position position = intervention_position::first)
      : sampler_(std::move(sampler)), interventions_(std::move(interventions)), position_(position) {}

  /// The lines for one prompt, each a `single_line`; `base` is unchanged.
  template <class = detail::if_called>
  std::vector<std::string> operator()(prompt_type type, const rng& base, std::uint64_t prompt_key) const {
    rng random = base.split(prompt_key);
    return compose_guideline(interventions_, sampler_.definitions(sampler_.draw(type, random)), position_, random);
  }

  const principle_sampler& sampler() const noexcept { return sampler_; }
  const intervention_set& interventions() const noexcept { return interventions_; }

 private:
  principle_sampler sampler_;
  intervention_set interventions_;
  intervention_position position_;
};

}  // namespace coho::inline v0_1
