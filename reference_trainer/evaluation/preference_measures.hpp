#pragma once

#include <cstddef>
#include <initializer_list>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include <coho/moments.hpp>

#include "datasets/preference_data.hpp"
#include "observe/table.hpp"
#include "records/records.hpp"
#include "roles/reward_role.hpp"

namespace coho::trainer {

/// How well scores r agree with labels over n pairs, d = r(chosen) − r(rejected):
///
///   accuracy a = Σ (1[d > 0] + ½·1[d = 0]) / n, standard error √(a(1 − a)/n);
///   margin = mean of d; loss = mean of −log σ(d) (Bradley–Terry); Brier score = mean of (1 − σ(d))².
///
/// Standard errors assume independent pairs: records that repeat a pair under other principles are not.
class pair_tally {
 public:
  /// Throws argument_error for a non-finite difference.
  void add(double difference);

  std::size_t pairs() const { return static_cast<std::size_t>(difference_.count); }
  std::size_t right() const { return right_; }
  std::size_t ties() const { return ties_; }
  double accuracy() const;
  double accuracy_standard_error() const;
  /// The margin: the mean of d.
  double score_difference() const { return difference_.mean; }
  double loss() const { return loss_.mean; }
  double brier_score() const { return brier_.mean; }
  /// Standard errors of these three means; 0 for a single pair.
  double score_difference_standard_error() const { return standard_error(difference_); }
  double loss_standard_error() const { return standard_error(loss_); }
  double brier_standard_error() const { return standard_error(brier_); }

 private:
  // √(sample variance / n).
  static double standard_error(const coho::detail::moment_sums& sums);
  std::size_t right_ = 0, ties_ = 0;
  coho::detail::moment_sums difference_, loss_, brier_;
};

/// Calibration: pairs by the confidence σ(|d|) of the answer that the scores prefer, in ten bins of equal width from
/// 0.5 to 1. In a bin, `accuracy` is the fraction of pairs in which that answer is the chosen one (ties count one
/// half); if scores follow the Bradley–Terry model, it equals the mean confidence. The expected calibration error
/// is Σ (n_bin / n) |accuracy − confidence| (Guo et al. 2017).
class calibration {
 public:
  static constexpr std::size_t bins = 10;
  struct bin {
    std::size_t pairs = 0;
    double confidence = 0, accuracy = 0;  ///< sums while pairs are added, means as `mean_bins` returns them
  };
  /// Adds a pair with this difference of scores.
  void add(double difference);
  /// The bins with means of their pairs; 0 in empty ones.
  std::vector<bin> mean_bins() const;
  /// The expected calibration error; 0 without pairs.
  double expected_error() const;

 private:
  std::vector<bin> sums_ = std::vector<bin>(bins);
};

/// Scores over all responses of the pairs.
struct score_moments {
  std::size_t scores = 0;
  double mean = 0, deviation = 0;  ///< population deviation
  double minimum = 0, maximum = 0;
};

/// A reward model's agreement with preference records: overall, and by the records' principles.
///
///     preference_measures measured;
///     for (…) measured.add(record, chosen_score, rejected_score);
///     write(measured.to_json());
class preference_measures {
 public:
  /// Throws argument_error for non-finite scores.
  void add(const preference_record& record, double chosen, double rejected);

  /// The measures of all pairs.
  const pair_tally& overall() const { return overall_; }
  const calibration& confidence() const { return calibration_; }
  /// Mean, deviation and range of all scores.
  score_moments scores() const;

  /// {pairs, right, ties, accuracy, standard_error, margin, margin_error, loss, loss_error, brier_score,
  /// brier_error, calibration_error, scores: {count, mean, deviation, minimum, maximum}, reliability: [{from, to,
  /// pairs, confidence, accuracy}], …}, and where records have principles: with_principles, without_principles,
  /// by_principle [{principle, negated, …}], by_number [{principles, …}], by_dominant [{principle, negated, …}],
  /// by_margin [{from, to, …}], each with the figures of its pairs. by_margin: four groups of equal size by the size of
  /// the dominant principle's score, of records that tell it; equal sizes stay together.
  nlohmann::ordered_json to_json() const;
  /// The groups as a table for the terminal.
  text_table groups() const;
  /// The reliability table for the terminal.
  text_table reliability() const;

 private:
  struct margin_group {
    double from, to;
    pair_tally tally;
  };
  // Pairs with a label's margin in four groups of rising margin.
  std::vector<margin_group> by_margin() const;

  using signed_principle = std::pair<std::string, bool>;  // a principle's name, and whether it is negated
  pair_tally overall_, guided_, plain_;
  calibration calibration_;
  coho::detail::moment_sums scores_;
  double minimum_ = 0, maximum_ = 0;
  std::map<signed_principle, pair_tally> by_principle_, by_dominant_;
  std::map<std::size_t, pair_tally> by_number_;
  std::vector<std::pair<double, double>> label_margins_;  // of the label, and of the scores
};

/// Scores a batch and adds its pairs to each of `into`.
void add_scores(reward_role& reward, const preference_batch& batch, std::initializer_list<preference_measures*> into);

/// The same for all pairs of a set, a batch at a time.
preference_measures measure_pairs(reward_role& reward, preference_set& pairs);

}  // namespace coho::trainer
