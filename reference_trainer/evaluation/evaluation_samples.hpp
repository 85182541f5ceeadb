#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

#include "records/records.hpp"

namespace coho::trainer {

/// A response that a policy gave during training.
struct evaluation_sample {
  std::uint64_t step = 0;  ///< updates done so far
  std::string prompt;
  prompt_type type = prompt_type::general;
  std::string response;
  double score = 0;  ///< of the reward model, raw
  bool finished = false;
  bool language_match = false;
  friend bool operator==(const evaluation_sample&, const evaluation_sample&) = default;
};

/// Whether a file starts like one that `write_samples` wrote; `coho sample` writes files of the same name.
bool is_samples_file(const std::filesystem::path& path);

/// Writes samples after those of earlier steps in a JSON Lines file; lines at or after `step`, which an abandoned run
/// left, are removed. The file is complete at all times. Without samples: only removes what an abandoned run left,
/// and the file with its last line.
///
///     {"step":0,"prompt":"…","type":"general","response":"…","score":1.2,"finished":true,"language_match":true}
void write_samples(const std::filesystem::path& path, std::uint64_t step, std::span<const evaluation_sample> samples);

/// A table for the terminal, whose long texts are cut.
std::string samples_table(std::span<const evaluation_sample> samples);
/// The same as a table of Markdown, texts in full.
std::string samples_markdown(std::span<const evaluation_sample> samples);

}  // namespace coho::trainer
