#include "checkpoint/lora_patterns.hpp"

#include <algorithm>
#include <cmath>
#include <regex>
#include <set>
#include <utility>
#include <vector>

#include <coho/error.hpp>

namespace coho::trainer {
namespace {

std::string last_part(const std::string& module) { return module.substr(module.rfind('.') + 1); }

/// Scales are stored, alphas are written: a third or a root is restored to the whole number that it came from.
double rounded(double alpha) {
  const double whole = std::round(alpha);
  return std::abs(alpha - whole) < 1e-9 * std::abs(alpha) ? whole : alpha;
}

template <class Value>
Value commonest(const std::map<std::string, Value>& by_module) {
  std::map<Value, std::size_t> counts;
  for (const auto& entry : by_module) ++counts[entry.second];
  const auto fewer = [](const auto& x, const auto& y) { return x.second < y.second; };
  return std::max_element(counts.begin(), counts.end(), fewer)->first;
}

/// Patterns for the modules whose value differs from the common one.
template <class Value>
std::vector<std::pair<std::string, Value>> exceptions(const std::map<std::string, Value>& by_module, Value common) {
  std::map<std::string, std::set<Value>> of_name;
  for (const auto& [module, value] : by_module) of_name[last_part(module)].insert(value);
  std::vector<std::pair<std::string, Value>> patterns;
  for (const auto& [name, values] : of_name) {
    if (values.size() == 1 && *values.begin() != common) patterns.emplace_back(name, *values.begin());
  }
  for (const auto& [module, value] : by_module) {
    if (of_name.at(last_part(module)).size() > 1 && value != common) patterns.emplace_back(module, value);
  }
  return patterns;
}

}  // namespace

bool is_target(const lora_weights& adapter, std::string_view module) {
  if (adapter.target_pattern == "all-linear") return true;
  if (!adapter.target_pattern.empty()) {
    return std::regex_match(module.begin(), module.end(), std::regex(adapter.target_pattern));
  }
  return std::any_of(adapter.target_modules.begin(), adapter.target_modules.end(), [&](const std::string& target) {
    return module.ends_with(target) &&
           (module.size() == target.size() || module[module.size() - target.size() - 1] == '.');
  });
}

void describe_modules(lora_weights& adapter, const std::map<std::string, double>& scales, std::int64_t layers) {
  adapter.rank_pattern.clear();
  adapter.alpha_pattern.clear();
  adapter.target_modules.clear();
  adapter.target_pattern.clear();
  if (adapter.modules.empty()) return;
  std::map<std::string, std::int64_t> ranks, count;
  std::map<std::string, double> alphas;
  for (const auto& [module, pair] : adapter.modules) {
    const auto scale = scales.find(module);
    require_argument(scale != scales.end(), "describe_modules: there is no scale for " + module);
    const auto rank = pair.a.size(0);
    const auto r = static_cast<double>(rank);
    ranks[module] = rank;
    alphas[module] = rounded(scale->second * (adapter.use_rslora ? std::sqrt(r) : r));
    ++count[last_part(module)];
  }
  adapter.rank = commonest(ranks);
  adapter.alpha = commonest(alphas);
  adapter.rank_pattern = exceptions(ranks, adapter.rank);
  adapter.alpha_pattern = exceptions(alphas, adapter.alpha);
  for (const auto& [name, modules] : count) {
    if (modules == layers) adapter.target_modules.push_back(name);
  }
  for (const auto& entry : adapter.modules) {
    if (count.at(last_part(entry.first)) != layers) adapter.target_modules.push_back(entry.first);
  }
}

}  // namespace coho::trainer
