#include "run/resumed_recipe.hpp"

#include <algorithm>
#include <map>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/train_state.hpp"
#include "config/spelling.hpp"
#include "distributed/same_run.hpp"
#include "files/data_files.hpp"
#include "files/read_file.hpp"
#include "run/run_recipe.hpp"

namespace coho::trainer {
namespace {

namespace fs = std::filesystem;

// Whether a key, or a part of one, is among the names.
bool is_one_of(std::string_view key, std::initializer_list<std::string_view> names) {
  return std::ranges::find(names, key) != names.end();
}

// Options that leave the weights of the next step as they are, but for rounding.
bool may_change(std::string_view key) {
  const auto last = key.substr(key.rfind('.') + 1);
  return is_one_of(key, {"threads", "device", "out", "distributed.shards", "model.recompute", "generation.slots",
                         "generation.prefill_tokens", "reward_prompt.scoring_tokens", "ppo.stop_kl",
                         "ppo.evaluation.every", "ppo.evaluation.samples", "ppo.evaluation.patience"}) ||
         is_one_of(last, {"save_every", "keep", "evaluate_every"}) || key.starts_with("plan.") ||
         key.find(".micro_batch.") != std::string_view::npos || key.find(".scoring_batch.") != std::string_view::npos;
}

// The length of a run, where its learning rate is the same for any length.
bool is_free_length(const std::string& key, const config& now) {
  if (!is_one_of(key, {"ppo.steps", "sft.epochs", "reward.epochs", "preference_pretraining.epochs"})) return false;
  const config rate = now.section(key.substr(0, key.find('.'))).section("learning_rate");
  if (rate.get<std::uint64_t>("total_steps", 0) > 0) return true;
  const auto warmup = rate.get<double>("warmup_steps", 0);
  return rate.get("kind", "") == "constant" && (warmup == 0 || warmup >= 1);
}

fs::path last_name(const fs::path& path) { return (path / "").parent_path().filename(); }

// Whether the saved path means the same file as now, or one with the same content; where it is gone, its name decides.
bool is_same_file(const fs::path& saved, const fs::path& now) {
  if (saved == now) return true;
  if (is_missing(saved)) return last_name(saved) == last_name(now);
  const auto hash = hash_path(saved);
  return hash != 0 && hash == hash_path(now);
}

// The files that have changed since their fingerprints were saved, as parts of a message.
std::string changed_files(const config& options, const fs::path& recipe) {
  std::map<std::string, std::string> saved;
  std::istringstream lines(read_file(recipe));
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with(fingerprint_mark)) continue;
    line.erase(0, fingerprint_mark.size());
    const auto space = line.find(' ');
    if (space != std::string::npos) saved.emplace(line.substr(space + 1), line.substr(0, space));
  }
  std::string out;
  for (const auto& [key, path] : options.read_paths()) {
    const auto found = saved.find(key + " = " + escape_controls(path.string()));
    if (found == saved.end() || found->second == "0" || is_missing(path)) continue;
    if (found->second != std::to_string(hash_path(path)))
      out += (out.empty() ? "" : "; ") + options.place(key) + ": " + key + " = " + path.string() +
             " has changed since the run was started";
  }
  return out;
}

// The same for every path of a key.
bool are_same_files(const std::string& key, const config& saved, const config& now) {
  using paths = std::vector<fs::path>;
  return std::ranges::equal(saved.get<paths>(key, {}), now.get<paths>(key, {}), is_same_file);
}

}  // namespace

bool has_checkpoint(const fs::path& out) { return !out.empty() && latest_step(out / "checkpoints").has_value(); }

void require_same_recipe(const config& options, const fs::path& recipe, stage_context& context) {
  if (is_missing(recipe)) return;
  const config saved = config::load(recipe), now = config::parse(options.resolved(), "options");
  std::map<std::string, std::string> before, after;
  for (const auto& [key, value] : saved.given()) before.emplace(key, value);
  for (const auto& [key, value] : now.given()) after.emplace(key, value);
  const auto known = options.read_keys();
  std::vector<std::string> path_keys;
  for (const auto& [key, path] : options.read_paths()) path_keys.push_back(key);

  std::string refused = changed_files(options, recipe);
  const auto compare = [&](const std::string& key, const std::string& own, const std::string& others, bool same_files) {
    if (same_files || may_change(key) || is_free_length(key, now)) {
      context.log("--resume: " + key + " is " + own + "; the run was started with " + others);
    } else {
      refused += (refused.empty() ? "" : "; ") + options.place(key) + ": " + key + " = " + own +
                 ", but the run was started with " + others;
    }
  };
  for (const auto& [key, value] : after) {
    const auto found = before.find(key);
    if (found == before.end()) {
      if (options.has(key)) compare(key, value, "none", false);
    } else if (found->second != value) {
      const bool is_path = std::ranges::find(path_keys, key) != path_keys.end();
      compare(key, value, found->second, is_path && are_same_files(key, saved, now));
    }
  }
  for (const auto& [key, value] : before)
    if (!after.contains(key) && std::ranges::find(known, key) != known.end()) compare(key, "none", value, false);
  if (!refused.empty())
    throw config_error(refused + "; --resume goes on with the run as it was started: give the values in " +
                       recipe.string() + ", or start a new run in another --out");
}

}  // namespace coho::trainer
