#pragma once

#include <filesystem>
#include <iostream>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "commands/commands.hpp"
#include "files/json_file.hpp"
#include "records/records.hpp"
#include "support/stage_runs.hpp"
#include "support/temporary_directory.hpp"

namespace coho::test::prompt_sets {

/// What is written to the standard output in its time.
struct printed_text {
  std::ostringstream text{};
  std::streambuf* const before = std::cout.rdbuf(text.rdbuf());
  ~printed_text() { std::cout.rdbuf(before); }
};

/// Runs the stage and returns the table that it prints.
inline std::string prepare(const settings& given, bool resume = false) {
  const printed_text table;
  run_stage(trainer::run_prompts, given, resume);
  return table.text.str();
}

inline settings source(const std::string& name, const std::filesystem::path& path, const settings& more = {}) {
  settings out{"prompts.source." + name + ".path=" + path.string()};
  for (const auto& each : more) out.push_back("prompts.source." + name + "." + each);
  return out;
}

inline settings to(const temporary_directory& folder, const std::string& name = "out.jsonl") {
  return {"out=" + (folder / name).string(), "prompts.tokenizer=" + demo_base().string(), "prompts.maximum_tokens=100"};
}

inline std::vector<std::string> texts_of(const std::filesystem::path& path) {
  std::vector<std::string> out;
  for (const auto& record : trainer::read_records<trainer::prompt_record>(path)) out.push_back(record.text());
  return out;
}

inline std::set<std::string> set_of(const std::vector<std::string>& texts) { return {texts.begin(), texts.end()}; }

/// A file of so many prompts, each of its own.
inline std::filesystem::path numbered(const temporary_directory& folder, const std::string& name, std::size_t count,
                                      bool reversed = false) {
  std::string lines;
  for (std::size_t i = 0; i < count; ++i) {
    const auto n = reversed ? count - 1 - i : i;
    lines += "{\"prompt\":\"" + name + " question " + std::to_string(n) + "\"}\n";
  }
  write_bytes(folder / (name + ".jsonl"), lines);
  return folder / (name + ".jsonl");
}

inline void check_sums(const std::filesystem::path& path) {
  const auto counts = trainer::read_json(path);
  auto parts = counts.at("sources");
  parts.push_back(counts.at("total"));
  for (const auto& each : parts) {
    CAPTURE(each.dump());
    std::size_t removed = 0, spoken = 0;
    for (const auto& [reason, count] : each.at("removed").items()) removed += count.get<std::size_t>();
    for (const auto& [language, count] : each.at("languages").items()) spoken += count.get<std::size_t>();
    CHECK(each.at("read") == each.at("kept").get<std::size_t>() + removed);
    CHECK(each.at("kept") == spoken);
  }
}

}  // namespace coho::test::prompt_sets
