#pragma once

#include <cmath>
#include <cstddef>
#include <string>
#include <vector>

#include <coho/error.hpp>
#include <coho/principle/judging.hpp>

namespace coho::inline v0_1 {

/// Per-principle moments of a data set's judge scores, gathered in one pass: `add` each pair, `merge` what other
/// processes gathered. Each order of a pair counts as one score.
///
///     coho::judgement_statistics statistics(principles.size());
///     for (const auto& judgement : judgements) statistics.add(judgement);
///     double v = statistics.variance(0);
class judgement_statistics {
 public:
  template <class = void>
  explicit judgement_statistics(std::size_t principles) : moments_(principles) {}

  std::size_t principles() const noexcept { return moments_.size(); }
  /// Pairs added so far.
  std::size_t pairs() const noexcept { return pairs_; }

  /// Throws `argument_error` if there is not one score per principle, or for a non-finite score.
  template <class = void>
  void add(const pair_judgement& judgement) {
    require_argument(judgement.scores.size() == moments_.size(),
                     "a judgement has " + std::to_string(judgement.scores.size()) + " scores for " +
                         std::to_string(moments_.size()) + " principles");
    for (std::size_t i = 0; i < moments_.size(); ++i) {
      require_argument(std::isfinite(judgement.scores[i].ab) && std::isfinite(judgement.scores[i].ba),
                       "the judge's score for principle " + std::to_string(i) + " is not finite");
    }
    ++pairs_;
    for (std::size_t i = 0; i < moments_.size(); ++i) {
      const auto& score = judgement.scores[i];
      moments_[i].add(score.ab);
      moments_[i].add(score.ba);
      if (score.agrees()) ++moments_[i].agreeing;
    }
  }

  template <class = void>
  void merge(const judgement_statistics& other) {
    require_argument(other.moments_.size() == moments_.size(), "statistics of different numbers of principles");
    pairs_ += other.pairs_;
    for (std::size_t i = 0; i < moments_.size(); ++i) moments_[i].merge(other.moments_[i]);
  }

  double mean(std::size_t i) const { return moments_.at(i).mean; }
  /// Population variance over both orders of all pairs; 0 before the first pair.
  double variance(std::size_t i) const {
    return moments_.at(i).count == 0 ? 0.0 : moments_[i].squares / static_cast<double>(moments_[i].count);
  }
  /// Fraction of pairs for which both orders name the same response; about 1/2 for a judge that guesses. 0 before the
  /// first pair.
  double order_consistency(std::size_t i) const {
    return pairs_ == 0 ? 0.0 : static_cast<double>(moments_.at(i).agreeing) / static_cast<double>(pairs_);
  }

 private:
  /// Welford's update and Chan's merge: no cancellation for scores far from 0.
  struct moment {
    std::size_t count = 0, agreeing = 0;
    double mean = 0, squares = 0;

    void add(double x) noexcept {
      const double d = x - mean;
      mean += d / static_cast<double>(++count);
      squares += d * (x - mean);
    }
    void merge(const moment& o) noexcept {
      if (o.count == 0) return;
      const double n = static_cast<double>(count), m = static_cast<double>(o.count), d = o.mean - mean;
      mean += d * m / (n + m);
      squares += o.squares + d * d * n * m / (n + m);
      count += o.count;
      agreeing += o.agreeing;
    }
  };

  std::vector<moment> moments_;
  std::size_t pairs_ = 0;
};

}  // namespace coho::inline v0_1
