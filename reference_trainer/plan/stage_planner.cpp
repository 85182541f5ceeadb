#include "plan/stage_planner.hpp"

#include <algorithm>
#include <cmath>

#include <coho/error.hpp>

#include "architecture/storage_types.hpp"
#include "observe/format.hpp"
#include "plan/plan_report.hpp"

namespace coho::trainer {
namespace {

namespace fs = std::filesystem;

// A role and the folder that it starts from.
struct planned_role {
  role_plan role;
  fs::path from;
};

/// Everything a plan needs except the model's shape.
struct plan_request {
  model_settings model;
  std::vector<planned_role> roles;
  adapter_settings adapter;
  time_plan_options time;
  std::string unit;  ///< what a step is
  std::vector<std::string> notes;
  std::string device;
  std::optional<machine_rates> rates;  ///< of a machine that is not this one
  std::int64_t ranks = 1;              ///< processes, one device each, that share a step

  // One process's share of a step's sequences, rounded up.
  std::int64_t per_device(std::int64_t all) const { return (all + ranks - 1) / ranks; }
  // " over 4 devices", for the unit; empty for one device.
  std::string over_devices() const { return ranks > 1 ? " over " + std::to_string(ranks) + " devices" : std::string(); }
};

// Whether a folder is one that PEFT or `sft` wrote.
bool holds_adapter(const fs::path& folder) {
  std::error_code none;
  return !folder.empty() && fs::exists(folder / "adapter_config.json", none);
}

// Whether a folder has a checkpoint of whole weights.
bool holds_weights(const fs::path& folder) {
  std::error_code none;
  return fs::exists(folder / "config.json", none) && !holds_adapter(folder);
}

// The function that stage_planner returns: it reads config.json, plans, and measures this machine unless rates are
// given.
std::function<std::string()> make_planner(plan_request request) {
  return [request = std::move(request)]() mutable -> std::string {
    const auto shape = find_model_config(request.model);
    if (!shape)
      return "No plan of memory and time: " + request.model.path.string() +
             " has no config.json and is no shipped shape's name; --set model.config=FILE gives the shape.";
    request.time.sizes.model = *shape;
    // A checkpoint that is packed already stays so.
    if (!shape->quantization.empty())
      request.time.sizes.base = shape->double_quantization ? base_storage::nf4_double : base_storage::nf4;
    request.time.sizes.roles.clear();
    for (auto& [role, from] : request.roles) {
      if (!role.full && (role.trained || !from.empty()))
        role.ranks = holds_adapter(from) ? read_adapter_ranks(from, shape->num_hidden_layers)
                                         : request.adapter.ranks(shape->num_hidden_layers);
      request.time.sizes.roles.push_back(role);
    }
    const memory_plan memory = plan_memory(request.time.sizes);
    std::optional<time_plan> time;
    try {
      const auto rates =
          request.rates ? *request.rates
                        : measure_machine(at::Device(request.device),
                                          request.model.compute == compute_type::bfloat16 ? at::kBFloat16 : at::kFloat);
      time = plan_time(request.time, rates);
      request.notes.push_back(request.unit + "; every sequence at its full length, at " +
                              (request.rates ? "the given " : "this machine's measured ") +
                              format_number(rates.bandwidth / 1e9, 1) + " GB/s and " +
                              format_number(rates.flops / 1e12, 3) + " TFLOP/s");
    } catch (const c10::Error&) {
      request.notes.push_back(
          "No prediction of time: there is no device " + request.device +
          " here to be measured; plan.bandwidth (GB/s) and plan.flops (TFLOP/s) give the rates of one.");
    }
    return plan_report(*shape, memory, time, request.notes);
  };
}

// Sizes of a recipe in signed arithmetic, bounded so that products do not overflow.
std::int64_t signed_size(std::size_t value) {
  return static_cast<std::int64_t>(std::min<std::size_t>(value, std::size_t{1} << 40));
}

// What the plans of all stages have in common.
plan_request make_request(const plan_settings& settings) {
  plan_request out;
  out.model = settings.model;
  out.adapter = settings.adapter;
  out.device = settings.device;
  out.rates = settings.rates;
  out.ranks = signed_size(settings.ranks);
  auto& sizes = out.time.sizes;
  sizes.base = out.model.base;
  sizes.compute = out.model.compute;
  sizes.recompute = out.model.recompute;
  sizes.dropout = out.adapter.lora.dropout;
  // The shards of a step that one process works on.
  sizes.shards = std::max<std::int64_t>(out.per_device(signed_size(settings.shards)), 1);
  if (settings.device == "cpu") {
    sizes.log_prob_blocks = signed_size(settings.threads);
    sizes.log_prob_rows = 256;  // of fused_log_probs on the CPU, as are the columns
    sizes.log_prob_columns = 1024;
    sizes.dropout_blocks = 0;
  }
  return out;
}

// A role that starts from a folder, or without one from the base. An adapter that does not exist yet will be as the
// section "adapter" says.
planned_role plan_role(std::string name, const fs::path& from, const adapter_settings& adapter, bool trained) {
  role_plan out{.name = std::move(name), .full = adapter.full, .trained = trained};
  if (!trained) out.full = !from.empty() && (holds_weights(from) || (adapter.full && !holds_adapter(from)));
  return {std::move(out), from};
}

// Lengths that a recipe leaves open are taken to be those of SALMON: 128 and 768 tokens of a reward model's query and
// response, 256 of a prompt for sampling, 512 of prompt and of response in fine-tuning. The reward prompt's own words
// and the guideline come to about 384 tokens more.
constexpr std::int64_t reward_query_tokens = 128, reward_response_tokens = 768, reward_words = 384;
constexpr std::int64_t sampling_prompt_tokens = 256, sft_tokens = 512;

// The tokens that a limit leaves of `all`; a limit of 0 leaves all.
std::int64_t limited(std::size_t limit, std::int64_t all) {
  return limit > 0 ? std::min(signed_size(limit), all) : all;
}

// The tokens of a forward pass with this limit; 0 means all at once.
std::int64_t tokens_at_once(std::int64_t limit, std::int64_t all) { return limit > 0 ? std::min(limit, all) : all; }

// The sizes of a step over given responses, so many to an example.
template <class Workload>
void plan_responses(plan_request& out, const Workload& stage, std::int64_t responses) {
  auto& sizes = out.time.sizes;
  sizes.query_tokens = stage.prompt_tokens > 0 ? signed_size(stage.prompt_tokens) : sft_tokens;
  sizes.response_tokens = stage.response_tokens > 0 ? signed_size(stage.response_tokens) : sft_tokens;
  if (stage.prompt_tokens == 0 || stage.response_tokens == 0)
    out.notes.emplace_back("prompts and responses without a limit are taken to have " + std::to_string(sft_tokens) +
                           " tokens");
  sizes.sequences = out.time.sequences = responses * out.per_device(signed_size(stage.batch_size));
  const std::int64_t all = sizes.sequences * (sizes.query_tokens + sizes.response_tokens);
  sizes.micro_batch_tokens = tokens_at_once(signed_size(stage.micro_batch_tokens), all);
}

}  // namespace

std::function<std::string()> stage_planner(const plan_settings& settings, const ppo_workload& stage) {
  const ppo_options& options = stage.options;
  plan_request out = make_request(settings);
  auto& sizes = out.time.sizes;
  sizes.moments = stage.moments;
  out.roles = {plan_role("reference", stage.policy, out.adapter, false),
               plan_role("policy", stage.policy, out.adapter, true)};
  out.roles[0].role.log_probs = out.roles[1].role.log_probs = true;
  const bool scored = !stage.reward_model.empty();
  if (scored) out.roles.push_back(plan_role("reward", stage.reward_model, out.adapter, false));
  out.roles.push_back(plan_role("value", stage.reward_model, out.adapter, true));
  for (std::size_t i = 2; i < out.roles.size(); ++i) out.roles[i].role.scalar_head = true;

  sizes.dropout = 0;  // off in ppo
  sizes.query_tokens = stage.prompt_tokens > 0 ? signed_size(stage.prompt_tokens) : sampling_prompt_tokens;
  if (stage.prompt_tokens == 0)
    out.notes.emplace_back("prompts are taken to have " + std::to_string(sampling_prompt_tokens) +
                           " tokens: prompt.max_tokens is 0");
  sizes.response_tokens = signed_size(options.generation.max_new_tokens);
  sizes.entropy = options.entropy_coefficient > 0;
  const std::int64_t rollouts = signed_size(stage.rollouts);
  sizes.sequences = out.time.sequences = out.per_device(rollouts);
  const std::int64_t length = sizes.query_tokens + sizes.response_tokens;
  const auto minibatch = out.per_device(options.minibatch_size > 0 ? signed_size(options.minibatch_size) : rollouts);
  sizes.slots = std::min(stage.engine.slots, sizes.sequences);
  sizes.prefill_tokens = stage.engine.prefill_tokens;
  sizes.scoring_tokens = tokens_at_once(signed_size(options.scoring_batch.tokens), sizes.sequences * length);
  sizes.micro_batch_tokens =
      tokens_at_once(signed_size(options.micro_batch.tokens), std::min(minibatch, sizes.sequences) * length);
  out.time.epochs = static_cast<std::int64_t>(options.epochs);
  out.time.scoring = {{"reference", true}};
  if (options.old_log_probs == old_log_prob_source::recomputed) out.time.scoring.push_back({"policy", true});
  if (scored) {
    const reward_role_options& read = stage.reward_limits;
    const std::int64_t reads = limited(read.query_tokens, sizes.query_tokens) +
                               limited(read.response_tokens, sizes.response_tokens) + reward_words;
    out.time.scoring.push_back({"reward", false, reads});
    sizes.scoring_tokens =
        std::max(sizes.scoring_tokens, tokens_at_once(signed_size(read.scoring.tokens), sizes.sequences * reads));
    out.notes.push_back("the reward model is taken to read " + std::to_string(reads) + " tokens per rollout");
  }
  out.time.scoring.push_back({"value", false});
  out.unit = "a step: " + std::to_string(rollouts) + " rollouts" + out.over_devices();
  if (stage.evaluates) out.notes.emplace_back("evaluations are not counted in the time of a step");
  return make_planner(std::move(out));
}

std::function<std::string()> stage_planner(const plan_settings& settings, const reward_workload& stage) {
  plan_request out = make_request(settings);
  auto& sizes = out.time.sizes;
  sizes.moments = stage.moments;
  out.roles = {plan_role("reward", stage.from, out.adapter, true)};
  out.roles[0].role.scalar_head = true;
  const reward_role_options& limits = stage.limits;
  // The score is read at the last token.
  sizes.query_tokens = (limits.query_tokens > 0 ? signed_size(limits.query_tokens) : reward_query_tokens) +
                       (limits.response_tokens > 0 ? signed_size(limits.response_tokens) : reward_response_tokens) +
                       reward_words - 1;
  sizes.response_tokens = 1;
  const auto batch = signed_size(stage.batch_size);
  sizes.sequences = out.time.sequences = 2 * out.per_device(batch);
  const auto pairs = signed_size(stage.micro_batch_pairs);
  sizes.micro_batch_tokens =
      (pairs > 0 ? std::min(2 * pairs, sizes.sequences) : sizes.sequences) * (sizes.query_tokens + 1);
  out.unit = "a step: " + std::to_string(batch) + " pairs" + out.over_devices();
  out.notes.push_back("reward prompts are taken to have " + std::to_string(sizes.query_tokens + 1) + " tokens");
  return make_planner(std::move(out));
}

std::function<std::string()> stage_planner(const plan_settings& settings, const sft_workload& stage) {
  plan_request out = make_request(settings);
  out.time.sizes.moments = stage.moments;
  out.roles = {plan_role("policy", stage.adapter, out.adapter, true)};
  out.roles[0].role.log_probs = true;
  plan_responses(out, stage, 1);
  out.unit = "a step: " + std::to_string(signed_size(stage.batch_size)) + " examples" + out.over_devices();
  return make_planner(std::move(out));
}

std::function<std::string()> stage_planner(const plan_settings& settings, const dpo_workload& stage) {
  plan_request out = make_request(settings);
  auto& sizes = out.time.sizes;
  sizes.moments = stage.moments;
  sizes.dropout = 0;  // off in dpo
  out.roles = {plan_role("policy", stage.adapter, out.adapter, true)};
  out.roles[0].role.log_probs = true;
  plan_responses(out, stage, signed_size(stage.responses));
  if (stage.holds_reference) {
    out.roles.insert(out.roles.begin(), plan_role("reference", stage.adapter, out.adapter, false));
    out.roles[0].role.full = out.adapter.full;
    out.roles[0].role.log_probs = true;
    sizes.scoring_tokens = sizes.micro_batch_tokens;
    out.time.scoring = {{"reference", true}};
  }
  if (stage.keeps_log_probs)
    out.notes.emplace_back("before the first step the reference's log-probabilities are computed once");
  out.unit = "a step: " + std::to_string(signed_size(stage.batch_size)) +
             (stage.responses == 2 ? " pairs" : " responses") + out.over_devices();
  return make_planner(std::move(out));
}

std::function<std::string()> stage_planner(const plan_settings& settings, const generation_workload& stage) {
  constexpr std::int64_t prompts = 1000;  // what the time is predicted for
  plan_request out = make_request(settings);
  auto& sizes = out.time.sizes;
  out.roles = {plan_role("policy", stage.adapter, out.adapter, false)};
  sizes.prefix_tokens = signed_size(stage.prefix_tokens);
  sizes.query_tokens = stage.query_tokens > 0 ? signed_size(stage.query_tokens) : sampling_prompt_tokens;
  if (stage.query_tokens == 0)
    out.notes.emplace_back("prompts without a limit are taken to have " + std::to_string(sampling_prompt_tokens) +
                           " tokens");
  sizes.response_tokens = signed_size(stage.max_new_tokens);
  sizes.sequences = signed_size(stage.batch * stage.responses);
  sizes.slots = std::min(stage.engine.slots, sizes.sequences);
  sizes.prefill_tokens = stage.engine.prefill_tokens;
  out.time.sequences = prompts * signed_size(stage.responses);
  out.unit = "a step: " + std::to_string(prompts) + " prompts" +
             (stage.responses > 1 ? ", " + std::to_string(stage.responses) + " responses each" : "");
  return make_planner(std::move(out));
}

}  // namespace coho::trainer
