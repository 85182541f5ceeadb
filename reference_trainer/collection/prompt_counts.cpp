#include "collection/prompt_counts.hpp"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "observe/table.hpp"

namespace coho::trainer {
namespace {

// One source, or the total, which has no path.
nlohmann::ordered_json counts_to_json(const prompt_counts& counts) {
  nlohmann::ordered_json out{{"name", counts.name}};
  if (!counts.path.empty()) out["path"] = counts.path.string();
  out["read"] = counts.read;
  out["kept"] = counts.kept;
  if (counts.asked) out["asked"] = *counts.asked;
  if (counts.short_by() > 0) out["short_by"] = counts.short_by();
  out["repaired"] = counts.repaired;
  for (std::size_t i = 0; i < prompt_removals; ++i)
    out["removed"][std::string(name_of(static_cast<prompt_removal>(i)))] = counts.removed[i];
  out["languages"] = counts.languages;
  for (const auto& part : counts.parts) {
    auto& entry = out["parts"][part.name] = {{"read", part.read}, {"drawn", part.drawn}};
    if (part.asked) entry["asked"] = *part.asked;
  }
  return out;
}

}  // namespace

prompt_counts sum_counts(const std::vector<prompt_counts>& sources) {
  prompt_counts out{.name = "total", .path = {}};
  for (const auto& source : sources) {
    out.read += source.read;
    out.kept += source.kept;
    out.repaired += source.repaired;
    for (std::size_t i = 0; i < prompt_removals; ++i) out.removed[i] += source.removed[i];
    for (const auto& [language, count] : source.languages) out.languages[language] += count;
  }
  return out;
}

std::string format_counts_table(const std::vector<prompt_counts>& sources) {
  const auto total = sum_counts(sources);
  std::vector<std::string> columns{"source", "read", "kept"};
  std::vector<std::size_t> shown;
  for (std::size_t i = 0; i < prompt_removals; ++i) {
    if (total.removed[i] == 0) continue;
    shown.push_back(i);
    std::string heading(name_of(static_cast<prompt_removal>(i)));
    std::ranges::replace(heading, '_', ' ');
    columns.push_back(std::move(heading));
  }
  text_table table(columns);
  const auto add = [&](const prompt_counts& counts) {
    std::vector<std::string> row{counts.name, std::to_string(counts.read), std::to_string(counts.kept)};
    for (const auto i : shown) row.push_back(std::to_string(counts.removed[i]));
    table.add_row(std::move(row));
  };
  for (const auto& source : sources) add(source);
  add(total);
  return table.text();
}

nlohmann::ordered_json counts_json(const std::vector<prompt_counts>& sources, std::uint64_t seed) {
  nlohmann::ordered_json out{{"seed", seed}, {"sources", nlohmann::ordered_json::array()}};
  for (const auto& source : sources) out["sources"].push_back(counts_to_json(source));
  out["total"] = counts_to_json(sum_counts(sources));
  return out;
}

}  // namespace coho::trainer
