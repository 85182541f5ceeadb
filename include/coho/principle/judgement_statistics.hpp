#pragma once

#include <cmath>
#include <cstddef>
#include <string>
#include <vector>

#include <coho/detail/if_called.hpp>
#include <coho/error.hpp>
#include <coho/moments.hpp>
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
  template <class = detail::if_called>
  explicit judgement_statistics(std::size_t principles) : principles_(principles) {}

  /// How many principles a judgement has scores for.
  std::size_t principles() const noexcept { return principles_.size(); }
  /// Pairs added so far.
  std::size_t pairs() const noexcept { return pairs_; }

  /// Throws `argument_error` if there is not one score per principle, or for a non-finite score; the statistics are
  /// unchanged then.
  template <class = detail::if_called>
  void add(const pair_judgement& judgement) {
    require_argument(judgement.scores.size() == principles_.size(),
                     "a judgement has " + std::to_string(judgement.scores.size()) + " scores for " +
                         std::to_string(principles_.size()) + " principles");
    for (std::size_t i = 0; i < principles_.size(); ++i) {
      require_argument(std::isfinite(judgement.scores[i].ab) && std::isfinite(judgement.scores[i].ba),
                       "the judge's score for principle " + std::to_string(i) + " is not finite");
    }
    ++pairs_;
    for (std::size_t i = 0; i < principles_.size(); ++i) {
      const auto& score = judgement.scores[i];
      principles_[i].scores.add(score.ab);
      principles_[i].scores.add(score.ba);
      if (score.agrees()) ++principles_[i].agreeing;
    }
  }

  /// Adds the pairs that another object has seen. Throws `argument_error` for another number of principles.
  template <class = detail::if_called>
  void merge(const judgement_statistics& other) {
    require_argument(other.principles_.size() == principles_.size(), "statistics of different numbers of principles");
    pairs_ += other.pairs_;
    for (std::size_t i = 0; i < principles_.size(); ++i) {
      principles_[i].scores.merge(other.principles_[i].scores);
      principles_[i].agreeing += other.principles_[i].agreeing;
    }
  }

  /// Of the scores of principle i, in both orders of all pairs; 0 before the first pair.
  double mean(std::size_t i) const { return principles_.at(i).scores.mean; }
  /// Population variance over both orders of all pairs; 0 before the first pair.
  double variance(std::size_t i) const {
    const auto& scores = principles_.at(i).scores;
    return scores.count == 0 ? 0.0 : scores.squares / scores.count;
  }
  /// Fraction of pairs for which both orders name the same response; about 1/2 for a judge that guesses. 0 before the
  /// first pair.
  double order_consistency(std::size_t i) const {
    return pairs_ == 0 ? 0.0 : static_cast<double>(principles_.at(i).agreeing) / static_cast<double>(pairs_);
  }

 private:
  struct principle_sums {
    detail::moment_sums scores;  // of both orders
    std::size_t agreeing = 0;    // pairs whose orders name the same response
  };

  std::vector<principle_sums> principles_;
  std::size_t pairs_ = 0;
};

}  // namespace coho::inline v0_1
