#include <vector>

#include <coho/reduce.hpp>

#include "support/catch.hpp"
#include "support/test_arrays.hpp"

using namespace coho::test;
using coho::make_token_weights, coho::reduction, coho::weighted_sum;

namespace {
// Sequences of 3, 0, 1 and 2 tokens, of which 2, 0, 1 and 0 are real.
const offsets lengths{0, 3, 3, 4, 6};
const flags mask{1, 1, 0, 1, 0, 0};
}  // namespace

TEST_CASE("weights of each reduction") {
  const auto weights = [](coho::reduction_options options) {
    return make_token_weights(mask, lengths, options).values;
  };
  CHECK(weights({.kind = reduction::token_mean}).isApprox(array({1, 1, 0, 1, 0, 0}) / 3));
  CHECK(weights({.kind = reduction::sequence_mean_of_means}).isApprox(array({0.25, 0.25, 0, 0.5, 0, 0})));
  CHECK(weights({.kind = reduction::sequence_mean_of_sums}).isApprox(array({0.5, 0.5, 0, 0.5, 0, 0})));
  CHECK(weights({.kind = reduction::fixed_length, .fixed_length = 10}).isApprox(array({0.05, 0.05, 0, 0.05, 0, 0})));
}

TEST_CASE("without a mask every token is real") {
  CHECK(make_token_weights(offsets{0, 1, 4}).values.isApprox(array({0.25, 0.25, 0.25, 0.25})));
  CHECK(make_token_weights(offsets{0}).values.size() == 0);
}

TEST_CASE("masks of any number type and container agree") {
  const auto expected = make_token_weights(mask, lengths).values;
  CHECK((make_token_weights(array({1, 1, 0, 1, 0, 0}), lengths).values == expected).all());
  CHECK((make_token_weights(std::vector<bool>{1, 1, 0, 1, 0, 0}, lengths).values == expected).all());
  CHECK((make_token_weights(std::vector<float>{1, 1, 0, 1, 0, 0}, lengths).values == expected).all());
  CHECK((make_token_weights(array({1, 2, 0, 3, -1, 0}) > 0.0, lengths).values == expected).all());
}

TEST_CASE("mistake 8: parts of a batch with the batch's normalizers add up to the batch") {
  const Eigen::ArrayXd terms = normals(9, 1);
  const offsets whole{0, 2, 7, 9};
  const flags real{1, 1, 1, 0, 1, 1, 1, 1, 0};
  for (const auto kind : {reduction::token_mean, reduction::sequence_mean_of_means, reduction::sequence_mean_of_sums,
                          reduction::fixed_length}) {
    const double at_once = weighted_sum(terms, make_token_weights(real, whole, {.kind = kind, .fixed_length = 8}));
    double parts = 0, mean_of_parts = 0;
    for (std::size_t i = 0; i < 3; ++i) {
      const std::size_t begin = whole[i], size = whole[i + 1] - begin;
      const flags part(real.begin() + static_cast<std::ptrdiff_t>(begin),
                       real.begin() + static_cast<std::ptrdiff_t>(begin + size));
      const auto numbers = terms.segment(static_cast<Eigen::Index>(begin), static_cast<Eigen::Index>(size));
      parts += weighted_sum(
          numbers,
          make_token_weights(part, offsets{0, size},
                             {.kind = kind, .fixed_length = 8, .token_normalizer = 7, .sequence_normalizer = 3}));
      mean_of_parts +=
          weighted_sum(numbers, make_token_weights(part, offsets{0, size}, {.kind = kind, .fixed_length = 8})) / 3;
    }
    CHECK(parts == Approx(at_once).epsilon(1e-12));
    // The mistake itself: equal only when all sequences count the same anyway.
    if (kind == reduction::token_mean) CHECK(std::abs(mean_of_parts - at_once) > 1e-3);
  }
}

TEST_CASE("a batch without real tokens weighs nothing") {
  for (const auto kind : {reduction::token_mean, reduction::sequence_mean_of_means, reduction::sequence_mean_of_sums}) {
    CHECK((make_token_weights(flags{0, 0}, offsets{0, 1, 2}, {.kind = kind}).values == 0.0).all());
  }
}

TEST_CASE("masked NaN does not reach weighted sums or sequence sums") {
  const Eigen::ArrayXd x = array({1, 2, not_a_number, 4, infinity, not_a_number});
  CHECK(weighted_sum(x, make_token_weights(mask, lengths)) == Approx(7.0 / 3));
  CHECK((coho::sequence_sums(x, mask, lengths) == array({3, 0, 4, 0})).all());
}

TEST_CASE("sequence sums of all tokens, of floats in double") {
  const std::vector<float> x{1, 2, 3};
  const Eigen::ArrayXd sums = coho::sequence_sums(x, offsets{0, 2, 2, 3});
  CHECK((sums == array({3, 0, 3})).all());
}

TEST_CASE("unusable arguments and options are named") {
  using Catch::Matchers::ContainsSubstring;
  CHECK_THROWS_AS(make_token_weights(mask, offsets{0, 3}), coho::argument_error);
  CHECK_THROWS_AS(make_token_weights(mask, offsets{1, 6}), coho::argument_error);
  CHECK_THROWS_AS(make_token_weights(mask, offsets{0, 4, 3, 6}), coho::argument_error);
  CHECK_THROWS_AS(make_token_weights(mask, offsets{}), coho::argument_error);
  CHECK_THROWS_AS(make_token_weights(offsets{}), coho::argument_error);
  CHECK_THROWS_WITH(make_token_weights(mask, lengths, {.kind = reduction::fixed_length}),
                    ContainsSubstring("fixed_length = 0"));
  CHECK_THROWS_AS(make_token_weights(mask, lengths, {.token_normalizer = -1}), coho::option_error);
  CHECK_THROWS_AS(make_token_weights(mask, lengths, {.sequence_normalizer = -1}), coho::option_error);
  CHECK_THROWS_AS(weighted_sum(array({1}), make_token_weights(mask, lengths)), coho::argument_error);
  CHECK_THROWS_AS(coho::sequence_sums(array({1}), mask, lengths), coho::argument_error);
}

TEST_CASE("normalizers and a fixed length that are not finite are refused") {
  for (const auto kind : {coho::reduction::token_mean, coho::reduction::fixed_length}) {
    coho::reduction_options o{.kind = kind, .fixed_length = 4};
    o.token_normalizer = infinity;
    CHECK_THROWS_AS(coho::make_token_weights(offsets{0, 2}, o), coho::option_error);
  }
  CHECK_THROWS_AS(
      coho::make_token_weights(offsets{0, 2}, {.kind = coho::reduction::fixed_length, .fixed_length = infinity}),
      coho::option_error);
  CHECK_THROWS_AS(coho::make_token_weights(offsets{0, 2}, {.sequence_normalizer = not_a_number}), coho::option_error);
}

TEST_CASE("what sequences have is spread to their tokens") {
  CHECK((coho::sequence_spread(array({2, 5, 3}), offsets{0, 2, 2, 3}) == array({2, 2, 3})).all());
  CHECK_THROWS_AS(coho::sequence_spread(array({2, 5}), offsets{0, 2, 2, 3}), coho::argument_error);
}
