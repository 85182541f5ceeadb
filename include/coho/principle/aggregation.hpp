#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <ranges>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <coho/detail/if_called.hpp>
#include <coho/error.hpp>
#include <coho/options.hpp>
#include <coho/principle/judgement_statistics.hpp>
#include <coho/principle/judging.hpp>
#include <coho/principle/label_rules.hpp>
#include <coho/principle/negation.hpp>
#include <coho/principle/principle.hpp>
#include <coho/principle/sampling.hpp>
#include <coho/rng.hpp>

namespace coho::inline v0_1 {

/// Options of `preference_aggregator`; the defaults are the paper's.
struct aggregation_options {
  std::size_t repeats = 1;  ///< draws of principles per pair, each giving its own record
  principle_count_distribution set_sizes =
      principle_count_distribution::geometric();  ///< principles per record; capped at the number available
  double negation_probability = 0.5;
  bool divide_by_variance = false;         ///< score ÷ the variance of its principle over the data set
  double variance_floor = 0.0;             ///< the smallest variance divided by
  bool require_order_agreement = false;    ///< score 0 where the two orders name different responses
  double minimum_order_consistency = 0.0;  ///< score 0 for principles with lower order consistency; 0: off
  double banned_phrase_probability = 0.0;  ///< chance that the banned-phrase rule decides where it applies
  bool language_rule = false;
  double label_noise = 0.0;             ///< chance of a flipped label
  double label_noise_after_rule = 0.0;  ///< the same for labels that a rule decided

  /// The paper (§3.2, App. D): mean of the two orders, the most pronounced principle decides, nothing else.
  static aggregation_options paper() { return {}; }
  /// The released code: four records per pair, scores divided by variance, order agreement, rules, label noise.
  template <class = detail::if_called>
  static aggregation_options salmon_code() {
    return {.repeats = 4,
            .set_sizes = principle_count_distribution::geometric(0.2, 8),
            .negation_probability = 0.5,
            .divide_by_variance = true,
            .variance_floor = 0.0,
            .require_order_agreement = true,
            .minimum_order_consistency = 0.0,
            .banned_phrase_probability = 0.5,
            .language_rule = true,
            .label_noise = 0.1,
            .label_noise_after_rule = 0.25};
  }

  /// Without `set_sizes`, which has its own form in files.
  static void describe(auto&& visit, auto&... o) {
    visit({"repeats", "draws of principles per pair, each giving a record", allowed::count()}, o.repeats...);
    visit({"negation_probability", "chance that a drawn principle is negated", allowed::in(0, 1)},
          o.negation_probability...);
    visit({"divide_by_variance", "divide scores by the variance of their principle"}, o.divide_by_variance...);
    visit({"variance_floor", "smallest variance to divide by", allowed::at_least(0)}, o.variance_floor...);
    visit({"require_order_agreement", "score 0 where the two orders name different responses"},
          o.require_order_agreement...);
    visit({"minimum_order_consistency", "score 0 for principles whose order consistency is lower; 0: off",
           allowed::in(0, 1)},
          o.minimum_order_consistency...);
    visit(
        {"banned_phrase_probability", "chance that the banned-phrase rule decides where it applies", allowed::in(0, 1)},
        o.banned_phrase_probability...);
    visit({"language_rule", "whether the language rule decides where it applies"}, o.language_rule...);
    visit({"label_noise", "chance of a flipped label", allowed::in(0, 1)}, o.label_noise...);
    visit({"label_noise_after_rule", "the same for labels that a rule decided", allowed::in(0, 1)},
          o.label_noise_after_rule...);
  }
};

/// One training example of a principle-following reward model.
struct preference {
  std::vector<drawn_principle> principles{};  ///< in presentation order
  int preferred = 0;                          ///< 0: response A, 1: response B; rules and noise included
  std::size_t dominant = 0;                   ///< position in `principles` of the deciding one
  double margin = 0.0;                        ///< magnitude of its score, > 0
  label_rule rule = label_rule::none;
  bool flipped = false;  ///< label noise flipped the label
  bool swapped = false;  ///< B is presented first

  /// The preferred response in presentation order: 0 is the one shown first.
  int presented() const noexcept { return swapped ? 1 - preferred : preferred; }
  const drawn_principle& dominant_principle() const { return principles.at(dominant); }
  friend bool operator==(const preference&, const preference&) = default;
};

/// The label of one set of principles: the principle with the most pronounced difference decides (SALMON, App. D).
///
/// scores: s_i in favour of A, one per principle of the list. With d_j = ±s for the drawn principles (− if
/// negated), the label is A if d_j* > 0 and B if d_j* < 0, j* the position of the largest |d_j| (the earliest of
/// equals). Empty when all are 0 or nothing was drawn. Throws `argument_error` for an index outside the scores.
///
///     // differences +1, −2, +1, the second principle negated: A is preferred, because of it, by 2
///     auto label = coho::dominant_label(std::vector{1.0, -2.0, 1.0}, drawn);
struct dominant_label_fn {
  template <std::ranges::random_access_range Scores>
  std::optional<preference> operator()(const Scores& scores, std::vector<drawn_principle> drawn) const {
    preference out;
    double decisive = 0.0;
    for (std::size_t j = 0; j < drawn.size(); ++j) {
      require_argument(drawn[j].index < static_cast<std::size_t>(std::ranges::size(scores)),
                       "drawn principle " + std::to_string(drawn[j].index) + " has no score");
      const double score = scores[drawn[j].index];
      const double signed_score = drawn[j].negated ? -score : score;
      if (std::abs(signed_score) > std::abs(decisive)) {
        decisive = signed_score;
        out.dominant = j;
      }
    }
    if (decisive == 0.0) return std::nullopt;
    out.principles = std::move(drawn);
    out.preferred = decisive > 0 ? 0 : 1;
    out.margin = std::abs(decisive);
    return out;
  }
};
inline constexpr dominant_label_fn dominant_label{};

/// Turns judge scores into principle-following preferences (SALMON, §3.2 and App. D).
///
/// For each repeat: draw a number of principles and that many principles by weight; negate each with some probability;
/// take `dominant_label` of the scores; let the rules override it; add label noise; choose the presentation order.
/// Construction throws `option_error` for an option outside its range and `argument_error` for statistics over a wrong
/// number of principles, or a principle without negative definition where negation is enabled.
///
///     coho::preference_aggregator aggregate(principles, statistics, coho::aggregation_options::salmon_code());
///     for (const auto& record : aggregate(judgement, facts, coho::rng{seed, pair_index})) write(record);
class preference_aggregator {
 public:
  template <principle_range Principles>
  preference_aggregator(const Principles& principles, const judgement_statistics& statistics,
                        aggregation_options options = {})
      : options_(std::move(options)) {
    validate(options_);
    check_principles(principles);
    for (const principle& p : principles) {
      require_argument(options_.negation_probability == 0 || p.can_be_negated(),
                       "principle \"" + p.name + "\" has no negative definition, yet principles are to be negated");
      weights_.push_back(p.weight);
      drawable_ += p.weight > 0;
    }
    require_argument(statistics.principles() == weights_.size(),
                     "statistics over " + std::to_string(statistics.principles()) + " principles for a list of " +
                         std::to_string(weights_.size()));
    require_argument(
        statistics.pairs() > 0 || (!options_.divide_by_variance && options_.minimum_order_consistency == 0),
        "variances and order consistencies are asked for, but the statistics have seen no pair");
    for (std::size_t i = 0; i < weights_.size(); ++i) {
      const double variance = std::max(statistics.variance(i), options_.variance_floor);
      // A principle without variance scored the same everywhere: it carries no information about a pair.
      double scale = options_.divide_by_variance ? (variance > 0 ? 1.0 / variance : 0.0) : 1.0;
      if (statistics.order_consistency(i) < options_.minimum_order_consistency) scale = 0.0;
      scales_.push_back(scale);
    }
  }

  const aggregation_options& options() const noexcept { return options_; }

  /// Each principle's score in favour of A: the mean of both orders, scaled, and 0 where an option discards it. Throws
  /// `argument_error` for another number of scores, and for one that is not finite.
  template <class = detail::if_called>
  std::vector<double> scores(const pair_judgement& judgement) const {
    require_argument(judgement.scores.size() == scales_.size(),
                     "a judgement has " + std::to_string(judgement.scores.size()) + " scores for " +
                         std::to_string(scales_.size()) + " principles");
    std::vector<double> out(scales_.size());
    for (std::size_t i = 0; i < out.size(); ++i) {
      const auto& score = judgement.scores[i];
      out[i] = options_.require_order_agreement && !score.agrees() ? 0.0 : score.mean() * scales_[i];
      require_argument(std::isfinite(out[i]), "the score of principle " + std::to_string(i) + " is not finite");
    }
    return out;
  }

  /// One record, or nothing if the pair is dropped: no principle drawn tells the responses apart, or the language rule
  /// is on and neither is in the prompt's language.
  template <class = detail::if_called>
  std::optional<preference> draw_preference(const pair_judgement& judgement, const rule_facts& facts,
                                            rng& random) const {
    return draw_preference(scores(judgement), facts, random);
  }

  /// All repeats' records. Repeat r uses `base.split(r)`, so that a record depends only on its pair.
  template <class = detail::if_called>
  std::vector<preference> operator()(const pair_judgement& judgement, const rule_facts& facts, const rng& base) const {
    const auto numbers = scores(judgement);
    std::vector<preference> out;
    for (std::size_t repeat = 0; repeat < options_.repeats; ++repeat) {
      rng random = base.split(repeat);
      if (auto record = draw_preference(numbers, facts, random)) out.push_back(std::move(*record));
    }
    return out;
  }

 private:
  // The same from the scores of `scores`. The numbers of rules and noise are drawn whether used or not, so that a rule
  // or gate changes no later choice.
  template <class Numbers>
  std::optional<preference> draw_preference(const Numbers& numbers, const rule_facts& facts, rng& random) const {
    const std::size_t count = std::min(options_.set_sizes(random), drawable_);
    auto drawn = negate_each(sample_without_replacement(static_cast<const Numbers&>(weights_), count, random),
                             options_.negation_probability, random);
    const bool phrase_decides = random.bernoulli(options_.banned_phrase_probability);
    const double noise = random.uniform();
    const bool swapped = random.bernoulli(0.5);

    auto out = dominant_label(numbers, std::move(drawn));
    if (!out) return std::nullopt;
    const auto& banned = facts.holds_banned_phrase;
    if (banned[0] != banned[1] && phrase_decides) {
      out->preferred = banned[0] ? 1 : 0;
      out->rule = label_rule::banned_phrase;
    }
    if (options_.language_rule && facts.language) {
      const auto& same = facts.language->same;
      if (!same[0] && !same[1]) return std::nullopt;
      if (same[0] != same[1]) {
        out->preferred = same[0] ? 0 : 1;
        out->rule = label_rule::language;
      }
    }
    out->flipped = noise < (out->rule == label_rule::none ? options_.label_noise : options_.label_noise_after_rule);
    if (out->flipped) out->preferred = 1 - out->preferred;
    out->swapped = swapped;
    return out;
  }

  aggregation_options options_;
  std::vector<double> weights_, scales_;
  std::size_t drawable_ = 0;
};

}  // namespace coho::inline v0_1
