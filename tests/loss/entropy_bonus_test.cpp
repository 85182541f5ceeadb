#include <cmath>
#include <vector>

#include <coho/loss/entropy_bonus.hpp>

#include "support/catch.hpp"
#include "support/finite_difference.hpp"
#include "support/test_arrays.hpp"

using namespace coho::test;
using Catch::Matchers::ContainsSubstring;
using coho::entropy_bonus, coho::make_token_weights;

TEST_CASE("the entropy bonus of one token") {
  CHECK(entropy_bonus{{.coefficient = 0.5}}(3.0) == -1.5);
  CHECK(entropy_bonus{}(2.0) == Approx(-0.02));
}

TEMPLATE_TEST_CASE("the entropy bonus of three tokens by hand", "", Eigen::ArrayXd, Eigen::ArrayXf, std::vector<double>,
                   std::vector<float>) {
  const auto entropy = make<TestType>({1, 2, 6});
  const entropy_bonus bonus{{.coefficient = 0.1}};
  CHECK(bonus(entropy) == Approx(-0.3));
  const auto result = bonus.value_and_grad(
      entropy, make_token_weights(offsets{0, 1, 3}, {.kind = coho::reduction::sequence_mean_of_means}));
  STATIC_REQUIRE(std::is_same_v<typename decltype(result.d_entropy)::Scalar, typename TestType::value_type>);
  CHECK(result.value == Approx(-0.1 * (0.5 * 1 + 0.25 * 8)));
  CHECK(result.d_entropy[0] == Approx(-0.05));
  CHECK(result.d_entropy[1] == Approx(-0.025));
  CHECK(result.d_entropy[2] == Approx(-0.025));
  CHECK(result.entropy == Approx(3));
  CHECK(result.tokens == 3);
  CHECK(bonus.value_and_grad(entropy).d_entropy[2] == Approx(-0.1 / 3));
}

TEST_CASE("the gradient of the entropy bonus agrees with central differences") {
  const Eigen::ArrayXd entropy = normals(12, 1).abs();
  flags mask(12, 1);
  mask[4] = 0;
  const auto weights = make_token_weights(mask, offsets{0, 5, 5, 6, 12});
  const entropy_bonus bonus{{.coefficient = 0.7}};
  const auto result = bonus.value_and_grad(entropy, weights);
  CHECK(result.value == Approx(bonus(entropy, weights)).epsilon(1e-12));
  CHECK(result.d_entropy[4] == 0);
  check_gradient(entropy, result.d_entropy, [&](const Eigen::ArrayXd& x) { return bonus(x, weights); });
}

TEST_CASE("a step against the entropy bonus's gradient raises the entropy of a softmax") {
  // dH/dz_v = −p_v·(log p_v + H).
  Eigen::ArrayXd z = normals(6, 2);
  const auto entropy = [](const Eigen::ArrayXd& logits) {
    const Eigen::ArrayXd p = logits.exp() / logits.exp().sum();
    return -(p * p.log()).sum();
  };
  const double before = entropy(z);
  const Eigen::ArrayXd p = z.exp() / z.exp().sum();
  const double slope = entropy_bonus{{.coefficient = 1}}.value_and_grad(array({before})).d_entropy[0];
  z -= 0.1 * slope * (-p * (p.log() + before));
  CHECK(entropy(z) > before);
}

TEST_CASE("entropy of coefficient 0 is only measured") {
  const auto result = entropy_bonus{{.coefficient = 0}}.value_and_grad(array({1, 3}));
  CHECK(result.value == 0);
  CHECK((result.d_entropy == 0.0).all());
  CHECK(result.entropy == 2);
}

TEST_CASE("the entropy bonus: masks, empty input, NaN, options and lengths") {
  const auto masked =
      entropy_bonus{}.value_and_grad(array({not_a_number, 2}), make_token_weights(flags{0, 1}, offsets{0, 2}));
  CHECK(masked.value == Approx(-0.02));
  CHECK(masked.d_entropy[0] == 0);
  CHECK(masked.entropy == 2);
  const auto nothing = entropy_bonus{}.value_and_grad(Eigen::ArrayXd());
  CHECK(nothing.value == 0);
  CHECK(nothing.entropy == 0);
  CHECK_THROWS_AS(entropy_bonus{}(array({not_a_number})), coho::argument_error);
  CHECK_THROWS_AS(entropy_bonus{}(array({1, 2}), make_token_weights(offsets{0, 1})), coho::argument_error);
  CHECK_THROWS_WITH(entropy_bonus({.coefficient = -0.1}), ContainsSubstring("coefficient"));
  CHECK_THROWS_AS(entropy_bonus({.coefficient = not_a_number}), coho::option_error);
  CHECK_THROWS_AS(entropy_bonus({.coefficient = infinity}), coho::option_error);
}
