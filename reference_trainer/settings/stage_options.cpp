#include "settings/stage_options.hpp"

#include <algorithm>

#include <coho/principle/aggregation.hpp>
#include <coho/train/options/reward_model_options.hpp>
#include <coho/train/supervised.hpp>

#include "adapters/lora.hpp"
#include "datasets/self_align_filter.hpp"
#include "generation/engine.hpp"
#include "optimization/adamw.hpp"
#include "settings/fit_settings.hpp"
#include "settings/ppo_settings.hpp"

namespace coho::trainer {
namespace {

// A recipe may give warmup_steps as a fraction, and leaves total_steps to the run.
void amend_schedule(std::vector<listed_option>& options, std::vector<double> warmup) {
  for (auto& option : options) {
    if (option.key.ends_with(".learning_rate.warmup_steps")) {
      option.defaults.clear();
      for (const double steps : warmup) option.defaults.push_back(spelled(steps));
      option.allowed = "at least 0";
      option.meaning += "; below 1: a fraction of all steps";
    } else if (option.key.ends_with(".learning_rate.total_steps")) {
      option.defaults = {"0"};
      option.meaning += "; 0: the run's steps";
    }
  }
}

void list_training(std::vector<listed_option>& out, const std::string& section) {
  list_options(out, section + ".optimizer.", {}, adamw_options{});
  list_options(out, "adapter.", {}, lora_options{});
}

template <class Options>
std::vector<listed_option> fit_options(const std::string& section, const fit_defaults& defaults) {
  std::vector<listed_option> out;
  list_options(out, section + ".", {"seed"}, with_defaults<Options>(defaults));
  amend_schedule(out, {defaults.warmup_steps});
  list_training(out, section);
  return out;
}

std::vector<listed_option> ppo_stage_options() {
  const ppo_options paper = ppo_preset("paper"), code = ppo_preset("salmon_code");
  std::vector<listed_option> out;
  list_options(out, "ppo.", {"seed", "generation"}, paper, code);
  amend_schedule(out, {static_cast<double>(paper.learning_rate.warmup_steps),
                       static_cast<double>(code.learning_rate.warmup_steps)});
  for (auto& option : out)
    if (option.key == "ppo.adaptive_kl.initial")
      option.defaults = {spelled(paper.shaping.kl_coefficient), spelled(code.shaping.kl_coefficient)};
  list_training(out, "ppo");
  list_options(out, "generation.", {"stop", "unfinished_stop"}, paper.generation, code.generation);
  list_options(out, "generation.", {}, engine_options{});
  return out;
}

}  // namespace

std::vector<listed_option> stage_options(std::string_view stage) {
  if (stage == "ppo") return ppo_stage_options();
  if (stage == "sft") return fit_options<supervised_options>("sft", sft_defaults);
  if (stage == "reward") return fit_options<reward_model_options>("reward", reward_defaults);
  if (stage == "preference_pretraining")
    return fit_options<reward_model_options>("preference_pretraining", pretraining_defaults);
  std::vector<listed_option> out;
  if (stage == "aggregate")
    list_options(out, "aggregate.", {}, aggregation_options::paper(), aggregation_options::salmon_code());
  if (stage == "self_align") list_options(out, "self_align.", {"thoughts_opening"}, self_align_filter_options{});
  return out;
}

std::vector<std::string> stage_presets(std::string_view stage) {
  if (stage == "ppo" || stage == "aggregate") return {"paper", "salmon_code"};
  return {"default"};
}

const std::vector<std::string>& stages_with_options() {
  static const std::vector<std::string> all{"self_align", "sft",      "reward", "preference_pretraining",
                                            "ppo",        "aggregate"};
  return all;
}

}  // namespace coho::trainer
