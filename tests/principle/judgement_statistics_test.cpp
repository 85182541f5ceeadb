#include <limits>

#include <coho/principle/judgement_statistics.hpp>
#include <coho/rng.hpp>

#include "support/catch.hpp"

TEST_CASE("the variance pools both orders over all pairs") {
  coho::judgement_statistics s(2);
  s.add({{{1, 3}, {5, 5}}});
  s.add({{{-2, 2}, {5, 5}}});
  // 1, 3, −2, 2: mean 1, squares 0 + 4 + 9 + 1
  CHECK(s.pairs() == 2);
  CHECK(s.mean(0) == Approx(1.0));
  CHECK(s.variance(0) == Approx(3.5));
  CHECK(s.variance(1) == 0.0);
  CHECK(s.order_consistency(0) == 0.5);
  CHECK(s.order_consistency(1) == 1.0);
}

TEST_CASE("statistics of parts merge into those of the whole, far from 0 too") {
  coho::rng random(17);
  coho::judgement_statistics whole(1), left(1), right(1), none(1);
  double sum = 0;
  std::vector<double> values;
  for (int i = 0; i < 500; ++i) {
    const coho::pair_judgement j{{{1e6 + random.normal(), 1e6 + random.normal()}}};
    whole.add(j);
    (i < 123 ? left : right).add(j);
    for (const double v : {j.scores[0].ab, j.scores[0].ba}) {
      values.push_back(v);
      sum += v - 1e6;
    }
  }
  const double mean = sum / 1000;
  double squares = 0;
  for (const double v : values) squares += (v - 1e6 - mean) * (v - 1e6 - mean);
  left.merge(right);
  left.merge(none);
  none.merge(left);
  for (const auto* s : {&whole, &left, &none}) {
    CHECK(s->variance(0) == Approx(squares / 1000).epsilon(1e-7));
    CHECK(s->mean(0) - 1e6 == Approx(mean).margin(1e-7));
    CHECK(s->pairs() == 500);
  }
}

TEST_CASE("scores that cannot be used are refused and leave the statistics as they were") {
  coho::judgement_statistics s(2);
  s.add({{{1, 1}, {2, 2}}});
  CHECK_THROWS_AS(s.add({{{1, 1}}}), coho::argument_error);
  CHECK_THROWS_AS(s.add({{{1, 1}, {std::numeric_limits<double>::quiet_NaN(), 0}}}), coho::argument_error);
  CHECK_THROWS_AS(s.merge(coho::judgement_statistics(3)), coho::argument_error);
  CHECK(s.pairs() == 1);
  CHECK(s.mean(0) == 1.0);
  CHECK(coho::judgement_statistics(1).variance(0) == 0.0);
  CHECK(coho::judgement_statistics(1).order_consistency(0) == 0.0);
}
