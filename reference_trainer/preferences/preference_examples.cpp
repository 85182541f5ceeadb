#include "preferences/preference_examples.hpp"

#include <algorithm>
#include <filesystem>
#include <utility>

#include <nlohmann/json.hpp>

#include <coho/error.hpp>
#include <coho/reward/empty_response.hpp>

#include "jsonl/bad_records.hpp"
#include "models/supervised_examples.hpp"
#include "records/empty_texts.hpp"
#include "records/labelled_record.hpp"
#include "records/records.hpp"

namespace coho::trainer {
namespace {

// Reads files of records, and counts what is said about all of them.
class example_reader {
 public:
  example_reader(const preference_files& files, preference_form form, const prompter& prompts,
                 std::size_t max_response_tokens)
      : files_(files), form_(form), prompts_(prompts), max_response_tokens_(max_response_tokens) {}

  // Calls use(record, example) for each record of the files, or the first `limit` of each.
  void read(const std::vector<std::filesystem::path>& paths, std::size_t limit, const auto& use) {
    for (const auto& path : paths) {
      if (form_ == preference_form::pairs) {
        read_pairs(path, limit, use);
      } else {
        read_labelled(path, limit, use);
      }
    }
  }

  // The lines for the user. `alike`: pairs that are not trained on.
  std::vector<std::string> notes(std::size_t alike) const {
    auto out = notes_;
    const auto add = [&](std::size_t number, const std::string& what) {
      if (number > 0) out.push_back(what + ": " + std::to_string(number));
    };
    add(alike, "left out, as both responses have the same tokens: pairs");
    add(with_margin_, "margins, which are not used: pairs with one");
    add(with_principles_, "principles, which a policy does not read: pairs with them");
    add(blank_, form_ == preference_form::pairs ? "pairs with a response that is empty or white space"
                                                : "responses that are empty or white space");
    return out;
  }

 private:
  void read_pairs(const std::filesystem::path& path, std::size_t limit, const auto& use) {
    record_reader<preference_record> reader(path, files_.columns);
    for (preference_record record; (limit == 0 || reader.kept() < limit) && reader.next(record);) {
      count(record, reader.reader());
      auto example = make_example(record, reader.reader());
      use(record, std::move(example));
    }
    notes_.push_back(path.string() + ": pairs " + std::to_string(reader.kept()) + ", left out " +
                     std::to_string(reader.left_out()));
  }

  void read_labelled(const std::filesystem::path& path, std::size_t limit, const auto& use) {
    jsonl_reader reader(path, {}, files_.columns);
    std::size_t desirable = 0, all = 0;
    labelled_record record;
    const auto accept = [&](const json& value) {
      record = {};
      const bool used = from_json(value, reader, record);
      if (used) refuse_empty_texts(record.exchange.prompt, reader);
      return used;
    };
    while ((limit == 0 || all < limit) && next_usable(reader, accept)) {
      ++all;
      desirable += record.desirable;
      blank_ += is_blank(record.exchange.response);
      auto response = tokens(record.exchange);
      if (response.response.empty()) fail_without_tokens(reader);
      direct_preference_example example{.prompt = std::move(response.prompt), .weight = record.exchange.weight};
      (record.desirable ? example.chosen : example.rejected) = std::move(response.response);
      use(record, std::move(example));
    }
    if (all == 0) throw file_error(path.string(), "", "has no records");
    notes_.push_back(path.string() + ": desirable responses " + std::to_string(desirable) + ", undesirable " +
                     std::to_string(all - desirable));
  }

  void count(const preference_record& record, const jsonl_reader& at) {
    if (std::ranges::any_of(record.principles, &chosen_principle::negated))
      at.fail("the label holds under a negated principle, which a policy does not read",
              "give preferences without principles, or aggregate them without negation");
    with_principles_ += !record.principles.empty();
    with_margin_ += record.principles.empty() && record.label_margin != 0;
    blank_ += is_blank(record.response_1) || is_blank(record.response_2);
  }

  // The last reply, whatever its own weight: that is the example's.
  supervised_example tokens(sft_record record) const {
    record.weight = 1;
    return make_supervised_example(record, prompts_, max_response_tokens_, trained_replies::last,
                                   "dpo.max_response_tokens");
  }

  [[noreturn]] static void fail_without_tokens(const jsonl_reader& at) {
    at.fail("a response has no tokens in this prompt.format", "remove the record, or choose another format");
  }

  direct_preference_example make_example(const preference_record& record, const jsonl_reader& at) const {
    auto chosen = tokens({.prompt = record.prompt, .response = record.chosen()}),
         rejected = tokens({.prompt = record.prompt, .response = record.rejected()});
    if (chosen.response.empty() || rejected.response.empty()) fail_without_tokens(at);
    if (chosen.prompt != rejected.prompt)
      at.fail("the prompt has other tokens before the chosen response than before the rejected one",
              "choose a prompt.format in which a prompt does not depend on its response");
    return {.prompt = std::move(chosen.prompt),
            .chosen = std::move(chosen.response),
            .rejected = std::move(rejected.response)};
  }

  const preference_files& files_;
  preference_form form_;
  const prompter& prompts_;
  std::size_t max_response_tokens_;
  std::size_t with_margin_ = 0, with_principles_ = 0, blank_ = 0;
  std::vector<std::string> notes_;
};

const prompt_record& prompt_of(const preference_record& record) { return record.prompt; }
const prompt_record& prompt_of(const labelled_record& record) { return record.exchange.prompt; }

}  // namespace

preference_examples read_preference_examples(const preference_files& files, preference_form form,
                                             const prompter& prompts, std::size_t max_response_tokens,
                                             std::uint64_t seed) {
  preference_examples out;
  example_reader reader(files, form, prompts, max_response_tokens);
  std::size_t alike = 0, all = 0;
  reader.read(files.data, files.limit, [&](const auto& record, direct_preference_example example) {
    ++all;
    if (is_held_out(prompt_of(record), files.evaluation_share, seed)) {
      if (files.evaluation_limit > 0 && out.held_out.size() >= files.evaluation_limit) return;
      out.held_out.push_back(std::move(example));
      out.held_out_lines.push_back(to_json(record).dump(-1, ' ', false, json::error_handler_t::replace));
    } else if (example.chosen == example.rejected) {
      ++alike;
    } else {
      out.training.push_back(std::move(example));
    }
  });
  require_argument(!out.training.empty() || alike == 0,
                   "no pair is left to train on: both responses of all have the same tokens within "
                   "dpo.max_response_tokens = " +
                       std::to_string(max_response_tokens));
  reader.read(files.evaluation, files.evaluation_limit,
              [&](const auto&, direct_preference_example example) { out.held_out.push_back(std::move(example)); });
  out.notes = reader.notes(alike);
  if (files.evaluation_share > 0) {
    out.notes.push_back("held out: " + std::to_string(out.held_out.size()) + " of " + std::to_string(all) + " records");
    require_argument(!out.held_out.empty() && !out.training.empty(),
                     "evaluation_share = " + std::to_string(files.evaluation_share) +
                         " of these prompts leaves no record " +
                         (out.held_out.empty() ? "to evaluate on" : "to train on"));
  }
  return out;
}

}  // namespace coho::trainer
