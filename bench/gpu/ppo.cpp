// A PPO step of four models over one NF4 base of a few layers: its time by phase, its memory, its growth with tokens.
#include <algorithm>
#include <cstdint>
#include <memory>
#include <utility>

#include "four_models.hpp"
#include "sections.hpp"

namespace coho::bench {

using namespace trainer;
using nlohmann::json;

namespace {

json json_of(const four_models::step_options& options, const four_models::step_result& result, std::int64_t layers) {
  const auto& s = result.seconds;
  return {{"layers", layers},
          {"rollouts", options.rollouts},
          {"query_tokens", options.query_tokens},
          {"response_tokens", options.response_tokens},
          {"slots", options.slots},
          {"forward_tokens", options.forward_tokens},
          {"epochs", result.epochs},
          {"tokens", result.tokens},
          {"seconds", result.wall},
          {"phases",
           {{"generation", s.generation},
            {"policy", s.policy},
            {"reference", s.reference},
            {"values", s.values},
            {"rewards", s.rewards},
            {"update", s.update}}}};
}

four_models::step_options full_step(const shapes& sizes, std::int64_t rollouts) {
  // Twice the device's batch at a time: dequantising a layer then costs a hundredth of the products.
  return {.rollouts = rollouts,
          .query_tokens = sizes.query_tokens,
          .response_tokens = sizes.response_tokens,
          .forward_tokens = 2 * sizes.scoring_tokens,
          .slots = rollouts};
}

}  // namespace

json measure_ppo_step(const bench_machine& machine, const shapes& sizes, const few_layers& model, double seconds) {
  const std::int64_t few = std::max<std::int64_t>(1, model.layers / 2), many = 2 * few;
  const auto models = [&](std::int64_t layers) {
    return std::make_unique<four_models>(sizes, machine, first_layers(model.weights, layers));
  };
  auto running = models(few);
  // Estimates how long a step takes: decoding takes as long for many rollouts as for few, the rest grows.
  auto options = full_step(sizes, 2 * sizes.device_batch);
  running->step(full_step(sizes, 2));
  const auto probe = running->step(options);
  std::int64_t rollouts = sizes.rollouts;
  const auto predicted = [&] {
    const double scale = static_cast<double>(rollouts) / static_cast<double>(options.rollouts);
    const double decoding = probe.seconds.generation;
    // For few layers and for twice as many; decoding up to twice as slow, because logits are copied to the host.
    return 3 * (2 * decoding + scale * (probe.wall - decoding));
  };
  while (!machine.small && rollouts > options.rollouts && predicted() > seconds) rollouts /= 2;
  options = full_step(sizes, rollouts);
  json runs = json::array();
  for (const std::int64_t layers : {few, many}) {
    if (layers == many) {
      running.reset();
      running = models(many);
      running->step(full_step(sizes, 2));
    }
    runs.push_back(json_of(options, running->step(options), layers));
  }
  return {{"runs", runs}, {"probe", json_of(full_step(sizes, 2 * sizes.device_batch), probe, few)}};
}

json measure_step_memory(const bench_machine& machine, const shapes& sizes, const few_layers& model,
                         std::int64_t before) {
  const std::int64_t layers = model.all();
  memory_plan_options planned = four_models_plan(sizes, machine, layers);
  const memory_plan plan = plan_memory(planned);
  planned.model.num_hidden_layers = sizes.model.num_hidden_layers;
  const memory_plan plan_of_all = plan_memory(planned);
  planned.moments = moment_type::bfloat16;
  const memory_plan plan_bf16 = plan_memory(planned);

  json out{{"layers", layers},
           {"sequences", sizes.device_batch},
           {"forward_tokens", sizes.scoring_tokens},
           {"known", memory_is_known(machine)},
           {"of", machine.cuda() ? "tensors" : "process"},
           {"planned_resident", plan.resident_bytes()},
           {"planned_peak", plan.peak_bytes()},
           {"planned_layers", sizes.model.num_hidden_layers},
           {"planned_peak_of_all", plan_of_all.peak_bytes()},
           {"planned_peak_of_all_bf16_moments", plan_bf16.peak_bytes()}};
  if (!memory_is_known(machine)) return out;
  four_models models(sizes, machine, first_layers(model.weights, layers));
  auto options = full_step(sizes, sizes.device_batch);
  options.forward_tokens = sizes.scoring_tokens;
  options.minibatches = 1;
  // A short step first, so that memory that libraries keep is already allocated.
  auto shorter = options;
  shorter.response_tokens = std::min<std::int64_t>(8, options.response_tokens);
  models.step(shorter);
  forget_peak(machine);
  out["resident"] = memory_of(machine).now - before;
  models.step(options);
  out["peak"] = memory_of(machine).peak - before;
  return out;
}

json measure_growth(const bench_machine& machine, const shapes& sizes, const few_layers& model) {
  const std::int64_t few = std::max<std::int64_t>(1, model.layers / 2);
  json steps = json::array(), log_probs = json::array();
  {
    four_models models(sizes, machine, first_layers(model.weights, few));
    auto options = full_step(sizes, 4 * sizes.device_batch);
    models.step(full_step(sizes, 2));
    for (const std::int64_t response : {sizes.response_tokens / 4, sizes.response_tokens / 2, sizes.response_tokens}) {
      options.response_tokens = response;
      steps.push_back(json_of(options, models.step(options), few));
    }
  }
  if (memory_is_known(machine)) {
    const std::int64_t tokens = sizes.log_prob_tokens, words = sizes.model.vocab_size, width = sizes.model.hidden_size;
    for (const auto& [t, v] :
         {std::pair{tokens, words}, std::pair{tokens, 4 * words}, std::pair{4 * tokens, 4 * words}})
      log_probs.push_back({{"tokens", t},
                           {"words", v},
                           {"width", width},
                           {"bytes", log_probs_memory(machine, machine.compute, t, width, v)},
                           {"logits_bytes", 4 * t * v}});
  }
  return {{"steps", steps}, {"log_probs", log_probs}};
}

}  // namespace coho::bench
