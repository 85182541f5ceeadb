#include <Eigen/Core>

#include <coho/loss/detail/pair_result.hpp>

#include "support/catch.hpp"

namespace {

template <class Value, class Array>
struct three_measures {
  Value value;
  Array d_chosen, d_rejected;
  Value first, second, third;
};

}  // namespace

TEST_CASE("the results of a loss over pairs keep their order") {
  coho::elementwise_result<double, Eigen::ArrayXd, 2, 3> from;
  from.value = 7;
  from.gradients = {Eigen::ArrayXd::Constant(2, 1.0), Eigen::ArrayXd::Constant(2, -2.0)};
  from.measures = {0.25, 0.5, 0.75};
  const auto result = coho::detail::pair_result<three_measures>(from);
  CHECK(result.value == 7);
  CHECK((result.d_chosen == 1).all());
  CHECK((result.d_rejected == -2).all());
  CHECK(result.first == 0.25);
  CHECK(result.second == 0.5);
  CHECK(result.third == 0.75);
}
