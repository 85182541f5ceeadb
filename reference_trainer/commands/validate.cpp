#include "commands/validate.hpp"

#include <algorithm>
#include <iostream>
#include <optional>

#include <coho/error.hpp>

#include "config/read_options.hpp"
#include "datasets/sft_data.hpp"
#include "files/data_files.hpp"
#include "program/find_recipe.hpp"
#include "program/run_subcommand.hpp"
#include "program/stage_options.hpp"
#include "program/subcommand.hpp"
#include "run/report_error.hpp"
#include "run/stage.hpp"
#include "settings/model_settings.hpp"

namespace coho::trainer {
namespace {

namespace fs = std::filesystem;

// The files that a stage reads and that do not exist, shipped ones aside, as "sft.data = d.jsonl".
std::vector<std::string> find_missing_recipe_inputs(const config& options) {
  std::vector<std::string> out;
  for (const auto& [key, path] : options.read_paths())
    if (key != "out" && !path.empty() && is_missing(path) && is_missing(find_principle_file(path)) &&
        is_missing(find_prompt_file(path)) && !(key == "sft.data" && sft_data_settings::is_identity(path)) &&
        !(key == "model.config" && shipped_shape(path)))
      out.push_back(key + " = " + path.string());
  return out;
}

// Has a stage read the recipe as --dry-run does. Each stage reads the file anew: the keys that one declares are not
// another's.
stage_verdict validate_recipe_stage(const fs::path& recipe, const recipe_stage& stage,
                                    const std::vector<subcommand>& all, const config& overrides) {
  stage_verdict out{.stage = stage.title(), .problem = {}, .missing = {}};
  config options = config::load(recipe);
  options.add_overrides(overrides, "validate");
  if (stage.variant) options.set_text(stage.variant->key, "true", stage.variant->flag);
  for (const auto& other : all) options.allow_sections(other.sections());
  options.allow_keys(shared_keys(all));
  options.share_overrides();
  try {
    stage_context context(stage.command->name, options, false, true, true);
    context.on_dry_run = [&](const config& read, const auto&) { out.missing = find_missing_recipe_inputs(read); };
    run_subcommand(*stage.command, options, context);
  } catch (const error& problem) {
    out.problem = problem.what();
  }
  return out;
}

struct validate_options {
  std::vector<std::string> recipes{};

  static void describe(auto&& visit, auto&... o) {
    visit(required({"recipes", "recipes: TOML files, or names of built-in ones"}), o.recipes...);
  }
};

class validate_stage : public stage {
 public:
  validate_stage(const config& options, const std::vector<subcommand>& stages)
      : options_(options),
        recipes_(read_section<validate_options>(options.section("validate")).recipes),
        stages_(stages) {}

  void run(stage_context&) override {
    std::size_t wrong = 0, all = 0;
    std::vector<recipe_stage> checked;
    const std::vector<fs::path> folders{shipped_file("recipes")};
    for (const auto& name : recipes_) {
      const fs::path path = find_recipe(name, folders);
      for (const auto& stage : recipe_stages(config::load(path), stages_)) checked.push_back(stage);
      for (const auto& verdict : validate_recipe(path, stages_, options_)) {
        std::cout << path.filename().string() << "  " << verdict.stage << "  "
                  << (verdict.problem.empty() ? "ok" : verdict.problem);
        const char* gap = "; not there yet: ";
        for (const auto& file : verdict.missing) {
          std::cout << gap << file;
          gap = ", ";
        }
        std::cout << '\n';
        ++all;
        if (!verdict.problem.empty()) ++wrong;
      }
    }
    require_reader_of_overrides(options_, checked, stages_);
    if (wrong > 0)
      throw config_error(std::to_string(wrong) + " of " + std::to_string(all) +
                         " stages cannot be run with what their recipe says");
  }

 private:
  config options_;
  std::vector<std::string> recipes_;
  const std::vector<subcommand>& stages_;
};

}  // namespace

std::vector<stage_verdict> validate_recipe(const fs::path& recipe, const std::vector<subcommand>& stages,
                                           const config& overrides) {
  std::vector<stage_verdict> out;
  for (const auto& stage : recipe_stages(config::load(recipe), stages))
    out.push_back(validate_recipe_stage(recipe, stage, stages, overrides));
  if (out.empty()) throw config_error(recipe.string() + ": holds the section of no stage");
  return out;
}

subcommand make_validate_command(std::vector<subcommand> stages) {
  return {.name = "validate",
          .help = "check recipes for every stage that they hold, without models or data",
          .run =
              [stages = std::move(stages)](const config& options, stage_context& context) {
                validate_stage work(options, stages);
                run_in_order(work, options, context);
              },
          .flags = {{.name = "recipes", .key = "validate.recipes", .repeatable = true}},
          .options = {section_options("validate", validate_options{})},
          .group = "Use",
          .shares_overrides = true};
}

}  // namespace coho::trainer
