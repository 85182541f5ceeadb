#include <algorithm>
#include <charconv>
#include <fstream>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <coho/error.hpp>

#include "commands/commands.hpp"
#include "support/catch.hpp"
#include "support/stage_runs.hpp"

using namespace coho::trainer;
using namespace coho::test;

namespace {

/// A row of docs/recipe-values.md.
struct value_row {
  std::string key, paper, scripts, coho, reason;
};
using value_tables = std::map<std::string, std::vector<value_row>>;  // by recipe

std::string without(std::string text, const std::string& marks) {
  text.erase(0, std::min(text.find_first_not_of(marks), text.size()));
  text.erase(text.find_last_not_of(marks) + 1);
  return text;
}

value_tables read_value_tables() {
  std::ifstream file(source_dir() / "docs/recipe-values.md");
  REQUIRE(file.is_open());
  value_tables out;
  std::string recipe;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("## ")) recipe = line.substr(3);
    if (!line.starts_with("| `")) continue;
    std::vector<std::string> cells;
    for (std::size_t at = 1; at < line.size();) {
      const auto end = line.find('|', at);
      if (end == std::string::npos) break;
      cells.push_back(without(line.substr(at, end - at), " "));
      at = end + 1;
    }
    CAPTURE(line);
    REQUIRE(cells.size() == 5);
    const std::string value = without(cells[3], "`");
    out[recipe].push_back(
        {without(cells[0], "`"), cells[1], cells[2], value == "\"\"" ? std::string() : value, cells[4]});
  }
  return out;
}

std::optional<double> as_number(const std::string& text) {
  double out = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), out);
  return read.ec == std::errc() && read.ptr == text.data() + text.size() && !text.empty() ? std::optional(out)
                                                                                          : std::nullopt;
}

// As a person reads them: 1e-4 is 0.0001, a single value a list of one, and quotes and spaces are no part of a list.
bool same_value(std::string one, std::string other) {
  if (const auto a = as_number(one), b = as_number(other); a && b) return *a == *b;
  for (auto* text : {&one, &other})
    std::erase_if(*text, [](char c) { return c == '\'' || c == '"' || c == ' ' || c == '\n' || c == '[' || c == ']'; });
  return one == other;
}

std::filesystem::path recipe_path(const std::string& name) {
  return source_dir() / "reference_trainer/recipes" / (name + ".toml");
}

std::vector<subcommand> recipe_commands() {
  return {make_prompts_command(), make_self_align_command(), make_sft_command(),    make_sample_command(),
          make_judge_command(),   make_aggregate_command(),  make_reward_command(), make_ppo_command()};
}

// What the stages of a recipe resolve it to, defaults included: all values that any of them has for a key.
std::map<std::string, std::set<std::string>> resolved_values(const std::string& name) {
  std::map<std::string, std::set<std::string>> out;
  const auto commands = recipe_commands();
  for (const auto& stage : recipe_stages(config::load(recipe_path(name)), commands)) {
    config options = config::load(recipe_path(name));
    if (stage.variant) options.set_text(stage.variant->key, "true", stage.variant->flag);
    for (const auto& command : commands) options.allow_sections(command.sections());
    stage_context context(stage.command->name, options, false, true, true);
    context.on_dry_run = [&](const config& read, const auto&) {
      for (const auto& [key, value] : config::parse(read.resolved(), "resolved").given()) out[key].insert(value);
    };
    stage.command->run(options, context);
  }
  return out;
}

// The keys that a recipe says for itself, beside what it extends.
std::vector<std::string> own_keys(const std::string& name) {
  std::ifstream file(recipe_path(name));
  std::map<std::string, std::string> parent;
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with("extends = ")) continue;
    for (const auto& [key, value] : config::load(recipe_path(without(line.substr(line.find('=') + 1), " \"'"))).given())
      parent[key] = value;
  }
  std::vector<std::string> out;
  for (const auto& [key, value] : config::load(recipe_path(name)).given())
    if (!parent.contains(key) || parent.at(key) != value) out.push_back(key);
  return out;
}

}  // namespace

TEST_CASE("recipe values: each recipe resolves to what its table says, and the table leaves out no key") {
  const auto tables = read_value_tables();
  for (const std::string name : {"dromedary-2-70b", "dromedary-2-13b", "dromedary-2-7b", "mistral-7b",
                                 "appendix-a-helpful", "appendix-a-harmless", "appendix-a-honest", "non-evasive"}) {
    CAPTURE(name);
    REQUIRE(tables.contains(name));
    const auto& rows = tables.at(name);
    const auto values = resolved_values(name);
    for (const auto& row : rows) {
      CAPTURE(row.key, row.coho);
      const auto found = values.find(row.key);
      CHECK(found != values.end());
      if (found == values.end()) continue;
      for (const auto& value : found->second) {
        CAPTURE(value);
        CHECK(same_value(value, row.coho));
      }
      // What is neither the paper's nor the scripts' has a reason.
      if (!same_value(row.paper, row.coho) && !same_value(row.scripts, row.coho)) CHECK_FALSE(row.reason.empty());
    }
    for (const auto& key : own_keys(name)) {
      CAPTURE(key);
      CHECK(std::ranges::count(rows, key, &value_row::key) == 1);
    }
  }
  CHECK(tables.size() == 8);
}
