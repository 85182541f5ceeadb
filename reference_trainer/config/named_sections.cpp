#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "config/config.hpp"
#include "config/config_state.hpp"
#include "config/toml_values.hpp"

namespace coho::trainer {

std::vector<std::string> config::keys(std::string_view name) const {
  auto path = full_key(name);
  if (path.ends_with('.')) path.pop_back();
  const toml::node* node = path.empty() ? &state_->values : find_node(state_->values, path);
  std::vector<std::pair<toml::source_index, std::string>> found;
  if (node != nullptr && node->is_table()) {
    for (const auto& [key, value] : *node->as_table()) found.emplace_back(key.source().begin.line, key.str());
  }
  std::ranges::stable_sort(found, {}, &std::pair<toml::source_index, std::string>::first);
  std::vector<std::string> out;
  for (auto& entry : found) out.push_back(std::move(entry.second));
  return out;
}

std::vector<std::pair<std::string, config>> config::named_sections(std::string_view key) const {
  const auto path = full_key(key);
  const auto* node = find_node(state_->values, path);
  if (node == nullptr) return {};
  std::vector<std::string> names;
  const auto add = [&](const toml::node& entry, const std::string& name) {
    const auto at = state_->place_in_file(entry) + ": " + path;
    if (!entry.is_table()) throw config_error(at + " must be a list of sections: [[" + path + "]]");
    if (name.find('.') != std::string::npos || !is_bare_key(name))
      throw config_error(at + ": an entry needs a name of letters, digits, _ and -, such as name = \"first\"");
    if (std::ranges::find(names, name) != names.end()) throw config_error(at + ": two entries have the name " + name);
    names.push_back(name);
  };
  if (const auto* list = node->as_array()) {
    for (const auto& entry : *list) {
      const auto* table = entry.as_table();
      add(entry, table == nullptr ? "" : (*table)["name"].value<std::string>().value_or(""));
    }
  } else if (const auto* table = node->as_table()) {
    auto all = keys(key);
    // Those of the recipe have line numbers; those only from overrides follow in the given order.
    const auto given = [&](const std::string& name) -> std::size_t {
      if (table->find(name)->first.source().begin.line > 0) return 0;
      std::size_t first = state_->overrides.size();
      for (const auto& [set, origin] : state_->overrides)
        if (set.starts_with(path + "." + name + ".")) first = std::min(first, origin.number);
      return 1 + first;
    };
    std::ranges::stable_sort(all, {}, given);
    for (const auto& name : all) add(*table->get(name), name);
  } else {
    add(*node, "");
  }
  toml::array read;
  std::vector<std::pair<std::string, config>> out;
  for (const auto& name : names) {
    state_->declared.insert(path + "." + name + ".name");
    read.push_back(toml::table{{"name", name}});
    out.emplace_back(name, section(std::string(key) + "." + name));
  }
  store(state_->read, path, std::move(read));
  return out;
}

}  // namespace coho::trainer
