#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "collection/prompt_removal.hpp"

namespace coho::trainer {

/// Counts for one part of a source, if its parts are drawn separately.
struct part_counts {
  std::string name;
  std::size_t read = 0, drawn = 0;
  std::optional<std::size_t> asked{};
};

/// Counts for the records of one source: read = kept + the sum of removed, once its draw is over.
struct prompt_counts {
  std::string name;
  std::filesystem::path path;
  std::size_t read = 0, kept = 0;
  std::optional<std::size_t> asked{};  ///< `count` of the recipe
  std::size_t repaired = 0;            ///< of those measured, the ones that lost unreadable characters
  std::array<std::size_t, prompt_removals> removed{};
  std::map<std::string, std::size_t> languages{};  ///< of those kept
  std::vector<part_counts> parts{};                ///< of a source with `parts`; held-out prompts are included in
                                                   ///< `drawn`

  std::size_t& of(prompt_removal reason) { return removed[static_cast<std::size_t>(reason)]; }
  std::size_t of(prompt_removal reason) const { return removed[static_cast<std::size_t>(reason)]; }
  /// The shortfall against the requested number, with held-out prompts counted as kept.
  std::size_t short_by() const {
    const std::size_t drawn = kept + of(prompt_removal::held_out);
    return asked && *asked > drawn ? *asked - drawn : 0;
  }
  /// Counts a drawn prompt, which was counted as kept, as held out; `language` is its own.
  void hold_out(const std::string& language) {
    --kept;
    ++of(prompt_removal::held_out);
    if (--languages[language] == 0) languages.erase(language);
  }
};

/// The counts of all sources added up, named "total".
prompt_counts sum_counts(const std::vector<prompt_counts>& sources);

/// One row per source and one of totals; one column per reason for which any record was removed.
std::string format_counts_table(const std::vector<prompt_counts>& sources);

/// {"seed", "sources": [{"name","path","read","kept","asked"?,"short_by"?,"repaired","removed":{reason: number},
/// "languages": {code: number}, "parts"?: {name: {"read", "drawn", "asked"?}}}], "total": {…}}; every reason is listed.
nlohmann::ordered_json counts_json(const std::vector<prompt_counts>& sources, std::uint64_t seed);

}  // namespace coho::trainer
