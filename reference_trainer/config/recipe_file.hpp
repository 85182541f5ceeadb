#pragma once

// For the sources of `config` only: the TOML library is slow to compile.

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include <toml++/toml.h>

namespace coho::trainer {

/// The TOML text of a recipe. Throws `config_error` with the line where it is not TOML, or a name in quotes holds a
/// dot.
toml::table parse_recipe(std::string_view text, std::string_view source_name);

/// A recipe file merged over the one that it extends, if any:
///
///     extends = "dromedary-2-70b"   # a file next to this one, or a shipped recipe; ".toml" may be left out
///     [ppo]
///     steps = 50
///
/// Sections are merged key by key, and this file's values win; lists are replaced whole, but
/// `[prompts.source.dolly]` over a list `[[prompts.source]]` is merged with its entry of that name. Values remember the
/// file and line that they come from. Throws `file_error` where a file is missing, `config_error` where it is not TOML,
/// `extends` is not a name, or recipes extend each other in a circle.
toml::table read_recipe(const std::filesystem::path& path);

/// Throws `config_error` for a name in quotes that holds a dot: no key has one, and it could not be told from a section
/// and its key. `place` gives a node's place in the message.
void refuse_dotted_names(const toml::table& table, const std::function<std::string(const toml::node&)>& place);

}  // namespace coho::trainer
