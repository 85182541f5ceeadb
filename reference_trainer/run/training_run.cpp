#include "run/training_run.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <coho/error.hpp>

#include "checkpoint/train_state.hpp"
#include "config/read_options.hpp"
#include "files/data_files.hpp"
#include "files/json_file.hpp"
#include "optimization/parameter_set.hpp"

namespace coho::trainer {

process_group& join_ranks(const config& options, stage_context& context, const std::filesystem::path& out) {
  process_group& ranks = *context.ranks;
  std::size_t fallback = ranks.size();
  // A plan may be for more devices than there are processes.
  if (context.dry_run) fallback = std::max<std::size_t>(options.peek<std::size_t>("plan.ranks").value_or(fallback), 1);
  if (context.resume) {
    if (const auto newest = latest_step(out / "checkpoints")) {
      const auto state = read_json(newest->directory / "state.json");
      const nlohmann::json::json_pointer place("/values/shares");
      if (state.contains(place) && state.at(place).is_number_unsigned()) fallback = state.at(place).get<std::size_t>();
    }
  }
  const std::size_t shards = read_section<distributed_options>(options.section("distributed"), {fallback}).shards;
  ranks.set_shards(shards);
  if (ranks.size() == 1 || context.dry_run) return ranks;
  context.log(std::to_string(ranks.size()) + " ranks, " + std::to_string(context.threads) +
              " threads each; distributed.shards = " + std::to_string(shards) +
              (shards < ranks.size() ? ": some ranks have nothing to do" : ""));
  if (context.device == "cuda" && at::hasCUDA()) {
    const c10::impl::VirtualGuardImpl gpus(at::kCUDA);
    if (const auto count = static_cast<std::size_t>(gpus.deviceCount()); count > 0)
      gpus.setDevice({at::kCUDA, static_cast<c10::DeviceIndex>(ranks.local_rank() % count)});
  }
  return ranks;
}

void use_threads(const stage_context& context) { at::set_num_threads(static_cast<int>(context.threads)); }

bool holds_result(const std::filesystem::path& out) {
  const bool saved = !is_missing(out / "config.json") || !is_missing(out / "adapter_config.json");
  return saved && is_missing(out / "checkpoints");
}

bool finished_before(stage_context& context, const std::filesystem::path& out) {
  if (!context.ranks->broadcast_from_first(context.resume && holds_result(out))) return false;
  context.log(out.string() + ": this run had ended; there is nothing to resume");
  return true;
}

}  // namespace coho::trainer
