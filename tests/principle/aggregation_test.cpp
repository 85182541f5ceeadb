#include <set>

#include <coho/principle/aggregation.hpp>

#include "support/catch.hpp"
#include "support/chi_square.hpp"

using Catch::Matchers::ContainsSubstring;
using coho::aggregation_options;
using coho::preference_aggregator;

namespace {

const std::vector<coho::principle> aggregated_principles{
    {"Concise", "c", "not c", 1}, {"Ethical", "e", "not e", 1}, {"Specific", "s", "not s", 1}};

coho::pair_judgement judged(std::vector<double> means) {
  coho::pair_judgement out;
  for (const double m : means) out.scores.push_back({m, m});
  return out;
}

coho::judgement_statistics statistics_of(const std::vector<coho::pair_judgement>& judgements) {
  coho::judgement_statistics out(judgements.front().scores.size());
  for (const auto& j : judgements) out.add(j);
  return out;
}

const coho::judgement_statistics none(3);
const coho::rule_facts nothing;

coho::rule_facts languages(bool a, bool b) {
  coho::rule_facts out;
  out.language = coho::rule_facts::languages{{a, b}};
  return out;
}

}  // namespace

TEST_CASE("the worked example: negated Ethical decides, by two") {
  // scores of A (2, 3, 6), of B (1, 5, 5)
  const std::vector<double> differences{2 - 1, 3 - 5, 6 - 5};
  const auto label = coho::dominant_label(differences, {{0, false}, {1, true}, {2, false}});
  REQUIRE(label.has_value());
  CHECK(label->preferred == 0);
  CHECK(label->margin == 2.0);
  CHECK(label->dominant == 1);
  CHECK(label->dominant_principle() == coho::drawn_principle{1, true});
  CHECK(aggregated_principles[label->dominant_principle().index].name == "Ethical");

  // The same through the aggregator, whenever it draws all three and negates just that one.
  auto options = aggregation_options::paper();
  options.set_sizes = coho::principle_count_distribution::fixed(3);
  const preference_aggregator aggregate(aggregated_principles, none, options);
  bool met = false;
  for (std::uint64_t i = 0; i < 200; ++i) {
    for (const auto& record : aggregate(judged(differences), nothing, coho::rng(1, i))) {
      std::set<std::size_t> turned;
      for (const auto& p : record.principles) {
        if (p.negated) turned.insert(p.index);
      }
      if (turned != std::set<std::size_t>{1}) continue;
      met = true;
      CHECK(record.preferred == 0);
      CHECK(record.margin == 2.0);
      CHECK(record.dominant_principle() == coho::drawn_principle{1, true});
    }
  }
  CHECK(met);
}

TEST_CASE("the label is the sign of the largest magnitude, the earliest of equals, nothing for zeros") {
  const std::vector<double> scores{-1, 0, 1};
  CHECK(coho::dominant_label(scores, {{0, false}, {2, false}})->preferred == 1);
  CHECK(coho::dominant_label(scores, {{2, false}, {0, false}})->preferred == 0);
  CHECK(coho::dominant_label(scores, {{2, true}})->preferred == 1);
  CHECK(coho::dominant_label(scores, {{1, false}, {0, true}})->dominant == 1);
  CHECK_FALSE(coho::dominant_label(scores, {{1, true}}).has_value());
  CHECK_FALSE(coho::dominant_label(scores, {}).has_value());
  CHECK_THROWS_AS(coho::dominant_label(scores, {{3, false}}), coho::argument_error);
}

TEST_CASE("presets state what the paper and the released code do") {
  const auto paper = aggregation_options::paper();
  CHECK(paper.repeats == 1);
  CHECK_FALSE(paper.divide_by_variance);
  CHECK(paper.label_noise == 0);
  const auto code = aggregation_options::salmon_code();
  CHECK(code.repeats == 4);
  CHECK(code.set_sizes == coho::principle_count_distribution::geometric(0.2, 8));
  CHECK(code.divide_by_variance);
  CHECK(code.require_order_agreement);
  CHECK(code.banned_phrase_probability == 0.5);
  CHECK(code.label_noise == 0.1);
  CHECK(code.label_noise_after_rule == 0.25);
}

TEST_CASE("paper scores are raw means; the code's are gated by agreement and divided by the variance") {
  const std::vector<coho::pair_judgement> data{{{{2, 4}, {1, 1}, {3, -1}}}, {{{-2, -4}, {1, 1}, {-3, 1}}}};
  const auto statistics = statistics_of(data);
  CHECK(preference_aggregator(aggregated_principles, statistics).scores(data[0]) == std::vector<double>{3, 1, 1});

  const preference_aggregator code(aggregated_principles, statistics, aggregation_options::salmon_code());
  const auto scores = code.scores(data[0]);
  CHECK(scores[0] == Approx(3.0 / 10.0));
  CHECK(scores[1] == 0.0);  // no variance: scored the same everywhere
  CHECK(scores[2] == 0.0);  // the orders disagree

  auto floored = aggregation_options::salmon_code();
  floored.variance_floor = 20;
  CHECK(preference_aggregator(aggregated_principles, statistics, floored).scores(data[0])[0] == Approx(3.0 / 20.0));
  CHECK(preference_aggregator(aggregated_principles, statistics, floored).scores(data[0])[1] == Approx(1.0 / 20.0));
}

TEST_CASE("a principle on which the judge guesses wins labels by its tiny variance, unless gated or floored") {
  coho::rng random(5);
  std::vector<coho::pair_judgement> data;
  for (int i = 0; i < 300; ++i) {
    const double truth = random.normal() * 3;
    data.push_back({{{truth, truth * 0.9}, {0.05 * random.normal(), 0.05 * random.normal()}, {-truth, -truth}}});
  }
  const auto statistics = statistics_of(data);
  CHECK(statistics.order_consistency(1) < 0.6);
  auto options = aggregation_options::salmon_code();
  options.label_noise = 0;
  options.set_sizes = coho::principle_count_distribution::fixed(3);
  const auto wins = [&](const aggregation_options& o) {
    const preference_aggregator aggregate(aggregated_principles, statistics, o);
    int by_guess = 0;
    for (std::size_t i = 0; i < data.size(); ++i) {
      for (const auto& record : aggregate(data[i], nothing, coho::rng(2, i))) {
        by_guess += record.dominant_principle().index == 1;
      }
    }
    return by_guess;
  };
  CHECK(wins(options) > 300);
  auto gated = options;
  gated.minimum_order_consistency = 0.7;
  CHECK(wins(gated) == 0);
  auto floored = options;
  floored.variance_floor = 1.0;
  CHECK(wins(floored) < 120);
}

TEST_CASE("records depend on their pair's generator alone") {
  const preference_aggregator aggregate(aggregated_principles, none, aggregation_options{.repeats = 4});
  const auto pair = judged({1, -2, 3});
  const auto records = aggregate(pair, nothing, coho::rng(3, 8));
  CHECK(records.size() == 4);
  CHECK(aggregate(pair, nothing, coho::rng(3, 8)) == records);
  CHECK(aggregate(pair, nothing, coho::rng(3, 9)) != records);
  for (const auto& r : records) CHECK((r.principles.size() >= 1 && r.principles.size() <= 3));
}

TEST_CASE("sizes, negation, presentation order and noise have their frequencies") {
  aggregation_options options;
  options.repeats = 30000;
  options.set_sizes = coho::principle_count_distribution::from_masses({.25, .40, .35});
  options.label_noise = 0.1;
  const preference_aggregator aggregate(aggregated_principles, none, options);
  std::vector<std::size_t> sizes(3, 0), firsts(3, 0), turned(2, 0), swapped(2, 0), flipped(2, 0), presented(2, 0);
  for (const auto& r : aggregate(judged({1, 2, 3}), nothing, coho::rng(4))) {
    ++sizes[r.principles.size() - 1];
    ++firsts[r.principles.front().index];
    ++turned[r.principles.front().negated];
    ++swapped[r.swapped];
    ++flipped[r.flipped];
    ++presented[static_cast<std::size_t>(r.presented())];
    CHECK(r.margin == static_cast<double>(r.dominant_principle().index + 1));
    CHECK((r.preferred == 0) == (r.dominant_principle().negated == r.flipped));
    CHECK(r.presented() == (r.swapped ? 1 - r.preferred : r.preferred));
  }
  CHECK(coho::test::fits(sizes, std::vector{.25, .40, .35}));
  CHECK(coho::test::fits(firsts, std::vector{1. / 3, 1. / 3, 1. / 3}));
  CHECK(coho::test::fits(turned, std::vector{.5, .5}));
  CHECK(coho::test::fits(swapped, std::vector{.5, .5}));
  CHECK(coho::test::fits(flipped, std::vector{.9, .1}));
  CHECK(coho::test::fits(presented, std::vector{.5, .5}));
}

TEST_CASE("a set is never larger than the list, and weight 0 is never drawn") {
  auto some = aggregated_principles;
  some[1].weight = 0;
  aggregation_options options;
  options.repeats = 500;
  for (const auto& r : preference_aggregator(some, none, options)(judged({1, 2, 3}), nothing, coho::rng(5))) {
    CHECK(r.principles.size() <= 2);
    for (const auto& p : r.principles) CHECK(p.index != 1);
  }
}

TEST_CASE("the banned phrase rule decides half of the labels it applies to") {
  auto options = aggregation_options::salmon_code();
  options.divide_by_variance = false;
  options.negation_probability = 0;
  options.repeats = 20000;
  options.label_noise = 0;
  const preference_aggregator aggregate(aggregated_principles, none, options);
  coho::rule_facts facts;
  facts.holds_banned_phrase[0] = true;
  std::vector<std::size_t> decided(2, 0), flipped(2, 0);
  for (const auto& r : aggregate(judged({1, 1, 1}), facts, coho::rng(6))) {
    ++decided[r.rule == coho::label_rule::banned_phrase];
    if (r.rule == coho::label_rule::banned_phrase) ++flipped[r.flipped];
    CHECK(r.preferred == ((r.rule == coho::label_rule::banned_phrase) != r.flipped ? 1 : 0));
  }
  CHECK(coho::test::fits(decided, std::vector{.5, .5}));
  CHECK(coho::test::fits(flipped, std::vector{.75, .25}));

  facts.holds_banned_phrase[1] = true;  // both: the rule rests
  for (const auto& r : aggregate(judged({1, 1, 1}), facts, coho::rng(7))) CHECK(r.rule == coho::label_rule::none);
}

TEST_CASE("the language rule overrides the others and drops a pair when neither response is in the prompt's language") {
  auto options = aggregation_options::salmon_code();
  options.divide_by_variance = false;
  options.label_noise_after_rule = 0;
  options.banned_phrase_probability = 1;
  options.repeats = 50;
  const preference_aggregator aggregate(aggregated_principles, none, options);
  const auto pair = judged({1, 1, 1});
  auto only_b = languages(false, true);
  only_b.holds_banned_phrase[1] = true;
  const auto records = aggregate(pair, only_b, coho::rng(8));
  CHECK(records.size() == 50);
  for (const auto& r : records) {
    CHECK(r.rule == coho::label_rule::language);
    CHECK(r.preferred == 1);
  }
  CHECK(aggregate(pair, languages(false, false), coho::rng(8)).empty());
  for (const auto& r : aggregate(pair, languages(true, true), coho::rng(8))) CHECK(r.rule == coho::label_rule::none);

  const preference_aggregator paper(aggregated_principles, none);
  CHECK(paper(pair, languages(false, false), coho::rng(8)).size() == 1);
}

TEST_CASE("a rule changes the label of a record and nothing else of it") {
  auto options = aggregation_options::salmon_code();
  options.divide_by_variance = false;
  options.label_noise = options.label_noise_after_rule = 0;
  const preference_aggregator aggregate(aggregated_principles, none, options);
  for (std::uint64_t i = 0; i < 50; ++i) {
    const auto plain = aggregate(judged({1, -2, 3}), nothing, coho::rng(9, i));
    const auto ruled = aggregate(judged({1, -2, 3}), languages(true, false), coho::rng(9, i));
    REQUIRE(plain.size() == ruled.size());
    for (std::size_t r = 0; r < plain.size(); ++r) {
      CHECK(plain[r].principles == ruled[r].principles);
      CHECK(plain[r].swapped == ruled[r].swapped);
      CHECK(plain[r].dominant == ruled[r].dominant);
      CHECK(ruled[r].preferred == 0);
    }
  }
}

TEST_CASE("what does not fit is refused when the aggregator is made") {
  auto bad = aggregation_options::paper();
  bad.label_noise = 1.2;
  CHECK_THROWS_WITH(preference_aggregator(aggregated_principles, none, bad), ContainsSubstring("label_noise = 1.2"));
  bad = aggregation_options::paper();
  bad.repeats = 0;
  CHECK_THROWS_AS(preference_aggregator(aggregated_principles, none, bad), coho::option_error);
  bad = aggregation_options::paper();
  bad.variance_floor = -1;
  CHECK_THROWS_AS(preference_aggregator(aggregated_principles, none, bad), coho::option_error);
  auto plain = aggregated_principles;
  plain[2].negative_definition.clear();
  CHECK_THROWS_WITH(preference_aggregator(plain, none), ContainsSubstring("\"Specific\" has no negative definition"));
  CHECK_NOTHROW(preference_aggregator(plain, none, aggregation_options{.negation_probability = 0}));
  CHECK_THROWS_AS(preference_aggregator(aggregated_principles, coho::judgement_statistics(2)), coho::argument_error);
  CHECK_THROWS_WITH(preference_aggregator(aggregated_principles, none, aggregation_options::salmon_code()),
                    ContainsSubstring("seen no pair"));
  CHECK_THROWS_AS(preference_aggregator(aggregated_principles, none).scores(judged({1, 2})), coho::argument_error);
}
