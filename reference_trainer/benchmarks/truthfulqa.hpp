#pragma once

#include <cstddef>
#include <filesystem>
#include <limits>
#include <string>
#include <vector>

namespace coho::trainer {

/// A question of TruthfulQA's multiple choice (Lin et al. 2022) with its MC1 answers, of which one is true.
struct truthful_item {
  std::string question;
  struct candidate {
    std::string text;
    bool right = false;
  };
  std::vector<candidate> answers;  ///< in the order of the file, at least two
};

/// Reads the first `limit` questions of a file, JSON list or JSON Lines (gzip too). Records are {"question",
/// "mc1_targets"}, where the targets are {answer: 0|1, …} as in TruthfulQA's own mc_task.json, or {"choices": […],
/// "labels": […]} as on the Hugging Face hub; other members are passed over. Throws `file_error` with the record's
/// place for another form, fewer than two answers, or not exactly one right answer.
///
///     auto items = read_truthfulqa("mc_task.json");
std::vector<truthful_item> read_truthfulqa(const std::filesystem::path& path,
                                           std::size_t limit = std::numeric_limits<std::size_t>::max());

}  // namespace coho::trainer
