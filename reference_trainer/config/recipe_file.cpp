#include "config/recipe_file.hpp"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "config/config.hpp"
#include "config/toml_values.hpp"
#include "files/data_files.hpp"
#include "files/file_kind.hpp"
#include "files/read_file.hpp"

namespace coho::trainer {
namespace {

namespace fs = std::filesystem;

void merge(toml::table& base, toml::table&& over);

// [prompts.source.dolly] over [[prompts.source]]: its keys for the entry of that name, or a new one.
void merge_entries(toml::array& base, toml::table&& over) {
  for (auto&& [key, value] : over) {
    auto& entry_keys = *value.as_table();
    if (auto* entry = find_entry(base, key.str())) {
      merge(*entry, std::move(entry_keys));
    } else {
      entry_keys.insert_or_assign("name", key.str());
      base.push_back(std::move(entry_keys));
    }
  }
}

// Whether it is a section of named entries, as [prompts.source.dolly] makes it.
bool holds_tables_alone(toml::table& table) {
  return std::ranges::all_of(table, [](const auto& entry) { return entry.second.is_table(); });
}

// Key by key into `base`; values and lists of `over` replace those of `base`.
void merge(toml::table& base, toml::table&& over) {
  for (auto&& [key, value] : over) {
    auto* below = base.get(key.str());
    if (below != nullptr && below->is_table() && value.is_table()) {
      merge(*below->as_table(), std::move(*value.as_table()));
    } else if (below != nullptr && below->is_array_of_tables() && value.is_table() &&
               holds_tables_alone(*value.as_table())) {
      merge_entries(*below->as_array(), std::move(*value.as_table()));
    } else {
      value.visit([&](auto& typed) { base.insert_or_assign(key, std::move(typed)); });
    }
  }
}

// The recipe that one extends: next to it, or a shipped one. Throws file_error at `place`.
fs::path find_base(const std::string& name, const fs::path& recipe, const std::string& place) {
  std::vector<fs::path> candidates;
  for (const fs::path& folder : {recipe.parent_path(), shipped_file("recipes")})
    for (const std::string& file : {name + ".toml", name}) candidates.push_back(folder / file);
  std::error_code ignored;
  bool itself = false;  // a recipe may be named like the shipped one that it extends
  for (const auto& candidate : candidates) {
    if (!fs::is_regular_file(candidate, ignored)) continue;
    if (!fs::equivalent(candidate, recipe, ignored)) return candidate;
    itself = true;
  }
  if (itself) return recipe;
  throw file_error(name, "", "no such recipe, which " + place + " extends",
                   "give a file beside it, or the name of a shipped recipe");
}

// A recipe merged over those that it extends; `above`: the recipes that extend it, so that a circle is refused.
toml::table read_with_bases(const fs::path& path, std::vector<fs::path> above) {
  for (const auto& other : above) {
    std::error_code ignored;
    if (fs::equivalent(other, path, ignored))
      throw config_error(above.back().string() + ": extends " + path.string() + ", which extends it in turn");
  }
  toml::table out = parse_recipe(read_file(path, std::size_t{16} << 20), path.string());
  const auto* extends = out.get("extends");
  if (extends == nullptr) return out;
  const std::string place = path.string() + ":" + std::to_string(extends->source().begin.line);
  if (!extends->is_string()) throw config_error(place + ": extends must be the name of a recipe, a string");
  const fs::path base_path = find_base(extends->as_string()->get(), path, place);
  out.erase("extends");
  above.push_back(path);
  toml::table base = read_with_bases(base_path, std::move(above));
  merge(base, std::move(out));
  return base;
}

}  // namespace

void refuse_dotted_names(const toml::table& table, const std::function<std::string(const toml::node&)>& place) {
  for (const auto& [key, node] : table) {
    const std::string name(key.str());
    if (name.find('.') != std::string::npos)
      throw config_error(place(node) + ": \"" + name +
                         "\" in quotes is one name with a dot in it, which no key has: write " + name +
                         " without quotes");
    if (const auto* inner = node.as_table()) refuse_dotted_names(*inner, place);
    if (const auto* list = node.as_array())
      for (const auto& item : *list)
        if (const auto* entry = item.as_table()) refuse_dotted_names(*entry, place);
  }
}

toml::table parse_recipe(std::string_view text, std::string_view source_name) {
  try {
    toml::table recipe = toml::parse(text, source_name);
    refuse_dotted_names(recipe, [&](const toml::node& node) {
      return std::string(source_name) + ":" + std::to_string(node.source().begin.line);
    });
    return recipe;
  } catch (const toml::parse_error& problem) {
    if (const auto other = recognise_file(text, file_use::text))
      throw config_error(std::string(source_name) + ": " + other->what + "; " + other->mend);
    throw config_error(std::string(source_name) + ":" + std::to_string(problem.source().begin.line) +
                       ": is not TOML: " + std::string(problem.description()));
  }
}

toml::table read_recipe(const fs::path& path) { return read_with_bases(path, {}); }

}  // namespace coho::trainer
