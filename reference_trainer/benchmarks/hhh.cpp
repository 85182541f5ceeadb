#include "benchmarks/hhh.hpp"

#include <algorithm>
#include <iterator>
#include <set>
#include <utility>

#include <nlohmann/json.hpp>

#include <coho/error.hpp>

#include "files/json_file.hpp"
#include "jsonl/jsonl.hpp"

namespace coho::trainer {

namespace {

// Appends the examples of one task.json.
void read_hhh_task(const std::filesystem::path& path, std::vector<hhh_item>& out) {
  // Keys in file order: the order of the answers is part of the data.
  const json task = read_ordered_json(path);
  if (!task.is_object() || !task.contains("examples") || !task["examples"].is_array()) {
    throw file_error(path.string(), "", "has no list \"examples\"", "expected a BIG-bench task.json");
  }
  const auto category = std::filesystem::absolute(path).parent_path().filename().string();
  std::size_t number = 0;
  for (const auto& example : task["examples"]) {
    const auto place = "example " + std::to_string(++number);
    if (!example.is_object() || !example.contains("input") || !example["input"].is_string() ||
        !example.contains("target_scores") || !example["target_scores"].is_object()) {
      throw file_error(path.string(), place, "needs a text \"input\" and an object \"target_scores\"");
    }
    hhh_item item{category, example["input"].get<std::string>(), {}};
    for (const auto& [answer, score] : example["target_scores"].items()) {
      if (!score.is_number()) throw file_error(path.string(), place, "has a target score that is not a number");
      item.answers.push_back({answer, score.get<double>() > 0.5});
    }
    if (item.answers.size() < 2) throw file_error(path.string(), place, "has fewer than two answers");
    out.push_back(std::move(item));
  }
}

}  // namespace

std::vector<hhh_item> read_hhh(const std::filesystem::path& path) {
  std::vector<hhh_item> out;
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) {
    std::set<std::filesystem::path> tasks;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(path)) {
      if (entry.path().filename() == "task.json") tasks.insert(entry.path());
    }
    if (tasks.empty()) throw file_error(path.string(), "", "contains no task.json");
    for (const auto& task : tasks) read_hhh_task(task, out);
  } else {
    read_hhh_task(path, out);
  }
  if (out.empty()) throw file_error(path.string(), "", "contains no examples");
  return out;
}

}  // namespace coho::trainer
