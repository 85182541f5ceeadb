#include <algorithm>
#include <atomic>
#include <cstdint>
#include <vector>

#include <coho/torch/detail/fused_log_probs_blocks.hpp>

#include "support/catch.hpp"

using coho::detail::fused_log_probs_blocks;

namespace {

fused_log_probs_blocks blocks_of(std::int64_t tokens, std::int64_t words, std::int64_t rows, std::int64_t columns,
                                 at::ScalarType type = at::kFloat) {
  return {at::zeros({tokens, 3}, type),
          at::zeros({words, 3}, type),
          at::zeros({tokens}, at::kLong),
          {.logit_bias = {}, .temperature = 2, .block_rows = rows, .block_columns = columns, .kernels = nullptr}};
}

}  // namespace

TEST_CASE(
    "fused_log_probs_blocks: sizes are those asked for, else fit a cache and leave few tokens in several blocks") {
  const auto asked = blocks_of(10, 100, 3, 7);
  CHECK(asked.rows == 3);
  CHECK(asked.columns == 7);
  CHECK(asked.inverse_temperature == 0.5);
  const auto many = blocks_of(1000, 5000, 0, 0);
  CHECK(many.rows == 250);  // 1000 tokens in four blocks of at most 256
  CHECK(many.columns == 1024);
  const auto few = blocks_of(128, 50, 0, 0);
  CHECK(few.rows == 64);  // two blocks for two threads
  CHECK(few.columns == 50);
}

TEST_CASE("fused_log_probs_blocks: each index is in one block, whatever the sizes") {
  const auto blocks = blocks_of(1, 1, 0, 0);
  for (const std::int64_t count : {0, 1, 5, 16, 17}) {
    for (const std::int64_t step : {1, 4, 16, 100}) {
      std::vector<std::atomic<int>> seen(static_cast<std::size_t>(count));
      blocks.for_each_block(count, step, [&](std::int64_t first, std::int64_t n, auto&) {
        for (std::int64_t i = first; i < first + n; ++i) ++seen[static_cast<std::size_t>(i)];
      });
      CHECK(std::all_of(seen.begin(), seen.end(), [](const auto& times) { return times == 1; }));
    }
  }
}

TEST_CASE("fused_log_probs_blocks: halves are multiplied as floats on the CPU, and sums are floats or doubles") {
  const auto half = blocks_of(4, 6, 0, 0, at::kBFloat16);
  CHECK(half.sums() == at::kFloat);
  CHECK(half.products() == at::kFloat);
  CHECK(blocks_of(4, 6, 0, 0, at::kDouble).sums() == at::kDouble);
  fused_log_probs_blocks::buffers own;
  const at::Tensor part = half.head_block(1, 2, own);
  CHECK(part.scalar_type() == at::kFloat);
  CHECK(part.size(0) == 2);
}
