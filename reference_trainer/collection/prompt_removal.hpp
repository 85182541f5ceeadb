#pragma once

#include <array>
#include <cstddef>
#include <string_view>

namespace coho::trainer {

/// Why a record of a prompt source is not in the set.
enum class prompt_removal {
  bad_record,      ///< unreadable, and skipped because of --skip-bad
  not_first_turn,  ///< a reply, a later part of a conversation, or a conversation that begins with an answer
  deleted,         ///< marked as deleted by its collection, or rejected by its reviewers
  empty,           ///< no text, or none after cleaning
  damaged,         ///< too many unreadable characters
  duplicate,       ///< of a prompt read before, from any source
  too_short,
  too_long,
  language,   ///< not among the requested languages
  not_drawn,  ///< not selected by the draw
  category,   ///< of a kind that its source's `categories` excludes
  part,       ///< of a part of its collection that its source's `parts` excludes
  inference,  ///< a question of natural language inference, if its source excludes them
  excluded,   ///< in a file of prompts that the set must not contain
  held_out,   ///< drawn, and written to the file of held-out prompts
};
inline constexpr std::size_t prompt_removals = 15;

/// "not_first_turn" and so on: keys of the file of counts.
constexpr std::string_view name_of(prompt_removal reason) {
  constexpr std::array<std::string_view, prompt_removals> names{
      "bad_record", "not_first_turn", "deleted",  "empty", "damaged",   "duplicate", "too_short", "too_long",
      "language",   "not_drawn",      "category", "part",  "inference", "excluded",  "held_out"};
  return names[static_cast<std::size_t>(reason)];
}

}  // namespace coho::trainer
