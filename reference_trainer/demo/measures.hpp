#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "models/model_files.hpp"
#include "observe/summary.hpp"
#include "records/records.hpp"

namespace coho::trainer::demo {

/// The attributes of a policy's replies, according to the world's grammar.
struct reply_measures {
  double length = 0, self_praise_rate = 0, facts = 0, hedge_rate = 0, example_rate = 0, same_language_rate = 0,
         on_topic_rate = 0, valid_rate = 0, empty_rate = 0, cap_rate = 0;
  /// Sets each measure in the summary, under the key PREFIX.NAME.
  void write(summary& out, const std::string& prefix) const;
};

/// Over all responses of a file that `coho sample` wrote. Length is in tokens, including the end token.
reply_measures measure_demo_replies(const std::filesystem::path& samples, const text_tokenizer& tokenizer);

/// Fraction of decided (pair, principle) judgements, both orders together, that agree with the grammar's score.
double judge_accuracy(const std::vector<judgement_record>& judgements);

/// Fractions of held-out pairs that a reward model ranks correctly.
struct reward_accuracy {
  double positive = 0, negated = 0, unseen_positive = 0, unseen_negated = 0, pairs_of_principles = 0,
         triples_of_principles = 0;
  /// The six figures as rm.accuracy.NAME.
  void write(summary& out) const;
  /// One per quality, in the world's order: positive and negated, training wordings.
  std::vector<double> positive_by_quality, negated_by_quality;
};

/// Held-out pairs: for single principles; files of preferences under sets of two and three of them.
struct reward_test_data {
  const std::vector<judgement_record>& pairs;
  std::filesystem::path sets_of_two, sets_of_three;
};

/// Accuracy of a reward model on held-out pairs: single principles, in training and held-out wordings, against the
/// grammar; sets of two and three against the labels that aggregation gave.
reward_accuracy measure_reward_model(loaded_model& model, const std::filesystem::path& reward, const config& options,
                                     const reward_test_data& data, std::uint64_t seed);

}  // namespace coho::trainer::demo
