#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <coho/train/direct_preference_examples.hpp>

#include "datasets/preference_data.hpp"
#include "models/prompter.hpp"

namespace coho::trainer {

/// What a record of preference data holds: a chosen and a rejected response, or one response with a label
/// (labelled_record).
enum class preference_form : std::uint8_t { pairs, labelled };
constexpr auto option_names(preference_form) { return std::array{"pairs", "labelled"}; }

/// Pairs, or labelled responses, as tokens.
struct preference_examples {
  std::vector<direct_preference_example> training{}, held_out{};
  std::vector<std::string> held_out_lines{};  ///< the records that `evaluation_share` splits off, as JSON
  std::vector<std::string> notes{};  ///< lines for the user: the pairs of each file, and what of them is not used
};

/// Reads preference records of that form and lays them out for a policy: prompt and responses are the tokens that `sft`
/// trains on
/// (`make_supervised_example`), with an end token unless `max_response_tokens` (0: no limit) cuts the response; such
/// responses are counted in `dropped_parts`. Pairs are held out as `open_preferences` does. Pairs whose responses have
/// the same tokens are not trained on, and counted, as are margins and principles, which a policy does not read. Throws
/// file_error for a record that cannot be used, among them one that is labelled under a negated principle;
/// argument_error if a side is empty. A labelled response is an example with only a chosen one, or only a rejected one,
/// of its record's weight.
preference_examples read_preference_examples(const preference_files& files, preference_form form,
                                             const prompter& prompts, std::size_t max_response_tokens,
                                             std::uint64_t seed);

}  // namespace coho::trainer
