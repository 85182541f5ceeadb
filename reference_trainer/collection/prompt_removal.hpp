#pragma once

#include <array>
#include <cstddef>
#include <string_view>

namespace coho::trainer {

/// Why a record of a source of prompts does not come into the set.
enum class prompt_removal {
  bad_record,      ///< not to be read at all, and passed over as --skip-bad says
  not_first_turn,  ///< a reply, a later part of a conversation, or a conversation that an answer begins
  deleted,         ///< marked so by its collection, or turned down by its reviewers
  empty,           ///< no text, or none after cleaning
  damaged,         ///< too many characters that cannot be read
  duplicate,       ///< of a prompt that was read before, of whatever source
  too_short,
  too_long,
  language,   ///< none of those wanted
  not_drawn,  ///< passed over by the draw
  category,   ///< of a kind that its source's `categories` leaves out
  part,       ///< of a part of its collection that its source's `parts` leaves out
  inference,  ///< a question of natural language inference, where its source leaves them out
  excluded,   ///< in a file of prompts that the set must not hold
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
