#include "plan/plan_settings.hpp"

#include <utility>

#include "config/read_options.hpp"
#include "distributed/process_group.hpp"

namespace coho::trainer {
namespace {

// The rates of another machine, in bytes and operations per second; none where the recipe gives neither.
std::optional<machine_rates> rates_of(const plan_options& read, const config& section) {
  const bool given = read.bandwidth > 0;
  section.check(given == (read.flops > 0), given ? "flops" : "bandwidth",
                "above 0; both rates or neither, which measures this machine");
  if (!given) return std::nullopt;
  return machine_rates{.bandwidth = read.bandwidth * 1e9, .flops = read.flops * 1e12};
}

}  // namespace

plan_settings read_plan_settings(const config& options, const stage_context& context) {
  return read_plan_settings(options, context, read_model_settings(options));
}

plan_settings read_plan_settings(const config& options, const stage_context& context, model_settings model) {
  plan_settings out;
  out.model = std::move(model);
  out.adapter = read_adapter_settings(options);
  out.device = context.device;
  out.threads = context.threads;
  const auto read = read_section<plan_options>(options.section("plan"), {.ranks = context.ranks->size()});
  out.rates = rates_of(read, options.section("plan"));
  out.ranks = read.ranks;
  return out;
}

plan_settings read_parallel_plan(const config& options, const stage_context& context) {
  plan_settings out = read_plan_settings(options, context);
  out.shards = context.ranks->shards();
  return out;
}

}  // namespace coho::trainer
