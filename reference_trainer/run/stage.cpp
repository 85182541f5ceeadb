#include "run/stage.hpp"

#include <optional>

#include "run/resumed_recipe.hpp"
#include "run/run_recipe.hpp"
#include "run/training_run.hpp"

namespace coho::trainer {

void stage::check(const config&, stage_context&) {}
std::function<std::string()> stage::plan(const config&, const stage_context&) const { return {}; }
bool stage::finished(stage_context&) const { return false; }
void stage::load(const config&, stage_context&) {}
std::filesystem::path stage::folder() const { return {}; }
std::filesystem::path stage::records() const { return {}; }

void run_in_order(stage& work, const config& options, stage_context& context) {
  // Misspelt keys are reported before the missing or invalid values that they cause.
  options.check_unknown();
  work.check(options, context);
  if (context.dry_run) return context.end_dry_run(options, work.plan(options, context));
  const bool ended = context.resume && work.finished(context);
  // Of a run that had ended too: otherwise other options would seem to have been used.
  const auto folder = work.folder(), records = work.records();
  const bool continued = ended || (context.resume && (has_checkpoint(folder) || has_records(records)));
  if (continued && !folder.empty()) require_same_recipe(options, recipe_in_folder(folder), context);
  if (continued && !records.empty()) require_same_recipe(options, recipe_beside_file(records), context);
  if (ended) return;
  std::optional<records_recipe> recipe;
  work.load(options, context);
  context.start_run(options, folder);
  if (!records.empty() && !continued) recipe.emplace(options, records);
  use_threads(context);
  work.run(context);
}

}  // namespace coho::trainer
