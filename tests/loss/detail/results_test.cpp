#include <limits>

#include <coho/loss/detail/results.hpp>

#include "support/catch.hpp"
#include "support/test_arrays.hpp"

using namespace coho;
using namespace coho::detail;
using coho::test::not_a_number;

TEST_CASE("loss results: mean weights sum to one, none for no elements") {
  const mean_weights four(4);
  CHECK(four.size() == 4);
  CHECK(four[3] == 0.25);
  CHECK(mean_weights(0).weight == 0);
}

TEST_CASE("loss results: a loss that is not finite is an error that says who") {
  CHECK_NOTHROW(require_finite(1, "nll"));
  CHECK_THROWS_WITH(require_finite(not_a_number, "nll"), Catch::Matchers::ContainsSubstring("nll"));
  CHECK_THROWS_AS(require_finite(std::numeric_limits<double>::infinity(), "nll"), argument_error);
}
