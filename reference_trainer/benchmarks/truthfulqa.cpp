#include "benchmarks/truthfulqa.hpp"

#include <algorithm>
#include <utility>

#include <coho/error.hpp>

#include "jsonl/bad_records.hpp"
#include "jsonl/jsonl.hpp"
#include "jsonl/record_fields.hpp"

namespace coho::trainer {
namespace {

// 0 or 1, or false or true.
bool parse_label(const json& label, const record_fields& record) {
  const bool known =
      label.is_boolean() || (label.is_number() && (label.get<double>() == 0 || label.get<double>() == 1));
  if (!known) record.fail("field \"mc1_targets\" has the label " + label.dump(), "labels are 0 and 1");
  return label.is_boolean() ? label.get<bool>() : label.get<double>() == 1;
}

// A record in either of the two forms of its targets.
truthful_item read_truthful_item(const json& value, const record_fields& record) {
  if (!record.has_all("question", "mc1_targets"))
    record.fail_unknown_form("TruthfulQA",
                             "{\"question\", \"mc1_targets\"}: mc_task.json, or the hub's multiple_choice");
  truthful_item out{.question = record.text("question"), .answers = {}};
  const json& targets = value.at("mc1_targets");
  if (!targets.is_object()) record.fail_type("mc1_targets", "an object");
  const auto choices = targets.find("choices"), labels = targets.find("labels");
  if (choices != targets.end() && choices->is_array() && labels != targets.end() && labels->is_array()) {
    if (choices->size() != labels->size())
      record.fail("field \"mc1_targets\" has " + std::to_string(choices->size()) + " choices and " +
                  std::to_string(labels->size()) + " labels");
    for (std::size_t i = 0; i < choices->size(); ++i) {
      if (!(*choices)[i].is_string()) record.fail("field \"mc1_targets\" has a choice that is not text");
      out.answers.push_back({(*choices)[i].get<std::string>(), parse_label((*labels)[i], record)});
    }
  } else {
    for (const auto& [answer, label] : targets.items()) out.answers.push_back({answer, parse_label(label, record)});
  }
  if (out.answers.size() < 2) record.fail("field \"mc1_targets\" has fewer than two answers");
  const auto right = std::ranges::count_if(out.answers, &truthful_item::candidate::right);
  if (right != 1)
    record.fail("field \"mc1_targets\" marks " + std::to_string(right) + " answers as right, but MC1 has exactly one");
  return out;
}

}  // namespace

std::vector<truthful_item> read_truthfulqa(const std::filesystem::path& path, std::size_t limit) {
  std::vector<truthful_item> out;
  jsonl_reader reader(path);
  const auto read = [&](const json& value) {
    out.push_back(read_truthful_item(value, record_fields(value, reader)));
    return true;
  };
  while (out.size() < limit && next_usable(reader, read)) {
  }
  if (out.empty()) throw file_error(path.string(), "", "contains no questions");
  return out;
}

}  // namespace coho::trainer
