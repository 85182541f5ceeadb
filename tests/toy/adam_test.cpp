#include <cmath>

#include <coho/toy/adam.hpp>
#include <coho/toy/tabular_value.hpp>

#include "support/catch.hpp"

using namespace coho;

TEST_CASE("adam, two steps by hand") {
  toy::tabular_value model(1, 1);
  toy::adam optimizer({.beta1 = 0.5, .beta2 = 0.75, .epsilon = 1e-12}, model);
  STATIC_REQUIRE(coho::optimizer<decltype(optimizer)>);
  model.gradient << 4, 0;
  optimizer.step(0.1);
  CHECK(model.table(0) == Approx(-0.1));  // the first step has the length of the rate
  CHECK(model.table(1) == 0);
  model.gradient << -2, 1;
  optimizer.step(0.1);
  // m = .5·2 + .5·(−2) = 0 for the first; for the second m / (1 − .25) = 2/3, v / (1 − .5625) = .25 / .4375.
  CHECK(model.table(0) == Approx(-0.1));
  CHECK(model.table(1) == Approx(-0.1 * (2.0 / 3) / std::sqrt(0.25 / 0.4375)));
}

TEST_CASE("adam goes on from a saved state") {
  const auto run = [](bool interrupted) {
    toy::tabular_value model(2, 1), other(1, 0);
    toy::adam first({}, model, other), second({}, model, other);
    for (int i = 0; i < 6; ++i) {
      model.gradient << 1.0 / (i + 1), -i, 0.5;
      other.gradient << i - 2;
      if (i == 3 && interrupted) second.restore(first.save());
      (i >= 3 && interrupted ? second : first).step(0.01);
    }
    return model.table;
  };
  CHECK(run(true) == run(false));
}

TEST_CASE("adam checks its options") {
  toy::tabular_value model(1, 1);
  CHECK_THROWS_AS(toy::adam({.beta1 = 1}, model), option_error);
  CHECK_THROWS_AS(toy::adam({.beta2 = -0.1}, model), option_error);
  CHECK_THROWS_AS(toy::adam({.epsilon = 0}, model), option_error);
}
