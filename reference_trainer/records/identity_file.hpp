#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "records/records.hpp"

namespace coho::trainer {

/// Who an assistant says it is.
struct assistant_identity {
  std::string name;   ///< in the place of {name}
  std::string maker;  ///< in the place of {maker}: "the Coho team"
};

/// Questions to an assistant about itself, with answers: a JSON array of {"questions": [text …], "answers": [text …]},
/// of which every question goes with every answer. In both {name} and {maker} are filled in; what is filled in is not
/// looked at for placeholders.
///
/// Throws `file_error` that names the entry for a missing, empty or mistyped member, a member that the form does not
/// have, another placeholder, and an empty list.
///
///     auto records = load_identity(shipped("prompts/identity.json"), {"Dromedary-2", "an open research team"});
std::vector<sft_record> load_identity(const std::filesystem::path& path, const assistant_identity& identity);

}  // namespace coho::trainer
