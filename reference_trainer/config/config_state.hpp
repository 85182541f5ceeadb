#pragma once

// For the sources of `config` only: the TOML library is slow to compile.

#include <cstddef>
#include <filesystem>
#include <map>
#include <set>
#include <string>

#include <toml++/toml.h>

#include "config/config.hpp"

namespace coho::trainer {

/// What a config, its sections and its copies share.
struct config::state {
  struct origin {
    std::string place;  // "--set ppo.gae.gamma=2"
    std::string raw;    // the value as typed, for keys that turn out to be strings
    bool has_raw;
    std::size_t number;  // in the order of the command line
  };

  // "recipe.toml:12": of the file that gives the value, this one or one that it extends.
  std::string place_in_file(const toml::node& node) const {
    const auto& [begin, end, path] = node.source();
    return (path ? *path : source_name) + ":" + std::to_string(begin.line);
  }

  std::string source_name;
  toml::table values, read;
  std::map<std::string, origin, std::less<>> overrides;
  std::set<std::string, std::less<>> declared, other_sections;
  bool shared_overrides = false;
  std::multimap<std::string, std::filesystem::path> paths;
};

}  // namespace coho::trainer
