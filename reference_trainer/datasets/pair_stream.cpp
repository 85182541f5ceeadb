#include "datasets/pair_stream.hpp"

#include <algorithm>

#include <coho/error.hpp>
#include <coho/principle/sampling.hpp>
#include <coho/reward/empty_response.hpp>

#include "text/utf8.hpp"

namespace coho::trainer {

void pairing_options::check_constraints(const config& section) const {
  section.check(kind == pairing::random || draws == pairing_options{}.draws, "pairs_per_prompt",
                "unset unless judge.pairs is \"random\"");
}

rng pairing_rng(std::uint64_t seed) { return rng(seed).split(stream_key("judge pairs")); }

std::vector<std::pair<std::size_t, std::size_t>> choose_pairs(std::size_t responses, const pairing_options& options,
                                                              std::uint64_t prompt) {
  std::vector<std::pair<std::size_t, std::size_t>> out;
  const bool near = options.kind == pairing::first_two || options.kind == pairing::adjacent;
  for (std::size_t i = 0; i + 1 < responses; ++i)
    for (std::size_t j = i + 1; j < (near ? i + 2 : responses); ++j) out.emplace_back(i, j);
  if (options.kind == pairing::first_two && !out.empty()) out.resize(1);
  if (options.kind == pairing::random) {
    rng random = options.random.split(prompt);
    auto chosen =
        sample_without_replacement(std::vector<double>(out.size(), 1.0), std::min(options.draws, out.size()), random);
    std::ranges::sort(chosen);
    for (std::size_t k = 0; k < chosen.size(); ++k) out[k] = out[chosen[k]];
    out.resize(chosen.size());
  }
  return out;
}

pair_stream::pair_stream(const std::vector<std::filesystem::path>& files, pairing_options options,
                         const column_choice& columns)
    : options_(options) {
  require_argument(!files.empty(), "pair_stream: no files");
  for (const auto& file : files) readers_.emplace_back(file, columns);
}

bool pair_stream::next(pair_record& pair) {
  while (pending_.empty())
    if (!next_prompt()) return false;
  const auto [first, second] = pending_.back();
  pending_.pop_back();
  pair = {.prompt = prompt_, .response_1 = responses_[first], .response_2 = responses_[second]};
  ++counts_.pairs;
  return true;
}

bool pair_stream::next_prompt() {
  auto& main = readers_.front();
  responses_.clear();
  std::size_t responses_read = 0;
  bool more = false;
  for (std::size_t f = 0; f < readers_.size(); ++f) {
    auto& reader = readers_[f];
    sample_record record;
    const bool here = reader.next(record);
    if (f > 0 && here != more) {
      const auto& shorter = here ? main : reader;
      const auto& longer = here ? reader : main;
      longer.reader().fail(
          shorter.reader().path().string() + " ended before this prompt: it has " + std::to_string(shorter.kept()),
          "files of samples must be over the same prompts");
    }
    more = here;
    if (!here) continue;
    if (f == 0) {
      prompt_ = record.prompt;
    } else if (record.prompt.text() != prompt_.text()) {
      reader.reader().fail("a different prompt than in " + main.reader().path().string() + ", " + main.reader().place(),
                           "files of samples must be over the same prompts, in the same order");
    }
    responses_read += record.responses.size();
    for (auto& response : record.responses) {
      if (count_utf8_characters(response) < options_.minimum_characters) {
        ++counts_.short_responses;
        continue;
      }
      counts_.empty_responses += is_blank(response);
      if (std::ranges::find(responses_, response) == responses_.end()) {
        responses_.push_back(std::move(response));
      } else {
        ++counts_.equal_responses;
      }
    }
  }
  if (!more) return false;
  if (responses_read < 2)
    main.reader().fail("a prompt with " + std::to_string(responses_read) +
                           (responses_read == 1 ? " response" : " responses") + ": a pair needs 2",
                       "sample more (sample.responses), or give judge.samples another file over the same prompts");
  pending_ = choose_pairs(responses_.size(), options_, counts_.prompts++);
  std::ranges::reverse(pending_);
  counts_.prompts_without_pair += pending_.empty();
  return true;
}

}  // namespace coho::trainer
