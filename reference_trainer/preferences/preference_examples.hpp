#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <coho/train/direct_preference_examples.hpp>

#include "datasets/preference_data.hpp"
#include "models/prompter.hpp"
#include "records/records.hpp"

namespace coho::trainer {

/// Pairs as tokens.
struct preference_examples {
  std::vector<direct_preference_example> training{}, held_out{};
  std::vector<preference_record> held_out_records{};  ///< only of those split off by `evaluation_share`
  std::vector<std::string> notes{};  ///< lines for the user: the pairs of each file, and what of them is not used
};

/// Reads preference records and lays them out for a policy: prompt and responses are the tokens that `sft` trains on
/// (`make_supervised_example`), with an end token unless `max_response_tokens` (0: no limit) cuts the response; such
/// responses are counted in `dropped_parts`. Pairs are held out as `open_preferences` does. Pairs whose responses have
/// the same tokens are not trained on, and counted, as are margins and principles, which a policy does not read. Throws
/// file_error for a record that cannot be used, among them one that is labelled under a negated principle;
/// argument_error if a side is empty.
preference_examples read_preference_examples(const preference_files& files, const prompter& prompts,
                                             std::size_t max_response_tokens, std::uint64_t seed);

/// Writes records, one JSON line each: the held-out pairs, for other measurements.
void write_records(const std::vector<preference_record>& records, const std::filesystem::path& path);

}  // namespace coho::trainer
