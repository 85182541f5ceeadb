#include "decoder/rope.hpp"

#include <cmath>
#include <numbers>

#include "support/catch.hpp"

using namespace coho::trainer;

namespace {

llama_config small(const rope_options& rope, std::int64_t head_dim = 4, std::int64_t context = 16) {
  llama_config config;
  config.head_dim = head_dim;
  config.max_position_embeddings = context;
  config.rope = rope;
  return config;
}

}  // namespace

TEST_CASE("rope: plain frequencies are powers of theta") {
  const auto table = make_rope_table(small({}));
  REQUIRE(table.inverse_frequencies.size() == 2);
  CHECK(table.inverse_frequencies[0] == 1.0F);
  CHECK(table.inverse_frequencies[1] == Approx(0.01));  // 10000^(−2/4)
  CHECK(table.attention_scale == 1.0);
}

TEST_CASE("rope: linear scaling divides every frequency") {
  const auto table = make_rope_table(small({.type = rope_type::linear, .factor = 4}));
  CHECK(table.inverse_frequencies[0] == 0.25F);
  CHECK(table.inverse_frequencies[1] == Approx(0.0025));
}

TEST_CASE("rope: dynamic scaling raises theta with the length beyond the trained context") {
  const auto config = small({.type = rope_type::dynamic, .factor = 2});
  CHECK(make_rope_table(config, 16).inverse_frequencies[1] == Approx(0.01));
  CHECK(make_rope_table(config, 3).inverse_frequencies[1] == Approx(0.01));
  // θ' = 10⁴ · (2·32/16 − 1)^(4/2) = 9·10⁴, and 1/√(9·10⁴) = 1/300.
  CHECK(make_rope_table(config, 32).inverse_frequencies[1] == Approx(1.0 / 300));
  CHECK(make_rope_table(config, 32).inverse_frequencies[0] == 1.0F);
  CHECK(make_rope_table(small(config.rope, 2), 32).inverse_frequencies == std::vector<float>{1});
}

TEST_CASE("rope: llama3 keeps short waves, stretches long ones and blends between") {
  // Wavelengths 2π·10^(j) for θ = 10^8 and D = 16: 6.28, 62.8, 628, 6283, …; kept below 8192/4 = 2048, divided above
  // 8192.
  rope_options rope{.type = rope_type::llama3, .theta = 1e8, .factor = 8, .original_max_position_embeddings = 8192};
  const auto f = make_rope_table(small(rope, 16)).inverse_frequencies;
  REQUIRE(f.size() == 8);
  CHECK(f[0] == 1.0F);
  CHECK(f[2] == Approx(1e-2));
  const double kept = (8192 / (2 * std::numbers::pi * 1000) - 1) / 3;  // 0.1013
  CHECK(kept == Approx(0.10126).epsilon(1e-3));
  CHECK(f[3] == Approx(1e-3 * (kept + (1 - kept) / 8)));
  CHECK(f[4] == Approx(1e-4 / 8));
  CHECK(f[7] == Approx(1e-7 / 8));
}

TEST_CASE("rope: yarn blends by dimension and scales attention") {
  // θ = e⁴, D = 8, M = 2π·e⁴: dimension(n) = 8·(4 − ln n)/8 = 4 − ln n turns. With β = e³ and e: from 1 to 3.
  rope_options rope{.type = rope_type::yarn,
                    .theta = std::exp(4.0),
                    .factor = 4,
                    .beta_fast = std::exp(3.0),
                    .beta_slow = std::exp(1.0),
                    .truncate = false};
  auto config = small(rope, 8);
  config.max_position_embeddings = 343;  // 2π·e⁴ = 343.05: the borders move by 2·10⁻⁴
  const auto table = make_rope_table(config);
  const auto& f = table.inverse_frequencies;
  REQUIRE(f.size() == 4);
  CHECK(f[0] == Approx(1.0));
  CHECK(f[1] == Approx(std::exp(-1.0)).epsilon(1e-3));
  CHECK(f[2] == Approx(std::exp(-2.0) * (0.5 / 4 + 0.5)).epsilon(1e-3));
  CHECK(f[3] == Approx(std::exp(-3.0) / 4).epsilon(1e-3));
  CHECK(table.attention_scale == Approx(0.1 * std::log(4.0) + 1));

  config.rope.attention_factor = 1.5;
  CHECK(make_rope_table(config).attention_scale == 1.5);
  config.rope.attention_factor.reset();
  config.rope.mscale = 1.0;
  config.rope.mscale_all_dim = 0.5;
  CHECK(make_rope_table(config).attention_scale == Approx((0.1 * std::log(4.0) + 1) / (0.05 * std::log(4.0) + 1)));
  config.rope = {.type = rope_type::yarn, .factor = 1};
  CHECK(make_rope_table(config).attention_scale == 1.0);
}

TEST_CASE("rope: yarn with LLaMA 2's numbers") {
  // D = 128, θ = 10⁴, M = 4096: 128·ln(4096/(2π·32))/(2·ln 10⁴) = 20.94 → 20 and 128·ln(4096/2π)/(2·ln 10⁴) = 45.03
  // → 46.
  auto config = small({.type = rope_type::yarn, .factor = 16, .original_max_position_embeddings = 4096}, 128, 65536);
  const auto plain = make_rope_table(small({}, 128)).inverse_frequencies;
  const auto f = make_rope_table(config).inverse_frequencies;
  CHECK(f[20] == Approx(plain[20]));
  CHECK(f[21] == Approx(plain[21] * (1 - 15.0 / 16 / 26)));
  CHECK(f[33] == Approx(plain[33] * (0.5 + 0.5 / 16)));
  CHECK(f[46] == Approx(plain[46] / 16));
  CHECK(f[63] == Approx(plain[63] / 16));
}
