#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "records/records.hpp"

namespace coho::trainer {

/// An assistant's identity.
struct assistant_identity {
  std::string name;   ///< replaces {name}
  std::string maker;  ///< replaces {maker}: "the Coho team"
};

/// Questions to an assistant about itself, with answers: a JSON array of {"questions": [text …], "answers": [text …]},
/// where every question is combined with every answer. {name} and {maker} are substituted in both; substituted text is
/// not searched for placeholders.
///
/// Throws `file_error` naming the entry for a missing, empty or mistyped member, a member that the form does not have,
/// another placeholder, and an empty list.
///
///     auto records = load_identity_records(shipped_file("prompts/identity.json"), {"Dromedary-2", "an open research team"});
std::vector<sft_record> load_identity_records(const std::filesystem::path& path, const assistant_identity& identity);

}  // namespace coho::trainer
