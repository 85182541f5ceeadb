#include "commands/validate.hpp"

#include <algorithm>
#include <iostream>
#include <optional>

#include <coho/error.hpp>

#include "config/read_options.hpp"
#include "datasets/sft_data.hpp"
#include "files/data_files.hpp"
#include "program/subcommand.hpp"
#include "run/report_error.hpp"
#include "run/stage.hpp"

namespace coho::trainer {
namespace {

namespace fs = std::filesystem;

// The text of an option_error begins with the option's name, with which its key ends ("shaping.kl_coefficient",
// "ppo.shaping.kl_coefficient"): the location of that key in the recipe. Losses name their own options only.
std::string place_of_option(const config& options, const std::string& text) {
  constexpr std::string_view before = "option ";
  if (!text.starts_with(before)) return {};
  const std::string name = "." + text.substr(before.size(), text.find(" = ") - before.size());
  for (const auto& end : {name, name.substr(name.rfind('.'))})
    for (const auto& key : options.read_keys())
      if (options.has(key) && key.ends_with(end)) return options.place(key) + ": " + key + ": ";
  return {};
}

std::vector<std::string> missing_files(const config& options) {
  std::vector<std::string> out;
  for (const auto& [key, path] : options.read_paths())
    if (key != "out" && !path.empty() && is_missing(path) && is_missing(find_principle_file(path)) &&
        is_missing(find_prompt_file(path)) && !(key == "sft.data" && sft_data_settings::is_identity(path)))
      out.push_back(key + " = " + path.string());
  return out;
}

// Each stage reads the file anew: a clone would not know a key's line.
stage_verdict rehearse(const fs::path& recipe, const recipe_stage& stage, const std::vector<subcommand>& all) {
  stage_verdict out{.stage = stage.title(), .problem = {}, .missing = {}};
  config options = config::load(recipe);
  if (stage.variant) options.set_text(stage.variant->key, "true", stage.variant->flag);
  for (const auto& other : all) options.allow_sections(other.sections());
  try {
    stage_context context(stage.command->name, options, false, true, true);
    context.on_rehearsal = [&](const config& read, const auto&) { out.missing = missing_files(read); };
    stage.command->run(options, context);
  } catch (const option_error& problem) {
    out.problem = place_of_option(options, problem.what()) + problem.what();
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
      : recipes_(read_section<validate_options>(options.section("validate")).recipes), stages_(stages) {}

  void run(stage_context&) override {
    std::size_t wrong = 0, all = 0;
    for (const auto& name : recipes_) {
      const fs::path path = (is_missing(name) || fs::is_directory(name)) && !fs::path(name).has_parent_path()
                                ? shipped_file("recipes/" + fs::path(name).stem().string() + ".toml")
                                : fs::path(name);
      for (const auto& verdict : validate_recipe(path, stages_)) {
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
    if (wrong > 0)
      throw config_error(std::to_string(wrong) + " of " + std::to_string(all) +
                         " stages cannot be run with what their recipe says");
  }

 private:
  std::vector<std::string> recipes_;
  const std::vector<subcommand>& stages_;
};

}  // namespace

std::vector<stage_verdict> validate_recipe(const fs::path& recipe, const std::vector<subcommand>& stages) {
  std::vector<stage_verdict> out;
  for (const auto& stage : stages_of(config::load(recipe), stages)) out.push_back(rehearse(recipe, stage, stages));
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
          .group = "Use"};
}

}  // namespace coho::trainer
