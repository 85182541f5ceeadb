#pragma once

#include <string>
#include <string_view>

namespace coho::trainer {

/// The current name of an earlier version's key: "ppo.shaping.kl_coefficient" for "ppo.kl_coefficient". Empty where the
/// key was never renamed.
std::string renamed_key(std::string_view key);

/// The same for a misspelt one: "sft.learning_rate.peak" for "sft.learning_rte". Empty where no former key is near.
std::string nearest_renamed_key(std::string_view key);

}  // namespace coho::trainer
