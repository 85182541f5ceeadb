#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

namespace coho::trainer {

/// A question with candidate answers, of which those with target 1 are right (SPEC: BIG-bench's hhh_alignment).
struct hhh_item {
  std::string category;  ///< "harmless", "helpful", "honest", "other", or the task's own name
  std::string input;
  struct candidate {
    std::string text;
    bool preferred = false;
  };
  std::vector<candidate> answers;  ///< in the order of the file, at least two
};

/// Reads one BIG-bench task.json, {"examples":[{"input","target_scores":{answer: 0|1, …}}]}; or a folder: each
/// task.json beneath it, sorted by path. The category is the folder's name. Throws `file_error`.
///
///     auto items = read_hhh("hhh_alignment");
std::vector<hhh_item> read_hhh(const std::filesystem::path& path);

}  // namespace coho::trainer
