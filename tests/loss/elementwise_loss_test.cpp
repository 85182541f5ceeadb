#include <cmath>
#include <vector>

#include <coho/loss/elementwise_loss.hpp>

#include "support/catch.hpp"
#include "support/finite_difference.hpp"
#include "support/test_arrays.hpp"

using namespace coho::test;

namespace {

/// f = (x − y)²·c with gradients for x and y, c a constant; measures the share of x above y.
class weighted_square {
 public:
  template <class X, class Y, class C>
  auto operator()(const X& x, const Y& y, const C& c) const {
    return frame.value(*this, x, y, c);
  }
  template <class X, class Y, class C, class W>
  auto operator()(const X& x, const Y& y, const C& c, const coho::token_weights<W>& weights) const {
    return frame.weighted_value(*this, weights, x, y, c);
  }
  template <class X, class Y, class C>
  auto value_and_grad(const X& x, const Y& y, const C& c) const {
    return frame.value_and_grad(*this, x, y, c);
  }
  template <class X, class Y, class C, class W>
  auto value_and_grad(const X& x, const Y& y, const C& c, const coho::token_weights<W>& weights) const {
    return frame.weighted_value_and_grad(*this, weights, x, y, c);
  }

  template <bool Gradient, class T>
  coho::element_terms<T, 2, 1> element(const T& x, const T& y, const T& c) const {
    const T d = x - y;
    coho::element_terms<T, 2, 1> out{.value = d * d * c};
    if constexpr (Gradient) {
      out.slopes = {2 * d * c, -2 * d * c};
      out.measures = {coho::where(d > 0, 1 + 0.0 * d, 0.0 * d)};
    }
    return out;
  }

 private:
  static constexpr coho::elementwise_loss<2, 3> frame{"weighted_square", {"x", "y", "c"}};
};

}  // namespace

TEMPLATE_TEST_CASE("one formula gives the loss of numbers, arrays and ranges", "", Eigen::ArrayXd, Eigen::ArrayXf,
                   std::vector<double>, std::vector<float>) {
  const weighted_square loss;
  CHECK(loss(3.0, 1.0, 0.5) == 2.0);
  const auto x = make<TestType>({3, 1, 2}), y = make<TestType>({1, 2, 2}), c = make<TestType>({1, 2, 3});
  CHECK(loss(x, y, c) == Approx((4 + 2 + 0) / 3.0));
  CHECK(loss(x, y, 2.0) == Approx((8 + 2 + 0) / 3.0));  // a number is every element's
  const auto result = loss.value_and_grad(x, y, c);
  CHECK(result.value == Approx(2));
  CHECK(result.gradients[0][0] == Approx(4 / 3.0));
  CHECK(result.gradients[1][1] == Approx(4 / 3.0));
  CHECK(result.measures[0] == Approx(1 / 3.0));
  CHECK(result.count == 3);
}

TEST_CASE("elements of weight 0 are not read and not counted") {
  const weighted_square loss;
  const Eigen::ArrayXd x = array({3, not_a_number, 2, 5}), y = array({1, 0, 2, 4}), c = array({1, infinity, 1, 1});
  const coho::token_weights<Eigen::ArrayXd> weights{array({1, 0, 2, 0.5})};
  const auto result = loss.value_and_grad(x, y, c, weights);
  CHECK(result.value == Approx(4.5));
  CHECK((result.gradients[0] == array({4, 0, 0, 1})).all());
  CHECK(result.measures[0] == Approx(2 / 3.0));
  CHECK(loss(x, y, c, weights) == Approx(4.5));
}

TEST_CASE("gradients of the frame are those of the weighted sum") {
  const weighted_square loss;
  const Eigen::ArrayXd x = normals(7, 1), y = normals(7, 2), c = normals(7, 3);
  const coho::token_weights<Eigen::ArrayXd> weights{normals(7, 4)};
  const auto result = loss.value_and_grad(x, y, c, weights);
  check_gradient(x, result.gradients[0], [&](const Eigen::ArrayXd& v) { return loss(v, y, c, weights); });
  check_gradient(y, result.gradients[1], [&](const Eigen::ArrayXd& v) { return loss(x, v, c, weights); });
}

TEST_CASE("the frame names the input whose length differs, and the loss that is not finite") {
  const weighted_square loss;
  const Eigen::ArrayXd three = array({1, 2, 3}), two = array({1, 2});
  CHECK_THROWS_WITH(loss(three, two, three), "weighted_square: y has 2 elements where 3 were expected");
  CHECK_THROWS_WITH(loss.value_and_grad(three, three, two), "weighted_square: c has 2 elements where 3 were expected");
  CHECK_THROWS_WITH(loss(three, three, three, coho::token_weights<Eigen::ArrayXd>{two}),
                    "weighted_square: weights has 2 elements where 3 were expected");
  CHECK_THROWS_AS(loss(three, array({1, not_a_number, 3}), three), coho::argument_error);
}

TEST_CASE("a loss over no elements is 0") {
  const Eigen::ArrayXd none;
  const auto result = weighted_square{}.value_and_grad(none, none, none);
  CHECK(result.value == 0);
  CHECK(result.gradients[0].size() == 0);
  CHECK(result.measures[0] == 0);
}
