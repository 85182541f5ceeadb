#include "architecture/module_pattern.hpp"

#include <algorithm>
#include <cctype>
#include <regex>

namespace coho::trainer {
namespace {

// Whether a pattern has only letters, digits, underscores and dots, of which a dot matches any one character.
bool is_plain(std::string_view pattern) {
  return std::all_of(pattern.begin(), pattern.end(),
                     [](unsigned char c) { return std::isalnum(c) != 0 || c == '_' || c == '.'; });
}

}  // namespace

bool matches_pattern(std::string_view pattern, std::string_view module) {
  if (!is_plain(pattern)) {
    return std::regex_match(module.begin(), module.end(), std::regex("(.*\\.)?(" + std::string(pattern) + ")"));
  }
  // The common case without compiling an expression: a large model has hundreds of modules, possibly a pattern each.
  if (pattern.size() > module.size()) return false;
  const auto before = module.size() - pattern.size();
  if (before > 0 && module[before - 1] != '.') return false;
  return std::equal(pattern.begin(), pattern.end(), module.begin() + static_cast<std::ptrdiff_t>(before),
                    [](char p, char c) { return p == '.' || p == c; });
}

}  // namespace coho::trainer
