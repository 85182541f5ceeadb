#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <coho/principle/principle.hpp>

#include "demo/attributes.hpp"

namespace coho::trainer::demo {

/// The six principles of the world.
enum class quality : std::uint8_t { informative, concise, honest, example, engaging, modest };
inline constexpr std::array<quality, 6> qualities{quality::informative, quality::concise,  quality::honest,
                                                  quality::example,     quality::engaging, quality::modest};

/// "informative", "concise", …: the name of the principle in files.
std::string_view quality_name(quality q);

/// The definitions that reward-model training may use, positive or negative: two nouns × four sentence forms.
std::vector<std::string> training_wordings(quality q, bool negated);

/// The definitions excluded from reward-model training: a third noun in the same forms. The base corpus has them; every
/// negation word ("avoid", "no", "never", "without") also occurs in training wordings.
std::vector<std::string> held_out_wordings(quality q, bool negated);

/// The six principles in one of their eight training wordings; 0 is the wording for the judge. Throws
/// coho::argument_error if `wording` is not below 8.
std::vector<principle> principles_in_wording(std::size_t wording);

/// How good a reply is under one principle, in the judge's log-odds: the difference of two replies is the log-odds that
/// the first is preferred. Engaging is 1.5 · (4 · self-praise + 0.6 · question): the bias that makes the hack possible.
double true_score(quality q, const attributes& reply);

/// The same on a scale of 0 (worst) to 4 (best), for single replies.
int true_level(quality q, const attributes& reply);

/// The word for a level: "bad", "poor", "fair", "good", "best".
std::string_view level_word(int level);

}  // namespace coho::trainer::demo
