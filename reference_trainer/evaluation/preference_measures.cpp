#include "evaluation/preference_measures.hpp"

#include <algorithm>
#include <cmath>

#include <nlohmann/json.hpp>

#include <coho/error.hpp>
#include <coho/math.hpp>

#include "observe/format.hpp"

namespace coho::trainer {
namespace {

using nlohmann::ordered_json;

// What a pair adds to the accuracy: 1 if the chosen response scores higher, ½ for a tie.
double pair_credit(double difference) { return difference > 0 ? 1 : difference == 0 ? 0.5 : 0; }

// A tally's figures, added to `out`.
ordered_json tally_json(const pair_tally& tally, ordered_json out = ordered_json::object()) {
  out["pairs"] = tally.pairs();
  out["right"] = tally.right();
  out["ties"] = tally.ties();
  out["accuracy"] = tally.accuracy();
  out["standard_error"] = tally.accuracy_standard_error();
  out["margin"] = tally.score_difference();
  out["margin_error"] = tally.score_difference_standard_error();
  out["loss"] = tally.loss();
  out["loss_error"] = tally.loss_standard_error();
  return out;
}

// The name of a principle's group in tables.
std::string principle_label(const std::string& name, bool negated) { return name + (negated ? ", negated" : ""); }

}  // namespace

void pair_tally::add(double difference) {
  require_argument(std::isfinite(difference),
                   "the scores of pair " + std::to_string(pairs()) + " are not finite, or their difference is not");
  if (difference > 0) ++right_;
  if (difference == 0) ++ties_;
  const double doubt = sigmoid(-difference);
  difference_.merge({1, difference, 0});
  loss_.merge({1, softplus(-difference), 0});
  brier_.merge({1, doubt * doubt, 0});
}

double pair_tally::accuracy() const {
  return pairs() == 0 ? 0
                      : (static_cast<double>(right_) + 0.5 * static_cast<double>(ties_)) / static_cast<double>(pairs());
}

double pair_tally::accuracy_standard_error() const {
  return pairs() == 0 ? 0 : std::sqrt(accuracy() * (1 - accuracy()) / static_cast<double>(pairs()));
}

double pair_tally::standard_error(const coho::detail::moment_sums& sums) {
  return sums.count < 2 ? 0 : std::sqrt(sums.squares / (sums.count - 1) / sums.count);
}

void calibration::add(double difference) {
  const double confidence = sigmoid(std::abs(difference));
  const auto bin_index = static_cast<std::size_t>((confidence - 0.5) * 2 * static_cast<double>(bins));
  auto& sums = sums_[std::min(bin_index, bins - 1)];
  ++sums.pairs;
  sums.confidence += confidence;
  sums.accuracy += pair_credit(difference);
}

std::vector<calibration::bin> calibration::mean_bins() const {
  auto out = sums_;
  for (auto& each : out) {
    if (each.pairs == 0) continue;
    each.confidence /= static_cast<double>(each.pairs);
    each.accuracy /= static_cast<double>(each.pairs);
  }
  return out;
}

double calibration::expected_error() const {
  double sum = 0, pairs = 0;
  for (const auto& each : sums_) {
    sum += std::abs(each.accuracy - each.confidence);
    pairs += static_cast<double>(each.pairs);
  }
  return pairs > 0 ? sum / pairs : 0;
}

void preference_measures::add(const preference_record& record, double chosen, double rejected) {
  const double difference = chosen - rejected;
  overall_.add(difference);
  calibration_.add(difference);
  const bool first = scores_.count == 0;
  minimum_ = std::min({first ? chosen : minimum_, chosen, rejected});
  maximum_ = std::max({first ? chosen : maximum_, chosen, rejected});
  for (const double score : {chosen, rejected}) scores_.merge({1, score, 0});
  if (record.principles.empty()) return plain_.add(difference);
  guided_.add(difference);
  by_number_[record.principles.size()].add(difference);
  for (const auto& each : record.principles) by_principle_[{each.name, each.negated}].add(difference);
  if (record.dominant) {
    const auto& decided = record.principles.at(*record.dominant);
    by_dominant_[{decided.name, decided.negated}].add(difference);
  }
  if (record.label_margin > 0) label_margins_.emplace_back(record.label_margin, difference);
}

score_moments preference_measures::scores() const {
  const double deviation = scores_.count > 0 ? std::sqrt(scores_.squares / scores_.count) : 0;
  return {static_cast<std::size_t>(scores_.count), scores_.mean, deviation, minimum_, maximum_};
}

std::vector<preference_measures::margin_group> preference_measures::by_margin() const {
  constexpr std::size_t groups = 4;
  std::vector<margin_group> out;
  auto sorted = label_margins_;
  std::ranges::stable_sort(sorted, {}, &std::pair<double, double>::first);
  std::vector<double> edges;  // a group begins at each
  for (std::size_t k = 1; k < groups; ++k)
    if (!sorted.empty()) edges.push_back(sorted[k * sorted.size() / groups].first);
  std::size_t open = groups;
  for (const auto& [margin, difference] : sorted) {
    const auto group = static_cast<std::size_t>(std::ranges::upper_bound(edges, margin) - edges.begin());
    if (group != open) out.push_back({margin, margin, {}});
    open = group;
    out.back().to = margin;
    out.back().tally.add(difference);
  }
  return out;
}

ordered_json preference_measures::to_json() const {
  auto out = tally_json(overall_);
  out["brier_score"] = overall_.brier_score();
  out["brier_error"] = overall_.brier_standard_error();
  out["calibration_error"] = calibration_.expected_error();
  const auto all = scores();
  out["scores"] = {{"count", all.scores},
                   {"mean", all.mean},
                   {"deviation", all.deviation},
                   {"minimum", all.minimum},
                   {"maximum", all.maximum}};
  auto& rows = out["reliability"] = ordered_json::array();
  const auto bins = calibration_.mean_bins();
  for (std::size_t i = 0; i < bins.size(); ++i) {
    const auto edge = [](std::size_t k) { return 0.5 + 0.5 * static_cast<double>(k) / calibration::bins; };
    ordered_json row{{"from", edge(i)}, {"to", edge(i + 1)}, {"pairs", bins[i].pairs}};
    row["confidence"] = bins[i].pairs > 0 ? ordered_json(bins[i].confidence) : ordered_json();
    row["accuracy"] = bins[i].pairs > 0 ? ordered_json(bins[i].accuracy) : ordered_json();
    rows.push_back(std::move(row));
  }
  if (guided_.pairs() == 0) return out;
  if (plain_.pairs() > 0) {
    out["with_principles"] = tally_json(guided_);
    out["without_principles"] = tally_json(plain_);
  }
  const auto add_principle_groups = [&](const char* key, const std::map<signed_principle, pair_tally>& groups) {
    auto& list = out[key] = ordered_json::array();
    for (const auto& [principle, tally] : groups)
      list.push_back(tally_json(tally, {{"principle", principle.first}, {"negated", principle.second}}));
  };
  add_principle_groups("by_principle", by_principle_);
  auto& numbers = out["by_number"] = ordered_json::array();
  for (const auto& [number, tally] : by_number_) numbers.push_back(tally_json(tally, {{"principles", number}}));
  add_principle_groups("by_dominant", by_dominant_);
  auto& margins = out["by_margin"] = ordered_json::array();
  for (const auto& group : by_margin())
    margins.push_back(tally_json(group.tally, {{"from", group.from}, {"to", group.to}}));
  return out;
}

text_table preference_measures::groups() const {
  text_table out({"pairs of", "pairs", "accuracy", "± s.e.", "margin", "loss"});
  const auto row = [&](const std::string& label, const pair_tally& tally) {
    out.add_row({label, std::to_string(tally.pairs()), format_number(tally.accuracy(), 4),
                 format_number(tally.accuracy_standard_error(), 4), format_short(tally.score_difference()),
                 format_number(tally.loss(), 4)});
  };
  if (guided_.pairs() > 0 && plain_.pairs() > 0) {
    row("records with principles", guided_);
    row("records without", plain_);
  }
  for (const auto& [principle, tally] : by_principle_) row(principle_label(principle.first, principle.second), tally);
  for (const auto& [number, tally] : by_number_)
    row(std::to_string(number) + (number == 1 ? " principle" : " principles"), tally);
  for (const auto& [principle, tally] : by_dominant_)
    row("decided by " + principle_label(principle.first, principle.second), tally);
  for (const auto& group : by_margin())
    row("label's margin " + format_short(group.from) + " to " + format_short(group.to), group.tally);
  return out;
}

text_table preference_measures::reliability() const {
  text_table out({"confidence", "pairs", "mean", "accuracy"});
  const auto bins = calibration_.mean_bins();
  for (std::size_t i = 0; i < bins.size(); ++i) {
    if (bins[i].pairs == 0) continue;
    const auto edge = [](std::size_t k) {
      return format_number(0.5 + 0.5 * static_cast<double>(k) / calibration::bins, 2);
    };
    out.add_row({edge(i) + " to " + edge(i + 1), std::to_string(bins[i].pairs), format_number(bins[i].confidence, 4),
                 format_number(bins[i].accuracy, 4)});
  }
  return out;
}

void add_scores(reward_role& reward, const preference_batch& batch, std::initializer_list<preference_measures*> into) {
  std::vector<reward_query> queries;
  for (const auto& pair : batch.pairs()) {
    queries.push_back(pair.chosen);
    queries.push_back(pair.rejected);
  }
  const auto scores = reward.score(queries);
  for (std::size_t i = 0; i < batch.records().size(); ++i)
    for (auto* each : into) each->add(batch.records()[i], scores[2 * i], scores[2 * i + 1]);
}

preference_measures measure_pairs(reward_role& reward, preference_set& pairs) {
  constexpr std::size_t at_once = 64;  // pairs whose texts are in memory; `score` batches them by its own limits
  preference_measures out;
  std::vector<std::size_t> indices;
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    indices.push_back(i);
    if (indices.size() < at_once && i + 1 < pairs.size()) continue;
    add_scores(reward, pairs.fetch(indices), {&out});
    indices.clear();
  }
  return out;
}

}  // namespace coho::trainer
