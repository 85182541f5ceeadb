#include <coho/toy/sgd.hpp>
#include <coho/toy/tabular_value.hpp>

#include "support/catch.hpp"

using namespace coho;

TEST_CASE("sgd steps all of its models against their gradients") {
  toy::tabular_value a(1, 1), b(2, 1);
  a.table << 1, 2;
  a.gradient << 10, -10;
  b.gradient << 1, 0, 2;
  toy::sgd optimizer(a, b);
  STATIC_REQUIRE(coho::optimizer<decltype(optimizer)>);
  optimizer.step(0.1);
  CHECK(a.table.isApprox(Eigen::VectorXd{{0, 3}}));
  CHECK(b.table.isApprox(Eigen::VectorXd{{-0.1, 0, -0.2}}));
}
