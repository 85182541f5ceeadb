#include <algorithm>
#include <cmath>
#include <limits>

#include <coho/math.hpp>
#include <coho/rng.hpp>
#include <coho/torch/detail/simd_lanes.hpp>

#include "support/catch.hpp"

using coho::detail::simd_lanes;

namespace {
template <class Number>
simd_lanes<Number> counted(double first) {
  simd_lanes<Number> out;
  for (std::size_t k = 0; k < simd_lanes<Number>::count; ++k) out.numbers[k] = static_cast<Number>(first + double(k));
  return out;
}
}  // namespace

TEMPLATE_TEST_CASE("lanes compute what each of their numbers would", "", float, double) {
  using number = TestType;
  const auto x = counted<number>(-1.5), y = counted<number>(0.25);
  const auto sum = x + y, quotient = x / y, smaller = coho::min(x, y), limited = coho::clamp(x, -1.0, 0.0);
  const auto chosen = coho::where(x < y, x, simd_lanes<number>(7.0)), size = abs(x), power = exp(x);
  for (std::size_t k = 0; k < simd_lanes<number>::count; ++k) {
    const number a = x.numbers[k], b = y.numbers[k];
    CHECK(sum.numbers[k] == a + b);
    CHECK(quotient.numbers[k] == a / b);
    CHECK(smaller.numbers[k] == coho::min(a, b));
    CHECK(limited.numbers[k] == coho::clamp(a, -1.0, 0.0));
    CHECK(chosen.numbers[k] == (a < b ? a : number(7)));
    CHECK(size.numbers[k] == std::abs(a));
    CHECK(power.numbers[k] == std::exp(a));
  }
}

TEMPLATE_TEST_CASE("lanes are loaded and stored in part", "", float, double) {
  using number = TestType;
  constexpr std::size_t count = simd_lanes<number>::count;
  const number from[count] = {1, 2};
  number to[count + 1];
  for (number& t : to) t = -1;
  simd_lanes<number>::load(from, 1).store(to, 1);
  CHECK(to[0] == 1);
  CHECK(to[1] == -1);
  CHECK(simd_lanes<number>::load(from, 1).numbers[1] == 0);
}

TEMPLATE_TEST_CASE("NaN of either operand wins in lanes", "", float, double) {
  const simd_lanes<TestType> nan(std::numeric_limits<double>::quiet_NaN()), one(1.0);
  for (const auto& result : {coho::min(nan, one), coho::min(one, nan), coho::max(nan, one), coho::max(one, nan),
                             coho::clamp(nan, 0.0, 1.0)}) {
    CHECK(std::isnan(result.numbers[0]));
  }
}

TEMPLATE_TEST_CASE("the logistic terms of lanes are those of long double", "", float, double) {
  using number = TestType;
  const double precision = 4 * static_cast<double>(std::numeric_limits<number>::epsilon());
  coho::rng random(3);
  for (int i = 0; i < 2000; ++i) {
    const auto z = static_cast<number>((i % 2 == 0 ? 3 : 60) * random.normal());
    const auto terms = logistic(simd_lanes<number>(static_cast<double>(z)));
    const long double e = std::exp(-std::abs(static_cast<long double>(z))), rest = std::log1p(e);
    const auto close = [&](number found, long double expected) {
      INFO("z = " << z << ", found " << found << ", expected " << static_cast<double>(expected));
      CHECK(std::abs(found - static_cast<double>(expected)) <= precision * static_cast<double>(expected) + 1e-37);
    };
    close(terms.softplus.numbers[0], (z > 0 ? z : 0) + rest);
    close(terms.softplus_negated.numbers[0], (z < 0 ? -z : 0) + rest);
    close(terms.sigmoid.numbers[0], (z < 0 ? e : 1) / (1 + e));
    close(terms.sigmoid_negated.numbers[0], (z < 0 ? 1 : e) / (1 + e));
  }
  const auto far = logistic(simd_lanes<number>(1e6));
  CHECK(far.softplus.numbers[0] == number(1e6));
  CHECK(far.sigmoid.numbers[0] == 1);
  CHECK(far.sigmoid_negated.numbers[0] < 1e-37);
  CHECK(std::isnan(logistic(simd_lanes<number>(std::nan(""))).softplus.numbers[0]));
}

TEMPLATE_TEST_CASE("the exponential of lanes is that of long double", "", float, double) {
  using number = TestType;
  const double least = coho::detail::exponential_constants<number>::least;
  double largest = 0;
  for (double x = least; x <= -least; x += 0.37) {
    const auto e = exponential(counted<number>(std::min(x, -least - 4)));
    for (std::size_t k = 0; k < simd_lanes<number>::count; ++k) {
      const long double exact = std::exp(static_cast<long double>(counted<number>(std::min(x, -least - 4)).numbers[k]));
      largest = std::max(largest, std::abs(static_cast<double>((e.numbers[k] - exact) / exact)));
    }
  }
  CHECK(largest < 2 * static_cast<double>(std::numeric_limits<number>::epsilon()));
  CHECK(exponential(simd_lanes<number>(0.0)).numbers[0] == 1);
  CHECK(std::isnan(exponential(simd_lanes<number>(std::numeric_limits<double>::quiet_NaN())).numbers[0]));
}
