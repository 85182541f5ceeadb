#pragma once

// For the sources of `config` only: the TOML library is slow to compile.

#include <cstddef>
#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>

#include <toml++/toml.h>

#include "config/config.hpp"
#include "config/toml_values.hpp"

namespace coho::trainer {

/// What a config, its sections and its copies share.
struct config::state {
  struct origin {
    std::string place;  // "--set ppo.gae.gamma=2"
    std::string raw;    // the value as typed, for keys that turn out to be strings
    bool has_raw;
    std::size_t number;  // in the order of the command line
  };

  // The value as the parser made it: a copy does not know its line.
  const toml::node* parsed(std::string_view name) const {
    return original ? original->parsed(name) : find_node(values, name);
  }
  // "recipe.toml:12": of the file that gives the value, this one or one that it extends.
  std::string place_in_file(const toml::node& node) const {
    const auto& [begin, end, path] = node.source();
    return (path ? *path : source_name) + ":" + std::to_string(begin.line);
  }

  std::string source_name;
  toml::table values, read;
  std::shared_ptr<const state> original{};  ///< of a clone
  std::map<std::string, origin, std::less<>> overrides;
  std::set<std::string, std::less<>> declared, other_sections;
  std::map<std::string, shared_key> shared;
  bool shared_overrides = false;
  std::multimap<std::string, std::filesystem::path> paths;
};

}  // namespace coho::trainer
