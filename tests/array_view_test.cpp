#include <list>
#include <span>
#include <vector>

#include <Eigen/Core>

#include <coho/array_view.hpp>

#include "support/catch.hpp"
#include "support/test_arrays.hpp"

using namespace coho::test;
using coho::array_view;

TEST_CASE("array_view: named arrays are viewed, not copied") {
  const std::vector<double> range{1, 2, 3};
  const Eigen::ArrayXd eigen = array({4, 5});
  CHECK(array_view<double>(range).data() == range.data());
  CHECK(array_view<double>(std::span(range)).data() == range.data());
  CHECK(array_view<double>(eigen).data() == eigen.data());
  CHECK(array_view<double>(eigen.head(1)).data() == eigen.data());
  const array_view<double> first(range), copy = first;
  CHECK(copy.data() == range.data());
}

TEST_CASE("array_view: temporaries and expressions are kept") {
  const Eigen::ArrayXd x = array({1, 2, 3});
  const array_view<double> sum(x + 1), moved(Eigen::ArrayXd{x}), of_vector(std::vector<double>{7, 8}),
      of_list(std::list<float>{1, 2});
  CHECK((sum == array({2, 3, 4})).all());
  CHECK((moved == x).all());
  CHECK((of_vector == array({7, 8})).all());
  CHECK((of_list == array({1, 2})).all());
  const array_view<double> copy = sum;
  CHECK(copy.data() == sum.data());
}

TEST_CASE("array_view: it has the arithmetic of an Eigen array and converts to one") {
  const std::vector<double> range{1, 2, 3};
  const array_view<double> view(range);
  const Eigen::ArrayXd twice = 2 * view, same = view;
  CHECK((twice == array({2, 4, 6})).all());
  CHECK((same == array({1, 2, 3})).all());
  CHECK(view.sum() == 6);
  CHECK(std::vector<double>(view.begin(), view.end()) == range);
  CHECK(array_view<double>().size() == 0);
}

TEST_CASE("array_view: other numbers are converted, to flags by whether they are 0") {
  CHECK((array_view<double>(std::vector<int>{1, 0, 2}) == array({1, 0, 2})).all());
  const array_view<std::uint8_t> mask(array({0.5, 0, -1})), bits(std::vector<bool>{true, false});
  CHECK(flags(mask.begin(), mask.end()) == flags{1, 0, 1});
  CHECK(flags(bits.begin(), bits.end()) == flags{1, 0});
}

TEST_CASE("array_view: weights and masks know whether they were given") {
  const coho::optional_weights<double> none, some(coho::token_weights<std::vector<float>>{{0.5F, 0.25F}});
  CHECK_FALSE(none.given);
  CHECK(some.given);
  CHECK((some.values == array({0.5, 0.25})).all());
  const coho::optional_mask<double> mask(flags{1, 0});
  CHECK_FALSE(coho::optional_mask<double>().given);
  CHECK(mask.given);
  const auto real = [](const auto& m) { return m[0] != 0 && m[1] != 0; };
  CHECK_FALSE(coho::detail::with_mask(mask, 2, "test", real));
  CHECK(coho::detail::with_mask(coho::optional_mask<double>(), 2, "test", real));
  CHECK_THROWS_WITH(coho::detail::with_mask(mask, 3, "test", real), "test: mask has 2 elements where 3 were expected");
}
