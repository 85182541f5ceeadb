#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include <coho/principle/aggregation.hpp>

#include "jsonl/jsonl.hpp"

namespace coho::trainer {

/// Counts the outcomes of an aggregation's draws, and the part of each principle in them.
class aggregate_summary {
 public:
  aggregate_summary(const std::vector<principle>& principles, const judgement_statistics& statistics,
                    const aggregation_options& options);

  /// One pair: its judgement with the numbers made of it, the facts that rules saw, and the resulting records.
  void add(const pair_judgement& judgement, const std::vector<double>& scores, const rule_facts& facts,
           const std::vector<preference>& records);

  std::size_t pairs() const noexcept { return pairs_; }
  std::size_t draws() const noexcept { return pairs_ * options_.repeats; }
  std::size_t preferences() const noexcept { return preferences_; }
  /// Draws without a record: no drawn principle told the responses apart, or neither was in the prompt's language.
  std::size_t ties() const noexcept { return ties_; }
  std::size_t other_language() const noexcept { return other_language_; }

  /// Everything, for a file.
  json to_json() const;
  /// A few lines for the log.
  std::vector<std::string> log_lines() const;

 private:
  // What is counted for a principle.
  struct row {
    std::string name;
    double variance = 0, order_consistency = 0;
    bool drawable = true, gated = false;
    std::size_t orders_disagree = 0, drawn = 0, negated = 0, dominant = 0;
  };

  aggregation_options options_;
  std::vector<row> rows_;
  std::size_t pairs_ = 0, preferences_ = 0, ties_ = 0, other_language_ = 0, unknown_language_ = 0;
  std::size_t by_phrase_ = 0, by_language_ = 0, flipped_ = 0, swapped_ = 0;
};

}  // namespace coho::trainer
