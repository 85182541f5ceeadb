#include "decoder/kv_cache.hpp"

#include <cstdint>
#include <limits>

#include "support/catch.hpp"
#include "support/small_models.hpp"

using namespace coho::trainer;

TEST_CASE("a cache of keys and values that the machine cannot hold is refused before memory is asked for") {
  const auto config = coho::test::small_config();
  const at::TensorOptions numbers(at::kFloat);
  CHECK(kv_cache(config, 2, 5, numbers).capacity() == 5);
  CHECK_THROWS_WITH(kv_cache(config, 64, std::numeric_limits<std::int32_t>::max(), numbers),
                    Catch::Matchers::ContainsSubstring("keys and values of 64 × 2147483647 tokens") &&
                        Catch::Matchers::ContainsSubstring("lower generation.max_new_tokens"));
  CHECK_THROWS_AS(kv_cache(config, 1, std::numeric_limits<std::int64_t>::max() / 2, numbers), coho::argument_error);
}
