#include "plan/plan_text.hpp"

#include <algorithm>
#include <cmath>

#include <coho/error.hpp>

#include "architecture/storage_types.hpp"
#include "config/read_options.hpp"
#include "distributed/process_group.hpp"
#include "observe/format.hpp"
#include "plan/plan_report.hpp"
#include "run/training_run.hpp"

namespace coho::trainer {
namespace {

namespace fs = std::filesystem;

// A role and the folder that it starts from.
struct planned_role {
  role_plan role;
  fs::path from;
};

/// Everything a plan needs except the model's shape.
struct request {
  model_settings model;
  std::vector<planned_role> roles;
  adapter_settings adapter;
  time_plan_options time;
  std::string unit;  ///< what a step is
  std::vector<std::string> notes;
  std::string device;
  std::optional<machine_rates> rates;  ///< of a machine that is not this one
  std::int64_t ranks = 1;              ///< processes, one device each, that share a step

  // One process's part of a step.
  std::int64_t part(std::int64_t of_all) const { return (of_all + ranks - 1) / ranks; }
  std::string among() const { return ranks > 1 ? " over " + std::to_string(ranks) + " devices" : std::string(); }
};

// Of another machine, if both are given.
std::optional<machine_rates> rates_of(const plan_options& read, const config& section) {
  const bool given = read.bandwidth > 0;
  section.check(given == (read.flops > 0), given ? "flops" : "bandwidth",
                "above 0; both rates or neither, which measures this machine");
  if (!given) return std::nullopt;
  return machine_rates{.bandwidth = read.bandwidth * 1e9, .flops = read.flops * 1e12};
}

bool holds_adapter(const fs::path& folder) {
  std::error_code none;
  return !folder.empty() && fs::exists(folder / "adapter_config.json", none);
}

bool holds_weights(const fs::path& folder) {
  std::error_code none;
  return fs::exists(folder / "config.json", none) && !holds_adapter(folder);
}

std::function<std::string()> text_of(request wanted) {
  return [wanted = std::move(wanted)]() mutable -> std::string {
    const auto shape = find_model_config(wanted.model);
    if (!shape)
      return "No plan of memory and time: " + wanted.model.path.string() +
             " has no config.json and is no shipped shape's name; --set model.config=FILE gives the shape.";
    wanted.time.sizes.model = *shape;
    // A checkpoint that is packed already stays so.
    if (!shape->quantization.empty())
      wanted.time.sizes.base = shape->double_quantization ? base_storage::nf4_double : base_storage::nf4;
    wanted.time.sizes.roles.clear();
    for (auto& [role, from] : wanted.roles) {
      if (!role.full && (role.trained || !from.empty()))
        role.ranks = holds_adapter(from) ? ranks_of_adapter(from, shape->num_hidden_layers)
                                         : wanted.adapter.ranks(shape->num_hidden_layers);
      wanted.time.sizes.roles.push_back(role);
    }
    const memory_plan memory = plan_memory(wanted.time.sizes);
    std::optional<time_plan> time;
    try {
      const auto rates =
          wanted.rates ? *wanted.rates
                       : measure_machine(at::Device(wanted.device),
                                         wanted.model.compute == compute_type::bfloat16 ? at::kBFloat16 : at::kFloat);
      time = plan_time(wanted.time, rates);
      wanted.notes.push_back(wanted.unit + "; every sequence at its full length, at " +
                             (wanted.rates ? "the given " : "this machine's measured ") +
                             format_number(rates.bandwidth / 1e9, 1) + " GB/s and " +
                             format_number(rates.flops / 1e12, 3) + " TFLOP/s");
    } catch (const c10::Error&) {
      wanted.notes.push_back(
          "No prediction of time: there is no device " + wanted.device +
          " here to be measured; plan.bandwidth (GB/s) and plan.flops (TFLOP/s) give the rates of one.");
    }
    return plan_report(*shape, memory, time, wanted.notes);
  };
}

std::int64_t signed_size(std::size_t value) {
  return static_cast<std::int64_t>(std::min<std::size_t>(value, std::size_t{1} << 40));
}

request start(const plan_settings& settings) {
  request out;
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
  sizes.shards = std::max<std::int64_t>(out.part(signed_size(settings.shards)), 1);
  if (settings.device == "cpu") {
    sizes.log_prob_blocks = signed_size(settings.threads);
    sizes.log_prob_rows = 256;
    sizes.log_prob_columns = 1024;
    sizes.dropout_blocks = 0;
  }
  return out;
}

// A role that starts from a folder, or where there is none from the base; what an adapter that is not there yet will
// look like the section "adapter" says.
planned_role role_of(std::string name, const fs::path& from, const adapter_settings& adapter, bool trained) {
  role_plan out{.name = std::move(name), .full = adapter.full, .trained = trained};
  if (!trained) out.full = !from.empty() && (holds_weights(from) || (adapter.full && !holds_adapter(from)));
  return {std::move(out), from};
}

// The reward prompt's own words and the guideline, in addition to the tokens kept of query and response.
constexpr std::int64_t reward_words = 384;

std::int64_t kept(std::size_t limit, std::int64_t all) { return limit > 0 ? std::min(signed_size(limit), all) : all; }

// 0 means all at once.
std::int64_t tokens_at_once(std::int64_t limit, std::int64_t all) { return limit > 0 ? std::min(limit, all) : all; }

}  // namespace

plan_settings read_plan(const config& options, const stage_context& context) {
  plan_settings out;
  out.model = read_model_settings(options);
  out.adapter = read_adapter_settings(options);
  out.device = context.device;
  out.threads = context.threads;
  const auto read = read_section<plan_options>(options.section("plan"), {.ranks = context.ranks->size()});
  out.rates = rates_of(read, options.section("plan"));
  out.ranks = read.ranks;
  return out;
}

plan_settings read_parallel_plan(const config& options, const stage_context& context) {
  plan_settings out = read_plan(options, context);
  out.shards = read_section<distributed_options>(options.section("distributed"), {out.ranks}).shards;
  return out;
}

std::function<std::string()> plan_text(const plan_settings& settings, const ppo_plan& stage) {
  const ppo_options& options = stage.options;
  request out = start(settings);
  auto& sizes = out.time.sizes;
  sizes.moments = stage.moments;
  out.roles = {role_of("reference", stage.policy, out.adapter, false),
               role_of("policy", stage.policy, out.adapter, true)};
  out.roles[0].role.log_probs = out.roles[1].role.log_probs = true;
  const bool scored = !stage.reward_model.empty();
  if (scored) out.roles.push_back(role_of("reward", stage.reward_model, out.adapter, false));
  out.roles.push_back(role_of("value", stage.reward_model, out.adapter, true));
  for (std::size_t i = 2; i < out.roles.size(); ++i) out.roles[i].role.scalar_head = true;

  sizes.dropout = 0;  // off in ppo
  sizes.query_tokens = stage.prompt_tokens > 0 ? signed_size(stage.prompt_tokens) : 256;
  if (stage.prompt_tokens == 0) out.notes.emplace_back("prompts are taken to have 256 tokens: prompt.max_tokens is 0");
  sizes.response_tokens = signed_size(options.generation.max_new_tokens);
  sizes.entropy = options.entropy_coefficient > 0;
  const std::int64_t rollouts = signed_size(stage.rollouts);
  sizes.sequences = out.time.sequences = out.part(rollouts);
  const std::int64_t length = sizes.query_tokens + sizes.response_tokens;
  const auto minibatch = out.part(options.minibatch_size > 0 ? signed_size(options.minibatch_size) : rollouts);
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
    const std::int64_t reads =
        kept(read.query_tokens, sizes.query_tokens) + kept(read.response_tokens, sizes.response_tokens) + reward_words;
    out.time.scoring.push_back({"reward", false, reads});
    sizes.scoring_tokens =
        std::max(sizes.scoring_tokens, tokens_at_once(signed_size(read.scoring.tokens), sizes.sequences * reads));
    out.notes.push_back("the reward model is taken to read " + std::to_string(reads) + " tokens a rollout");
  }
  out.time.scoring.push_back({"value", false});
  out.unit = "a step: " + std::to_string(rollouts) + " rollouts" + out.among();
  if (stage.evaluates) out.notes.emplace_back("evaluations are not counted in the time of a step");
  return text_of(std::move(out));
}

std::function<std::string()> plan_text(const plan_settings& settings, const reward_plan& stage) {
  request out = start(settings);
  auto& sizes = out.time.sizes;
  sizes.moments = stage.moments;
  out.roles = {role_of("reward", stage.from, out.adapter, true)};
  out.roles[0].role.scalar_head = true;
  const reward_role_options& limits = stage.limits;
  // The score is read at the last token.
  sizes.query_tokens = (limits.query_tokens > 0 ? signed_size(limits.query_tokens) : 128) +
                       (limits.response_tokens > 0 ? signed_size(limits.response_tokens) : 768) + reward_words - 1;
  sizes.response_tokens = 1;
  const auto batch = signed_size(stage.batch_size);
  sizes.sequences = out.time.sequences = 2 * out.part(batch);
  const auto pairs = signed_size(stage.micro_batch_pairs);
  sizes.micro_batch_tokens =
      (pairs > 0 ? std::min(2 * pairs, sizes.sequences) : sizes.sequences) * (sizes.query_tokens + 1);
  out.unit = "a step: " + std::to_string(batch) + " pairs" + out.among();
  out.notes.push_back("reward prompts are taken to have " + std::to_string(sizes.query_tokens + 1) + " tokens");
  return text_of(std::move(out));
}

std::function<std::string()> plan_text(const plan_settings& settings, const sft_plan& stage) {
  request out = start(settings);
  auto& sizes = out.time.sizes;
  sizes.moments = stage.moments;
  out.roles = {role_of("policy", stage.adapter, out.adapter, true)};
  out.roles[0].role.log_probs = true;
  sizes.query_tokens = stage.prompt_tokens > 0 ? signed_size(stage.prompt_tokens) : 512;
  sizes.response_tokens = stage.response_tokens > 0 ? signed_size(stage.response_tokens) : 512;
  if (stage.prompt_tokens == 0 || stage.response_tokens == 0)
    out.notes.emplace_back("prompts and responses without a limit are taken to have 512 tokens");
  const auto batch = signed_size(stage.batch_size);
  sizes.sequences = out.time.sequences = out.part(batch);
  const std::int64_t all = sizes.sequences * (sizes.query_tokens + sizes.response_tokens);
  sizes.micro_batch_tokens = tokens_at_once(signed_size(stage.micro_batch_tokens), all);
  out.unit = "a step: " + std::to_string(batch) + " examples" + out.among();
  return text_of(std::move(out));
}

std::function<std::string()> plan_text(const plan_settings& settings, const generation_plan& stage) {
  constexpr std::int64_t prompts = 1000;
  request out = start(settings);
  auto& sizes = out.time.sizes;
  out.roles = {role_of("policy", stage.adapter, out.adapter, false)};
  sizes.prefix_tokens = signed_size(stage.prefix_tokens);
  sizes.query_tokens = stage.query_tokens > 0 ? signed_size(stage.query_tokens) : 256;
  if (stage.query_tokens == 0) out.notes.emplace_back("prompts without a limit are taken to have 256 tokens");
  sizes.response_tokens = signed_size(stage.max_new_tokens);
  sizes.sequences = signed_size(stage.batch * stage.responses);
  sizes.slots = std::min(stage.engine.slots, sizes.sequences);
  sizes.prefill_tokens = stage.engine.prefill_tokens;
  out.time.sequences = prompts * signed_size(stage.responses);
  out.unit = "a step: " + std::to_string(prompts) + " prompts" +
             (stage.responses > 1 ? ", " + std::to_string(stage.responses) + " responses each" : "");
  return text_of(std::move(out));
}

}  // namespace coho::trainer
