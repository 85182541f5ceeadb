#include "stages/training_run.hpp"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <cmath>

#include <coho/error.hpp>

#include "checkpoint/train_state.hpp"

namespace coho::trainer {

learning_rate_options read_learning_rate(const config& section, double default_peak, std::uint64_t total_steps,
                                         std::string_view default_schedule, double default_warmup_steps) {
  learning_rate_options out;
  out.peak = section.get<double>("learning_rate", default_peak);
  const std::string kind = section.choice("schedule", default_schedule, {"constant", "linear", "cosine"});
  out.kind = kind == "constant" ? schedule_kind::constant : kind == "linear" ? schedule_kind::linear : schedule_kind::cosine;
  const double warmup = section.get<double>("warmup_steps", default_warmup_steps);
  section.check(warmup >= 0, "warmup_steps", "at least 0");
  out.warmup_steps = static_cast<std::uint64_t>(warmup < 1 ? std::floor(warmup * static_cast<double>(total_steps)) : warmup);
  out.floor_fraction = section.get<double>("floor_fraction", 0.0);
  out.total_steps = std::max<std::uint64_t>(total_steps, out.warmup_steps + 1);
  static_cast<void>(learning_rate_schedule(out));
  return out;
}

adamw_options read_adamw(const config& section) {
  adamw_options out;
  out.beta1 = section.get<double>("beta1", out.beta1);
  out.beta2 = section.get<double>("beta2", out.beta2);
  out.epsilon = section.get<double>("epsilon", out.epsilon);
  out.weight_decay = section.get<double>("weight_decay", out.weight_decay);
  out.validate();
  return out;
}

void use_threads(const stage_context& context) { at::set_num_threads(static_cast<int>(context.threads)); }

bool finished_before(const config& options, stage_context& context, const std::filesystem::path& out) {
  options.check_unknown();
  const bool saved = std::filesystem::exists(out / "config.json") || std::filesystem::exists(out / "adapter_config.json");
  if (!context.resume || context.dry_run || !saved || std::filesystem::exists(out / "checkpoints")) return false;
  context.log(out.string() + ": this run had ended; there is nothing to resume");
  return true;
}

std::optional<nlohmann::json> training_checkpoints::restore() {
  const auto newest = latest_step(root_);
  if (!newest) return std::nullopt;
  const train_state state = load_train_state(newest->directory);
  const at::NoGradGuard no_gradient;
  for (const auto& part : parts_) {
    const auto take = [&](const std::string& what) {
      const auto found = state.tensors.find(part.name + "." + what);
      if (found == state.tensors.end() || found->second.numel() != part.parameters->count())
        throw file_error(newest->directory.string(), part.name + "." + what, "missing or of another size than this run's parameters",
                         "resume with the recipe that the run was started with, or start it anew without --resume");
      return found->second;
    };
    part.parameters->values().copy_(take("values"));
    part.optimizer->restore(state.values.at("optimizer").at(part.name).get<std::int64_t>(), take("first_moment"), take("second_moment"));
  }
  return state.values;
}

void training_checkpoints::save(std::uint64_t step, const nlohmann::json& values) const {
  train_state state;
  state.values = values;
  for (const auto& part : parts_) {
    state.tensors[part.name + ".values"] = part.parameters->values();
    state.tensors[part.name + ".first_moment"] = part.optimizer->first_moment();
    state.tensors[part.name + ".second_moment"] = part.optimizer->second_moment();
    state.values["optimizer"][part.name] = part.optimizer->steps();
  }
  save_train_state(root_, step, state, keep_);
}

void training_checkpoints::remove() const { std::filesystem::remove_all(root_); }

}  // namespace coho::trainer
