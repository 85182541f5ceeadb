#include "datasets/aggregate_summary.hpp"

#include <nlohmann/json.hpp>

namespace coho::trainer {

aggregate_summary::aggregate_summary(const std::vector<principle>& principles, const judgement_statistics& statistics,
                                     const aggregation_options& options)
    : options_(options) {
  for (std::size_t i = 0; i < principles.size(); ++i) {
    row& next = rows_.emplace_back();
    next.name = principles[i].name;
    next.variance = statistics.variance(i);
    next.order_consistency = statistics.order_consistency(i);
    next.drawable = principles[i].weight > 0;
    next.gated = next.order_consistency < options.minimum_order_consistency;
  }
}

void aggregate_summary::add(const pair_judgement& judgement, const std::vector<double>& scores, const rule_facts& facts,
                            const std::vector<preference>& records) {
  ++pairs_;
  preferences_ += records.size();
  const std::size_t dropped = options_.repeats - records.size();
  if (options_.language_rule && !facts.language) ++unknown_language_;
  // The language rule depends only on the pair: it drops every draw or none.
  const bool neither = options_.language_rule && facts.language && !facts.language->same[0] && !facts.language->same[1];
  (neither ? other_language_ : ties_) += dropped;
  for (std::size_t i = 0; i < rows_.size(); ++i)
    rows_[i].orders_disagree += scores[i] == 0 && !judgement.scores[i].agrees();
  for (const auto& record : records) {
    by_phrase_ += record.rule == label_rule::banned_phrase;
    by_language_ += record.rule == label_rule::language;
    flipped_ += record.flipped;
    swapped_ += record.swapped;
    for (const auto& drawn : record.principles) {
      ++rows_[drawn.index].drawn;
      rows_[drawn.index].negated += drawn.negated;
    }
    ++rows_[record.dominant_principle().index].dominant;
  }
}

json aggregate_summary::to_json() const {
  json out;
  out["pairs"] = pairs_;
  out["draws"] = draws();
  out["preferences"] = preferences_;
  out["dropped"] = {{"no_principle_tells_apart", ties_}, {"neither_in_the_prompts_language", other_language_}};
  out["decided_by_rule"] = {{"banned_phrase", by_phrase_}, {"language", by_language_}};
  if (options_.language_rule) out["pairs_of_unknown_language"] = unknown_language_;
  out["labels_turned_by_noise"] = flipped_;
  out["shown_in_exchanged_order"] = swapped_;
  out["principles"] = json::array();
  for (const auto& row : rows_) {
    out["principles"].push_back({{"name", row.name},
                                 {"variance", row.variance},
                                 {"order_consistency", row.order_consistency},
                                 {"drawable", row.drawable},
                                 {"below_minimum_order_consistency", row.gated},
                                 {"pairs_without_score", row.orders_disagree},
                                 {"drawn", row.drawn},
                                 {"negated", row.negated},
                                 {"dominant", row.dominant}});
  }
  return out;
}

std::vector<std::string> aggregate_summary::log_lines() const {
  const auto text = [](std::size_t n) { return std::to_string(n); };
  std::vector<std::string> out;
  out.push_back(text(pairs_) + " pairs, " + text(draws()) + " draws: " + text(preferences_) + " preferences");
  out.push_back("dropped: " + text(ties_) + " draws whose principles do not tell the responses apart" +
                (options_.language_rule
                     ? ", " + text(other_language_) + " for want of a response in the prompt's language"
                     : ""));
  out.push_back("labels: " + text(by_phrase_) + " decided by banned phrases, " + text(by_language_) +
                " by the language, " + text(flipped_) + " turned by noise");
  std::string silent;
  for (const auto& row : rows_)
    if (row.drawable && row.gated) silent += (silent.empty() ? "" : ", ") + row.name;
  if (!silent.empty()) out.push_back("below minimum_order_consistency, counted as 0: " + silent);
  return out;
}

}  // namespace coho::trainer
