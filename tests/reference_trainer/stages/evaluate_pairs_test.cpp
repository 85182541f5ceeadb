#include "stages/evaluate_pairs.hpp"

#include <cmath>
#include <coho/error.hpp>
#include <limits>

#include "support/catch.hpp"

using namespace coho;
using namespace coho::trainer;

TEST_CASE("pairs: accuracy, margin and loss by hand") {
  const std::vector<double> preferred{1, 2, 0, 3}, other{0, 2, 1, 1};
  const auto out = measure_pairs(preferred, other);
  CHECK(out.pairs == 4);
  CHECK(out.right == 2);
  CHECK(out.ties == 1);
  CHECK(out.accuracy == 0.625);
  CHECK(out.standard_error == Approx(std::sqrt(0.625 * 0.375 / 4)));
  CHECK(out.margin == 0.5);
  const double loss =
      std::log1p(std::exp(-1.0)) + std::log(2.0) + std::log1p(std::exp(1.0)) + std::log1p(std::exp(-2.0));
  CHECK(out.loss == Approx(loss / 4));
  CHECK(measure_pairs(std::vector<double>{-1e4}, std::vector<double>{0}).loss == Approx(1e4));
  CHECK_THROWS_AS(measure_pairs({}, {}), argument_error);
  CHECK_THROWS_AS(measure_pairs(preferred, std::vector<double>{1}), argument_error);
  CHECK_THROWS_AS(measure_pairs(std::vector<double>{std::numeric_limits<double>::quiet_NaN()}, std::vector<double>{1}),
                  argument_error);
}

TEST_CASE("pairs: a principle's line is its text, or the collection's by its name") {
  const std::vector<principle> collection{
      {.name = "Concise", .definition = "Be brief.", .negative_definition = "Ramble."},
      {.name = "Honest", .definition = "Be true."}};
  preference_record record;
  CHECK(principle_lines(record, collection).empty());
  record.principles = {{.name = "Concise", .negated = true}, {.name = "Concise"}, {.name = "Kind", .text = "Be kind."}};
  CHECK(principle_lines(record, collection) == std::vector<std::string>{"Ramble.", "Be brief.", "Be kind."});
  CHECK_THROWS_AS(principle_lines(record, {}), argument_error);
  record.principles = {{.name = "Honest", .negated = true}};
  CHECK_THROWS_AS(principle_lines(record, collection), argument_error);
}
