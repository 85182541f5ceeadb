#include "datasets/preference_data.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

#include <nlohmann/json.hpp>

#include <coho/error.hpp>
#include <coho/principle/negation.hpp>
#include <coho/reward/empty_response.hpp>
#include <coho/rng.hpp>

#include "files/atomic_file.hpp"
#include "files/data_files.hpp"
#include "resources/principle_file.hpp"

namespace coho::trainer {
namespace {

namespace fs = std::filesystem;
using record_visitor = std::function<void(const preference_record&, const jsonl_reader&)>;

// 0 … count − 1.
std::vector<std::uint32_t> all_indices(std::size_t count) {
  std::vector<std::uint32_t> out(count);
  std::iota(out.begin(), out.end(), std::uint32_t{0});
  return out;
}

// Opens files, calling `check` on each record, and notes how many pairs of each were kept.
std::shared_ptr<const preference_set::store> open_store(const std::vector<fs::path>& paths, std::size_t limit,
                                                        const column_choice& columns, const record_visitor& check,
                                                        std::vector<std::string>& notes) {
  auto out = std::make_shared<const preference_set::store>(paths, limit, check, columns);
  for (const auto& file : out->files())
    notes.push_back(file.path.string() + ": pairs " + std::to_string(file.kept) + ", left out " +
                    std::to_string(file.left_out));
  return out;
}

// Whether the reward model reads the same for both responses of a record.
bool has_same_tokens(const preference_record& record, std::span<const principle> collection,
                     const std::function<bool(const preference_pair&)>& same_tokens) {
  return same_tokens(preference_batch({record}, collection).pairs().front());
}

}  // namespace

std::vector<std::string> principle_definitions(const preference_record& record, std::span<const principle> collection) {
  std::vector<std::string> out;
  for (const auto& chosen : record.principles) {
    if (!chosen.text.empty()) {
      out.push_back(chosen.text);
      continue;
    }
    const auto found = std::ranges::find(collection, chosen.name, &principle::name);
    require_argument(found != collection.end(),
                     "the record has the name \"" + chosen.name +
                         "\" of a principle without its definition; give the file that defines it as `principles`");
    out.push_back(definition_of(*found, chosen.negated));
  }
  return out;
}

preference_batch::preference_batch(std::vector<preference_record> records, std::span<const principle> collection,
                                   bool margins)
    : records_(std::move(records)) {
  for (const auto& record : records_) {
    prompts_.push_back(record.prompt.text());
    definitions_.push_back(principle_definitions(record, collection));
  }
  const auto query = [&](std::size_t i, const std::string& response) {
    return reward_query{.prompt_tokens = {},
                        .response_tokens = {},
                        .prompt = prompts_[i],
                        .response = response,
                        .principles = definitions_[i]};
  };
  for (std::size_t i = 0; i < records_.size(); ++i)
    pairs_.push_back({.chosen = query(i, records_[i].chosen()),
                      .rejected = query(i, records_[i].rejected()),
                      .loss_margin = margins && records_[i].principles.empty() ? records_[i].label_margin : 0.0});
}

const preference_batch& preference_set::fetch(std::span<const std::size_t> indices) {
  std::vector<preference_record> records;
  for (const std::size_t i : indices) records.push_back((*records_)[chosen_.at(i)]);
  batch_ = preference_batch(std::move(records), *collection_, margins_);
  return batch_;
}

preference_set preference_set::sample(std::size_t count, std::uint64_t seed) const {
  std::vector<std::uint32_t> chosen = chosen_;
  rng random = rng(seed).split(stream_key("sample of pairs"));
  random.shuffle(chosen);
  chosen.resize(std::min(count, chosen.size()));
  std::ranges::sort(chosen);
  return {records_, collection_, std::move(chosen), margins_};
}

void write_pairs(preference_set& pairs, const fs::path& path) {
  atomic_file file(path);
  for (std::size_t i = 0; i < pairs.size(); ++i)
    for (const auto& record : pairs.fetch(std::span(&i, 1)).records())
      file.write(to_json(record).dump(-1, ' ', false, json::error_handler_t::replace) + "\n");
  file.commit();
}

void preference_files::resolve(const config& section) {
  std::erase(evaluation, fs::path());
  check_columns(section, columns, column_names);
  section.check(evaluation_share == 0 || evaluation.empty(), "evaluation_share",
                "unset if `evaluation` names held-out pairs");
  section.check(!plain || principles.empty(), "principles", "unset: pre-training has no principles");
}

bool is_held_out(const prompt_record& prompt, double evaluation_share, std::uint64_t seed) {
  if (evaluation_share == 0) return false;
  const rng random = rng(seed).split(stream_key("held-out prompts"));
  return random.split(stream_key(prompt.text())).uniform() < evaluation_share;
}

preference_sets open_preferences(const preference_files& files, std::uint64_t seed,
                                 const std::function<bool(const preference_pair&)>& same_tokens) {
  const bool margins = files.margins == pair_margins::record;
  const auto collection = std::make_shared<const std::vector<principle>>(
      files.principles.empty() ? std::vector<principle>{} : load_principles(find_principle_file(files.principles)));
  std::size_t blank = 0, alike = 0;
  const auto check = [&](const preference_record& record, const jsonl_reader& at) {
    blank += is_blank(record.response_1) || is_blank(record.response_2);
    if (files.plain && !record.principles.empty())
      at.fail("the record has principles, but preference pre-training uses none", "train on it without --pretrain");
    try {
      principle_definitions(record, *collection);
    } catch (const argument_error& problem) {
      at.fail(problem.what());
    }
  };
  std::vector<std::uint32_t> trained, held_out;
  std::vector<std::string> notes;
  std::uint32_t count = 0;
  std::size_t with_margin = 0;
  const auto store = open_store(
      files.data, files.limit, files.columns,
      [&](const preference_record& record, const jsonl_reader& at) {
        check(record, at);
        const bool hold_out = is_held_out(record.prompt, files.evaluation_share, seed);
        const std::uint32_t index = count++;
        with_margin += record.principles.empty() && record.label_margin != 0;
        if (hold_out) {
          held_out.push_back(index);
        } else if (same_tokens && has_same_tokens(record, *collection, same_tokens)) {
          ++alike;
        } else {
          trained.push_back(index);
        }
      },
      notes);
  if (with_margin > 0)
    notes.push_back("margins: " + std::to_string(with_margin) + " of " + std::to_string(count) +
                    (margins ? " pairs have one, which the loss subtracts from the difference of the scores"
                             : " pairs have one, which is not used"));
  if (alike > 0)
    notes.push_back("left out: " + std::to_string(alike) +
                    " pairs whose responses are identical in the part that the reward model reads");
  require_argument(
      !trained.empty() || alike == 0,
      "no pair is left to train on: the responses of all are identical in the part that the reward model reads "
      "them (reward_prompt.response_tokens)");
  const auto note_blank = [&](std::vector<std::string>& all) {
    if (blank > 0) all.push_back("pairs with a response that is empty or white space: " + std::to_string(blank));
  };
  if (files.evaluation_share > 0) {
    notes.push_back("held out: " + std::to_string(held_out.size()) + " of " + std::to_string(count) + " pairs");
    require_argument(!held_out.empty() && !trained.empty(),
                     "evaluation_share = " + std::to_string(files.evaluation_share) +
                         " of these prompts leaves no pair " + (held_out.empty() ? "to evaluate on" : "to train on"));
    note_blank(notes);
    if (files.evaluation_limit > 0) held_out.resize(std::min(held_out.size(), files.evaluation_limit));
    return {{store, collection, std::move(trained), margins},
            preference_set(store, collection, std::move(held_out), margins),
            std::move(notes)};
  }
  preference_sets out{{store, collection, std::move(trained), margins}, std::nullopt, std::move(notes)};
  if (!files.evaluation.empty()) {
    const auto other = open_store(files.evaluation, files.evaluation_limit, files.columns, check, out.notes);
    out.held_out.emplace(other, collection, all_indices(other->size()));
  }
  note_blank(out.notes);
  return out;
}

}  // namespace coho::trainer
