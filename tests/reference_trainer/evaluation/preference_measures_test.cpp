#include "evaluation/preference_measures.hpp"

#include <cmath>
#include <limits>

#include <nlohmann/json.hpp>

#include <coho/error.hpp>

#include "support/catch.hpp"

using namespace coho;
using namespace coho::trainer;

namespace {

double logit(double p) { return std::log(p / (1 - p)); }
double sigma(double x) { return 1 / (1 + std::exp(-x)); }

preference_record under(std::vector<chosen_principle> principles, std::optional<std::size_t> dominant = {},
                        double margin = 0) {
  return {{"q"}, "a", "b", 1, std::move(principles), dominant, margin};
}

}  // namespace

TEST_CASE("preference measures: accuracy, margin, loss and their errors by hand") {
  pair_tally tally;
  for (const double d : {1.0, 0.0, -1.0, 2.0}) tally.add(d);
  CHECK(tally.pairs() == 4);
  CHECK(tally.right() == 2);
  CHECK(tally.ties() == 1);
  CHECK(tally.accuracy() == 0.625);
  CHECK(tally.accuracy_standard_error() == Approx(std::sqrt(0.625 * 0.375 / 4)));
  CHECK(tally.score_difference() == 0.5);
  // Squared differences from 0.5: 0.25, 0.25, 2.25, 2.25.
  CHECK(tally.score_difference_standard_error() == Approx(std::sqrt(5.0 / 3 / 4)));
  const double loss =
      std::log1p(std::exp(-1.0)) + std::log(2.0) + std::log1p(std::exp(1.0)) + std::log1p(std::exp(-2.0));
  CHECK(tally.loss() == Approx(loss / 4));
  const double brier = std::pow(sigma(-1), 2) + 0.25 + std::pow(sigma(1), 2) + std::pow(sigma(-2), 2);
  CHECK(tally.brier_score() == Approx(brier / 4));
  CHECK(tally.loss_standard_error() > 0);
  CHECK(tally.brier_standard_error() > 0);

  pair_tally one;
  one.add(-1e4);
  CHECK(one.loss() == Approx(1e4));
  CHECK(one.brier_score() == 1);
  CHECK(one.loss_standard_error() == 0);
  CHECK_THROWS_AS(one.add(std::numeric_limits<double>::quiet_NaN()), argument_error);
  CHECK_THROWS_AS(one.add(std::numeric_limits<double>::infinity()), argument_error);
  CHECK(pair_tally().accuracy() == 0);
}

TEST_CASE("preference measures: calibration by hand") {
  calibration measured;
  // Confidence 0.6 four times, right in three of four; 0.9 twice, right once; a tie, which is confidence 0.5.
  for (const double sign : {1.0, 1.0, 1.0, -1.0}) measured.add(sign * logit(0.62));
  for (const double sign : {1.0, -1.0}) measured.add(sign * logit(0.93));
  measured.add(0);
  measured.add(1e5);
  const auto table = measured.mean_bins();
  REQUIRE(table.size() == 10);
  CHECK(table[0].pairs == 1);  // [0.5, 0.55)
  CHECK(table[0].confidence == 0.5);
  CHECK(table[0].accuracy == 0.5);
  CHECK(table[2].pairs == 4);  // [0.6, 0.65)
  CHECK(table[2].confidence == Approx(0.62));
  CHECK(table[2].accuracy == 0.75);
  CHECK(table[8].pairs == 2);  // [0.9, 0.95)
  CHECK(table[8].accuracy == 0.5);
  CHECK(table[9].pairs == 1);  // [0.95, 1]: what is certain belongs to the last
  CHECK(table[9].confidence == 1);
  CHECK(measured.expected_error() == Approx((4 * 0.13 + 2 * 0.43) / 8));
  CHECK(calibration().expected_error() == 0);
}

TEST_CASE("preference measures: scores that are true log-odds are calibrated") {
  calibration measured;
  rng random(3);
  for (int i = 0; i < 20000; ++i) {
    const double d = 2 * random.normal();
    measured.add(random.bernoulli(sigma(d)) ? d : -d);
  }
  CHECK(measured.expected_error() < 0.02);
}

TEST_CASE("preference measures: groups by what the record says") {
  preference_measures measured;
  measured.add(under({}), 3, 1);
  measured.add(under({{"Concise", true}}, 0, 1.0), 2, 1);
  measured.add(under({{"Concise", false}, {"Ethical", false}}, 1, 2.0), 1, 2);
  measured.add(under({{"Ethical", false}, {"Concise", true}}, 1, 3.0), 1, 1);
  measured.add(under({{"Ethical", false}}), 5, 1);
  measured.add(under({{"Ethical", false}}, 0, 4.0), 6, 1);
  const auto json = measured.to_json();
  CHECK(json["pairs"] == 6);
  CHECK(json["right"] == 4);
  CHECK(json["ties"] == 1);
  CHECK(json["accuracy"] == 0.75);
  CHECK(json["scores"]["count"] == 12);
  CHECK(json["scores"]["mean"].get<double>() == Approx(25.0 / 12));
  CHECK(json["scores"]["minimum"] == 1);
  CHECK(json["scores"]["maximum"] == 6);
  // Σ s² = 9+1+4+1+1+4+1+1+25+1+36+1 = 85.
  CHECK(json["scores"]["deviation"].get<double>() == Approx(std::sqrt(85.0 / 12 - 625.0 / 144)));
  CHECK(json["with_principles"]["pairs"] == 5);
  CHECK(json["without_principles"]["accuracy"] == 1);
  const auto& principles = json["by_principle"];
  REQUIRE(principles.size() == 3);
  CHECK(principles[0]["principle"] == "Concise");
  CHECK(principles[0]["negated"] == false);
  CHECK(principles[0]["accuracy"] == 0);
  CHECK(principles[1]["negated"] == true);
  CHECK(principles[1]["pairs"] == 2);
  CHECK(principles[1]["accuracy"] == 0.75);
  CHECK(principles[2]["principle"] == "Ethical");
  CHECK(principles[2]["accuracy"] == 0.625);
  CHECK(principles[2]["margin"] == 2);
  CHECK(json["by_number"][0]["principles"] == 1);
  CHECK(json["by_number"][0]["pairs"] == 3);
  CHECK(json["by_number"][1]["accuracy"] == 0.25);
  const auto& dominant = json["by_dominant"];
  REQUIRE(dominant.size() == 2);
  CHECK(dominant[0]["principle"] == "Concise");
  CHECK(dominant[0]["negated"] == true);
  CHECK(dominant[0]["accuracy"] == 0.75);
  CHECK(dominant[1]["pairs"] == 2);
  CHECK(dominant[1]["accuracy"] == 0.5);
  const auto& margins = json["by_margin"];
  REQUIRE(margins.size() == 4);
  for (std::size_t k = 0; k < 4; ++k) CHECK(margins[k]["from"] == static_cast<double>(k + 1));
  CHECK(margins[1]["accuracy"] == 0);
  CHECK(margins[2]["ties"] == 1);
  const auto table = measured.groups();
  CHECK(table.rows().size() == 2 + 3 + 2 + 2 + 4);
  CHECK(table.rows()[2][0] == "Concise");
  CHECK(table.rows()[3][0] == "Concise, negated");
  CHECK(measured.reliability().rows().size() >= 3);
}

TEST_CASE("preference measures: equal margins stay together, and plain pairs have no groups") {
  preference_measures measured;
  for (int i = 0; i < 8; ++i) measured.add(under({{"Concise", false}}, 0, i < 6 ? 1.0 : 2.0), 1, 0);
  const auto margins = measured.to_json()["by_margin"];
  REQUIRE(margins.size() == 2);
  CHECK(margins[0]["pairs"] == 6);
  CHECK(margins[1]["from"] == 2);
  CHECK(measured.to_json().count("with_principles") == 0);

  preference_measures plain;
  plain.add(under({}), 1, 0);
  CHECK(plain.to_json().count("by_principle") == 0);
  CHECK(plain.groups().rows().empty());
  CHECK(plain.scores().deviation == 0.5);
}
