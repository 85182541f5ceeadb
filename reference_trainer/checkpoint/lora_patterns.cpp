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

/// The name of a linear, such as "q_proj", from its path.
std::string linear_name_in(const std::string& module) { return module.substr(module.rfind('.') + 1); }

/// Only scales are kept in memory: an alpha computed from one is restored to the whole number that it came from.
double restore_integer(double alpha) {
  const double whole = std::round(alpha);
  return std::abs(alpha - whole) < 1e-9 * std::abs(alpha) ? whole : alpha;
}

/// The most frequent value, the smallest one of several.
template <class Value>
Value most_common(const std::map<std::string, Value>& by_module) {
  std::map<Value, std::size_t> counts;
  for (const auto& entry : by_module) ++counts[entry.second];
  const auto fewer = [](const auto& x, const auto& y) { return x.second < y.second; };
  return std::max_element(counts.begin(), counts.end(), fewer)->first;
}

/// Patterns for the modules whose value differs from the common one: the linear's name if all layers agree on its
/// value, otherwise full paths.
template <class Value>
std::vector<std::pair<std::string, Value>> exception_patterns(const std::map<std::string, Value>& by_module,
                                                              Value common) {
  std::map<std::string, std::set<Value>> values_by_name;
  for (const auto& [module, value] : by_module) values_by_name[linear_name_in(module)].insert(value);
  std::vector<std::pair<std::string, Value>> patterns;
  for (const auto& [name, values] : values_by_name) {
    if (values.size() == 1 && *values.begin() != common) patterns.emplace_back(name, *values.begin());
  }
  for (const auto& [module, value] : by_module) {
    if (values_by_name.at(linear_name_in(module)).size() > 1 && value != common) patterns.emplace_back(module, value);
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

void infer_lora_config(lora_weights& adapter, const std::map<std::string, double>& scales, std::int64_t layers) {
  adapter.rank_pattern.clear();
  adapter.alpha_pattern.clear();
  adapter.target_modules.clear();
  adapter.target_pattern.clear();
  if (adapter.modules.empty()) return;
  std::map<std::string, std::int64_t> ranks, count;
  std::map<std::string, double> alphas;
  for (const auto& [module, pair] : adapter.modules) {
    const auto scale = scales.find(module);
    require_argument(scale != scales.end(), "infer_lora_config: there is no scale for " + module);
    const auto rank = pair.a.size(0);
    const auto r = static_cast<double>(rank);
    ranks[module] = rank;
    alphas[module] = restore_integer(scale->second * (adapter.use_rslora ? std::sqrt(r) : r));
    ++count[linear_name_in(module)];
  }
  adapter.rank = most_common(ranks);
  adapter.alpha = most_common(alphas);
  adapter.rank_pattern = exception_patterns(ranks, adapter.rank);
  adapter.alpha_pattern = exception_patterns(alphas, adapter.alpha);
  for (const auto& [name, modules] : count) {
    if (modules == layers) adapter.target_modules.push_back(name);
  }
  for (const auto& entry : adapter.modules) {
    if (count.at(linear_name_in(entry.first)) != layers) adapter.target_modules.push_back(entry.first);
  }
}

}  // namespace coho::trainer
