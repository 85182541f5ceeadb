#pragma once

#include <string_view>

namespace coho::trainer {

/// Whether a prompt is a question of natural language inference: a text, a claim, and whether the one follows from the
/// other. Collections made of FLAN and P3, such as OpenOrca, hold many, whose answers are a word; SALMON's released
/// code leaves them out.
///
/// Told by what such questions are written with: a premise and a hypothesis; entailment and contradiction; a request to
/// say whether a claim follows, may be inferred or concluded; the answers "yes, no, or maybe", "true, false, or
/// inconclusive" and "it is not possible to tell". Case and the width of white space do not matter. A prompt that only
/// speaks of a hypothesis is not one.
bool is_inference_question(std::string_view text);

}  // namespace coho::trainer
