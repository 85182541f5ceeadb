#include "adapters/dropout.hpp"

#include <string>

#include <ATen/Parallel.h>

#include <coho/error.hpp>

#include "support/catch.hpp"
#include "support/small_models.hpp"

using namespace coho;
using namespace coho::trainer;
using namespace coho::test;

namespace {

at::Tensor factors(std::int64_t count, double probability, rng random, at::ScalarType type = at::kFloat) {
  const at::Tensor out = at::ones({count}, type);
  drop_elements(out, probability, random);
  return out;
}

at::Tensor factors_by_operators(std::int64_t count, double probability, rng random, std::int64_t piece,
                                at::ScalarType type = at::kFloat) {
  const at::Tensor out = at::ones({count}, type);
  drop_elements_by_operators(out, probability, random, piece);
  return out;
}

}  // namespace

TEST_CASE("dropout: element i goes where number i of the stream is below its share") {
  rng stream{3, 9};
  const at::Tensor got = factors(50, 0.25, rng{3, 9});
  for (std::int64_t i = 0; i < 50; ++i)
    CHECK(got[i].item<float>() == (stream() < (1u << 30) ? 0.0f : static_cast<float>(1 / 0.75)));
}

TEST_CASE("dropout: takes its share, the same for any number of threads, another for another seed or stream") {
  const at::Tensor some = factors(100'000, 0.25, rng{3});
  CHECK((some == 0).to(at::kDouble).mean().item<double>() == Approx(0.25).margin(0.006));
  const int threads = at::get_num_threads();
  at::set_num_threads(threads == 1 ? 2 : 1);
  CHECK(at::equal(factors(100'000, 0.25, rng{3}), some));
  at::set_num_threads(threads);
  CHECK_FALSE(at::equal(factors(100'000, 0.25, rng{4}), some));
  CHECK_FALSE(at::equal(factors(100'000, 0.25, rng{3, 1}), some));
  CHECK(at::equal(factors(1000, 0, rng{3}), at::ones({1000})));
}

TEST_CASE("dropout: operators on integers take what the loop takes, whatever the size, the seed and the pieces") {
  // Seeds and streams with all 64 bits, whose products and shifts meet the sign.
  const rng randoms[] = {rng{0}, rng{1, 2}, rng{0xFFFFFFFFFFFFFFFF, 0xFFFFFFFFFFFFFFFF},
                         rng{0x8000000080000000, 0x80000000}, rng{7}.split(11)};
  for (const rng& random : randoms) {
    for (const std::int64_t count : {1, 2, 3, 4, 5, 7, 8, 63, 64, 65, 1001, 4099}) {
      CAPTURE(count, random.save().seed, random.save().stream);
      for (const double probability : {0.05, 0.5, 0.9}) {
        const at::Tensor expected = factors(count, probability, random);
        for (const std::int64_t piece : {1, 3, 256, 1 << 20})
          if (count <= 100 || piece > 100)
            CHECK(at::equal(factors_by_operators(count, probability, random, piece), expected));
      }
    }
  }
  CHECK(at::equal(factors_by_operators(5'000'003, 0.1, rng{5}, 1 << 20), factors(5'000'003, 0.1, rng{5})));
}

TEST_CASE("dropout: the kept elements are scaled alike in every type, and the taken ones keep their sign of zero") {
  for (const auto type : {at::kFloat, at::kDouble, at::kBFloat16, at::kHalf}) {
    CAPTURE(type);
    const at::Tensor x = random_tensor({37, 11}, 5, type), mask = factors(37 * 11, 0.3, rng{8}, type).view({37, 11});
    const at::Tensor loop = x.clone(), operators = x.clone();
    drop_elements(loop, 0.3, rng{8});
    drop_elements_by_operators(operators, 0.3, rng{8}, 16);
    CHECK(at::equal(loop, x * mask));
    CHECK(at::equal(loop, operators));
    CHECK(at::equal(at::signbit(loop), at::signbit(operators)));
    CHECK(at::equal(mask > 0, factors(37 * 11, 0.3, rng{8}).view({37, 11}) > 0));
  }
}

TEST_CASE("dropout: what cannot be worked on in place, and shards out of range, are refused") {
  CHECK_THROWS_AS(drop_elements(at::ones({4, 4}).t().narrow(0, 0, 2), 0.5, rng{1}), argument_error);
  CHECK_THROWS_AS(drop_elements(at::ones({4}, at::kInt), 0.5, rng{1}), argument_error);
  CHECK_THROWS_AS(drop_elements(at::ones({4}), 1.0, rng{1}), option_error);
  CHECK_THROWS_AS(drop_elements_by_operators(at::ones({4}), -0.1, rng{1}), option_error);
  CHECK_THROWS_AS(drop_elements_by_operators(at::ones({4}), 0.1, rng{1}, 0), argument_error);
}
