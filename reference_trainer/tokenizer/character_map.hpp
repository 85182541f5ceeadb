#pragma once

#include <string>
#include <string_view>

namespace coho::trainer {

/// What is wrong with the precompiled character map of a sentencepiece model (a double-array trie and the strings that
/// it points to), which the sentencepiece library follows without checks; empty if nothing is. An empty map is valid.
///
///     check_character_map(normalizer_spec.precompiled_charsmap);  // "its trie has a cycle"
std::string check_character_map(std::string_view map);

}  // namespace coho::trainer
