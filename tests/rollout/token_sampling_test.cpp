#include <algorithm>
#include <numeric>

#include <coho/rollout/token_sampling.hpp>

#include "support/catch.hpp"
#include "support/chi_square.hpp"

using Catch::Matchers::ContainsSubstring;
using coho::token;
using coho::token_sampler;

namespace {

constexpr float infinite = std::numeric_limits<float>::infinity();

/// Softmax in double over the tokens with keep[i].
std::vector<double> softmax(const std::vector<float>& logits, double temperature, const std::vector<bool>& keep = {}) {
  std::vector<double> p(logits.size(), 0.0);
  double highest = -1e300, total = 0;
  const auto kept = [&](std::size_t i) { return keep.empty() || keep[i]; };
  for (std::size_t i = 0; i < logits.size(); ++i) {
    if (kept(i)) highest = std::max(highest, logits[i] / temperature);
  }
  for (std::size_t i = 0; i < logits.size(); ++i) {
    if (kept(i)) total += p[i] = std::exp(logits[i] / temperature - highest);
  }
  for (auto& x : p) x /= total;
  return p;
}

std::vector<std::size_t> count(const token_sampler& sampler, const std::vector<float>& logits, int draws,
                               coho::rng random) {
  std::vector<std::size_t> out(logits.size(), 0);
  for (int i = 0; i < draws; ++i) ++out[static_cast<std::size_t>(sampler(logits, random).id)];
  return out;
}

std::vector<float> random_logits(std::size_t n, float scale, std::uint64_t seed) {
  coho::rng random(seed);
  std::vector<float> out(n);
  for (auto& x : out) x = scale * static_cast<float>(random.normal());
  return out;
}

/// The tokens that top-k, then top-p leave, by a full sort.
std::vector<bool> survivors(const std::vector<float>& logits, const coho::token_sampling_options& o) {
  std::vector<bool> allowed(logits.size(), true);
  for (const token t : o.banned) allowed[static_cast<std::size_t>(t)] = false;
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    if (allowed[i]) order.push_back(i);
  }
  std::ranges::sort(order, [&](auto a, auto b) { return logits[a] > logits[b] || (logits[a] == logits[b] && a < b); });
  if (o.top_k != 0 && o.top_k < order.size()) order.resize(o.top_k);
  std::vector<bool> out(logits.size(), false);
  for (const auto i : order) out[i] = true;
  const auto p = softmax(logits, o.temperature, out);
  double held = 0;
  for (const auto i : order) {
    out[i] = held < o.top_p;
    held += p[i];
  }
  return out;
}

}  // namespace

TEST_CASE("tokens come with their softmax probability") {
  const std::vector<float> logits{1.0F, 2.0F, 0.5F, -1.0F, -infinite, 3.0F};
  for (const double temperature : {0.7, 1.0, 2.5}) {
    const token_sampler sampler({.temperature = temperature});
    CHECK(coho::test::fits(count(sampler, logits, 40000, coho::rng(1)), softmax(logits, temperature)));
  }
}

TEST_CASE("sampling is right across blocks of a larger vocabulary") {
  const auto logits = random_logits(1000, 2.0F, 3);
  auto expected = softmax(logits, 1.3);
  auto counts = count(token_sampler({.temperature = 1.3}), logits, 200000, coho::rng(4));
  // Pool by tens, so that each cell is well filled; different pools see different positions within a block.
  std::vector<double> pooled(100, 0);
  std::vector<std::size_t> pooled_counts(100, 0);
  for (std::size_t i = 0; i < 1000; ++i) {
    pooled[i % 100] += expected[i];
    pooled_counts[i % 100] += counts[i];
  }
  CHECK(coho::test::fits(pooled_counts, pooled));
  std::ranges::fill(pooled, 0);
  std::ranges::fill(pooled_counts, 0);
  for (std::size_t i = 0; i < 1000; ++i) {
    pooled[i / 10] += expected[i];
    pooled_counts[i / 10] += counts[i];
  }
  CHECK(coho::test::fits(pooled_counts, pooled));
}

TEST_CASE("log-probabilities are those of the tempered distribution without banned tokens, whatever top-k and top-p") {
  const auto logits = random_logits(32000, 3.0F, 5);
  const std::vector<token> banned{0, 7, 8, 31999, 7};
  std::vector<bool> allowed(logits.size(), true);
  for (const token t : banned) allowed[static_cast<std::size_t>(t)] = false;
  for (const double temperature : {0.3, 1.0}) {
    const auto p = softmax(logits, temperature, allowed);
    for (const auto& [k, top_p] : {std::pair<std::size_t, double>{0, 1.0}, {40, 1.0}, {0, 0.9}, {40, 0.9}}) {
      const token_sampler sampler({.temperature = temperature, .top_k = k, .top_p = top_p, .banned = banned});
      coho::rng random(6);
      for (int i = 0; i < 20; ++i) {
        const auto [id, log_prob] = sampler(logits, random);
        CHECK(allowed[static_cast<std::size_t>(id)]);
        CHECK(log_prob == Approx(std::log(p[static_cast<std::size_t>(id)])).margin(2e-6));
        CHECK(sampler.log_prob(logits, id) == log_prob);
      }
      CHECK(sampler.log_prob(logits, 7) == -std::numeric_limits<double>::infinity());
    }
  }
}

TEST_CASE("the probabilities of all tokens add to 1") {
  const auto logits = random_logits(300, 4.0F, 8);
  const token_sampler sampler({.temperature = 0.8, .banned = {3, 299}});
  double total = 0;
  for (token t = 0; t < 300; ++t) total += std::exp(sampler.log_prob(logits, t));
  CHECK(total == Approx(1.0).epsilon(1e-6));
}

TEST_CASE("banned tokens never come, however probable") {
  std::vector<float> logits{0, 50, 0, 0, 50, 0};
  const token_sampler sampler({.banned = {1, 4}});
  const auto counts = count(sampler, logits, 8000, coho::rng(2));
  CHECK(coho::test::fits(counts, std::vector{.25, 0., .25, .25, 0., .25}));
  coho::rng random(1);
  CHECK(token_sampler({.temperature = 0, .banned = {1, 4}})(logits, random).id == 0);
}

TEST_CASE("temperature 0 takes the highest logit, the lowest id of equals") {
  coho::rng random(1);
  const token_sampler greedy({.temperature = 0});
  const std::vector<float> logits{1, 5, 2, 5, -1};
  CHECK(greedy(logits, random).id == 1);
  CHECK(greedy(logits, random).log_prob == Approx(std::log(softmax(logits, 1.0)[1])).margin(1e-6));
  CHECK(random.save() == coho::rng(1).save());
  auto many = random_logits(5000, 1.0F, 9);
  many[4321] = many[4999] = 40;
  CHECK(greedy(many, random).id == 4321);
}

TEST_CASE("top-k keeps the k most probable tokens") {
  const std::vector<float> logits{0.5F, 2.0F, 1.0F, 2.0F, 1.0F, -3.0F};
  const token_sampler sampler({.temperature = 0.9, .top_k = 3});
  CHECK(coho::test::fits(count(sampler, logits, 30000, coho::rng(3)),
                         softmax(logits, 0.9, {false, true, true, true, false, false})));
  const token_sampler one({.top_k = 1});
  CHECK(count(one, logits, 100, coho::rng(3))[1] == 100);
  CHECK(coho::test::fits(count(token_sampler({.top_k = 6}), logits, 30000, coho::rng(3)), softmax(logits, 1.0)));
  CHECK(coho::test::fits(count(token_sampler({.top_k = 600}), logits, 30000, coho::rng(3)), softmax(logits, 1.0)));
}

TEST_CASE("top-p keeps the smallest set of most probable tokens that holds p") {
  std::vector<float> logits;
  for (const double p : {.1, .4, .05, .3, .15}) logits.push_back(static_cast<float>(std::log(p)));
  const auto counts = [&](double top_p) { return count(token_sampler({.top_p = top_p}), logits, 30000, coho::rng(4)); };
  CHECK(coho::test::fits(counts(0.65), std::vector{0., 4. / 7, 0., 3. / 7, 0.}));
  CHECK(coho::test::fits(counts(0.75), std::vector{0., .4 / .85, 0., .3 / .85, .15 / .85}));
  CHECK(counts(0.01)[1] == 30000);
}

TEST_CASE("truncation agrees with a full sort on large vocabularies") {
  for (const float scale : {0.5F, 3.0F, 8.0F}) {
    const auto logits = random_logits(8000, scale, 12);
    for (const coho::token_sampling_options& o :
         {coho::token_sampling_options{.temperature = 1.0, .top_p = 0.8},
          coho::token_sampling_options{.temperature = 0.6, .top_p = 0.99},
          coho::token_sampling_options{.temperature = 1.2, .top_k = 50, .top_p = 0.6},
          coho::token_sampling_options{.temperature = 1.0, .top_k = 5},
          coho::token_sampling_options{.temperature = 1.0, .top_p = 0.5, .banned = {5, 6, 7, 4000}}}) {
      const auto kept = survivors(logits, o);
      const auto p = softmax(logits, o.temperature, kept);
      const token_sampler sampler(o);
      coho::rng random(13);
      double mean = 0, expected = 0, square = 0;
      const int draws = 400;
      for (int i = 0; i < draws; ++i) {
        const auto id = static_cast<std::size_t>(sampler(logits, random).id);
        REQUIRE(kept[id]);
        mean += std::log(p[id]) / draws;
      }
      for (const double x : p) {
        if (x > 0) expected += x * std::log(x), square += x * std::log(x) * std::log(x);
      }
      const double spread = std::sqrt(std::max(0.0, square - expected * expected) / draws);
      CHECK(std::abs(mean - expected) <= 4 * spread + 1e-9);
    }
  }
}

TEST_CASE("logits of any size are safe") {
  coho::rng random(1);
  const std::vector<float> huge{3e38F, -3e38F, 3e38F};
  for (int i = 0; i < 20; ++i) {
    const auto [id, log_prob] = token_sampler({.temperature = 1e-3})(huge, random);
    CHECK(id != 1);
    CHECK(log_prob == Approx(std::log(0.5)));
  }
  const std::vector<float> shifted{1e4F, 1e4F - 1};
  CHECK(token_sampler{}.log_prob(shifted, 1) == Approx(-1 - std::log(1 + std::exp(-1.0))).margin(1e-6));
  CHECK(token_sampler({.temperature = 1e-6})(std::vector<float>{1, 2}, random).id == 1);
  CHECK(token_sampler{}(std::vector<float>{-infinite, -5}, random).id == 1);
  CHECK(token_sampler{}.log_prob(std::vector<float>{-infinite, -5}, 0) == -infinite);
}

TEST_CASE("what has no distribution is refused, wherever it hides") {
  coho::rng random(1);
  const token_sampler sampler;
  for (const std::size_t size : {1UL, 5UL, 64UL, 65UL, 200UL, 33000UL}) {
    for (const std::size_t place : {std::size_t{0}, size / 2, size - 1}) {
      std::vector<float> logits(size, 1.0F);
      logits[place] = std::numeric_limits<float>::quiet_NaN();
      CHECK_THROWS_AS(sampler(logits, random), coho::argument_error);
      logits[place] = infinite;
      CHECK_THROWS_AS(sampler(logits, random), coho::argument_error);
    }
  }
  CHECK_THROWS_AS(sampler(std::vector<float>{}, random), coho::argument_error);
  CHECK_THROWS_AS(sampler(std::vector<float>{-infinite, -infinite}, random), coho::argument_error);
  CHECK_THROWS_AS(token_sampler({.banned = {0, 1}})(std::vector<float>{1, 2}, random), coho::argument_error);
  CHECK_THROWS_AS(sampler.log_prob(std::vector<float>{1, 2}, 2), coho::argument_error);
}

TEST_CASE("options outside their range are refused") {
  CHECK_THROWS_WITH(token_sampler({.temperature = -1}), ContainsSubstring("temperature = -1"));
  CHECK_THROWS_AS(token_sampler({.temperature = std::nan("")}), coho::option_error);
  CHECK_THROWS_AS(token_sampler({.temperature = 1e-300}), coho::option_error);
  CHECK_THROWS_AS(token_sampler({.top_p = 0}), coho::option_error);
  CHECK_THROWS_AS(token_sampler({.top_p = 1.1}), coho::option_error);
  CHECK_THROWS_AS(token_sampler({.banned = {-1}}), coho::option_error);
  CHECK(token_sampler({.banned = {3, 1, 3}}).options().banned == std::vector<token>{1, 3});
}

TEST_CASE("a draw takes one number and depends on logits and generator alone") {
  const auto logits = random_logits(500, 2.0F, 1);
  for (const double top_p : {1.0, 0.9}) {
    coho::rng a(5), b(5);
    const token_sampler sampler({.top_p = top_p});
    sampler(logits, a);
    b.uniform();
    CHECK(a.save() == b.save());
  }
}
