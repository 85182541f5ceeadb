#pragma once

#include <filesystem>
#include <vector>

#include <coho/prompt/self_align_prompt.hpp>

namespace coho::trainer {

/// Reads exemplars of self-alignment: a JSON array of {"question", "input"?, "thoughts", "answer"}. The input stands
/// below the question as a record's below its instruction.
///
/// Throws `file_error` that names the entry for a missing, empty or mistyped member, a member that the form does not
/// have, and an empty list.
///
///     auto exemplars = coho::trainer::load_exemplars("prompts/self_align_exemplars.json");
std::vector<self_align_exemplar> load_exemplars(const std::filesystem::path& path);

}  // namespace coho::trainer
