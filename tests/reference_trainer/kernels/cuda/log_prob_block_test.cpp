// The kernels themselves, run by the host's emulation of CUDA.

#include "support/cuda_emulation.hpp"  // before the kernels, whose language it is

#include "kernels/cuda/log_prob_block.cu"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "support/catch.hpp"

namespace cuda = coho::trainer::cuda;
using cuda::emulation::run_order;

namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

// Rows of logits over a vocabulary, which the kernels see in blocks of columns with a gap after each row.
struct rows_of_logits {
  std::int64_t rows, vocabulary;
  float inverse_temperature;
  std::vector<float> logits, bias;
  std::vector<std::int64_t> targets;
  std::vector<float> maximum, sum, weighted_sum, chosen, rescale;

  rows_of_logits(std::int64_t row_count, std::int64_t words, float factor, unsigned seed, float spread = 3.0f)
      : rows(row_count),
        vocabulary(words),
        inverse_temperature(factor),
        maximum(size(), -infinity),
        sum(size()),
        weighted_sum(size()),
        chosen(size(), 99.0f),
        rescale(size()) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    for (std::int64_t i = 0; i < rows * vocabulary; ++i) logits.push_back(spread * normal(random));
    for (std::int64_t c = 0; c < vocabulary; ++c) bias.push_back(normal(random));
    for (std::int64_t r = 0; r < rows; ++r) targets.push_back(static_cast<std::int64_t>(random()) % vocabulary);
  }

  std::size_t size() const { return static_cast<std::size_t>(rows); }
  double z(std::int64_t r, std::int64_t c) const {
    return static_cast<double>(logits[static_cast<std::size_t>(r * vocabulary + c)]) * inverse_temperature +
           bias[static_cast<std::size_t>(c)];
  }
  // Columns [first, first + columns) with `gap` numbers after each row.
  std::vector<float> block(std::int64_t first, std::int64_t columns, std::int64_t gap) const {
    std::vector<float> out;
    for (std::int64_t r = 0; r < rows; ++r) {
      const auto begin = logits.begin() + (r * vocabulary + first);
      out.insert(out.end(), begin, begin + columns);
      out.insert(out.end(), static_cast<std::size_t>(gap), 1234.5f);
    }
    return out;
  }
  // `block` as the kernels see it.
  coho_cuda_logit_block view(std::vector<float>& block, std::int64_t stride, std::int64_t columns,
                             std::int64_t first) const {
    return {.logits = block.data(),
            .stride = stride,
            .rows = rows,
            .columns = columns,
            .bias = bias.data() + first,
            .inverse_temperature = inverse_temperature,
            .targets = targets.data(),
            .first_column = first};
  }
  coho_cuda_softmax_sums sums(float* weighted, float* entropy_block) {
    return {.maximum = maximum.data(),
            .sum = sum.data(),
            .weighted_sum = weighted,
            .chosen = chosen.data(),
            .rescale = rescale.data(),
            .entropy_block = entropy_block};
  }
  double log_sum_exp(std::int64_t r, std::int64_t end) const {
    double most = -infinity, total = 0;
    for (std::int64_t c = 0; c < end; ++c) most = std::max(most, z(r, c));
    for (std::int64_t c = 0; c < end; ++c) total += std::exp(z(r, c) - most);
    return most + std::log(total);
  }
  double entropy(std::int64_t r) const {
    const double all = log_sum_exp(r, vocabulary);
    double out = 0;
    for (std::int64_t c = 0; c < vocabulary; ++c) out -= std::exp(z(r, c) - all) * (z(r, c) - all);
    return out;
  }
};

// Runs the forward kernel on the blocks of the vocabulary in turn and compares all that it writes with sums in double.
void check_forward(rows_of_logits data, std::int64_t columns_a_block, std::int64_t gap, bool weighted,
                   bool entropy_block) {
  for (std::int64_t first = 0; first < data.vocabulary; first += columns_a_block) {
    const std::int64_t columns = std::min(columns_a_block, data.vocabulary - first), stride = columns + gap;
    std::vector<float> block = data.block(first, columns, gap),
                       entropies(static_cast<std::size_t>(data.rows * columns) + 4, 7.5f);
    const std::vector<float> before = data.maximum;
    const coho_cuda_logit_block logits = data.view(block, stride, columns, first);
    const coho_cuda_softmax_sums sums =
        data.sums(weighted ? data.weighted_sum.data() : nullptr, entropy_block ? entropies.data() : nullptr);
    REQUIRE(coho_cuda_log_prob_forward(&logits, &sums, nullptr) == 0);
    int wrong = 0;
    for (std::int64_t r = 0; r < data.rows; ++r) {
      const auto row = static_cast<std::size_t>(r);
      double largest = before[row], far = 1;
      for (std::int64_t c = 0; c < first + columns; ++c) {
        if (c >= first) largest = std::max(largest, data.z(r, c));
        far = std::max(far, std::abs(data.z(r, c)));
      }
      const double most = data.maximum[row], relative = 1e-6 + 5e-7 * far;  // z and m' are fp32 numbers
      CHECK(most == Approx(largest).epsilon(1e-6));
      CHECK(data.rescale[row] == Approx(std::exp(before[row] - most)).epsilon(relative).margin(1e-37));
      CHECK(most + std::log(data.sum[row]) == Approx(data.log_sum_exp(r, first + columns)).epsilon(1e-6).margin(1e-6));
      double weighted_sum = 0;
      for (std::int64_t c = 0; c < first + columns; ++c) {
        weighted_sum += std::exp(data.z(r, c) - most) * (data.z(r, c) - most);
      }
      CHECK(data.weighted_sum[row] == Approx(weighted ? weighted_sum : 0.0).epsilon(20 * relative).margin(relative));
      for (std::int64_t c = 0; c < columns; ++c) {
        const double z = data.z(r, first + c), e = std::exp(z - most);
        wrong += !(std::abs(block[static_cast<std::size_t>(r * stride + c)] - e) <= relative * e + 1e-37);
        const double product = entropies[static_cast<std::size_t>(r * columns + c)];
        wrong += !(std::abs(product - (entropy_block ? e * (z - most) : 7.5)) <= 20 * relative * e + 1e-30);
      }
      for (std::int64_t g = 0; g < gap; ++g)
        wrong += block[static_cast<std::size_t>(r * stride + columns + g)] != 1234.5f;
      const bool past = data.targets[row] < first + columns;
      CHECK(data.chosen[row] == Approx(past ? data.z(r, data.targets[row]) : 99.0).epsilon(1e-5).margin(1e-5));
    }
    for (std::size_t i = entropies.size() - 4; i < entropies.size(); ++i) wrong += entropies[i] != 7.5f;
    CHECK(wrong == 0);
  }
}

}  // namespace

TEST_CASE("The CUDA source of the log-prob block agrees with sums in double over blocks of any width and stride") {
  unsigned seed = 1;
  for (const auto order : {run_order::forward, run_order::backward}) {
    cuda::emulation::order = order;
    for (const std::int64_t columns : {1, 3, 4, 5, 256, 1030}) {
      for (const std::int64_t gap : {0, 1, 4}) {
        INFO("columns " << columns << ", gap " << gap);
        check_forward(rows_of_logits(2, 2 * columns + columns / 2, 0.7f, seed++), columns, gap, gap != 1, gap % 4 == 0);
      }
    }
  }
  cuda::emulation::order = run_order::forward;
}

TEST_CASE("The log-prob block in CUDA stays exact with logits hundreds apart") {
  check_forward(rows_of_logits(4, 40, 1.0f, 11, 200.0f), 8, 0, true, true);
  check_forward(rows_of_logits(4, 40, 1.0f, 12, 200.0f), 7, 0, true, true);
}

TEST_CASE("A block of words that the bias excludes leaves no trace in the state of the CUDA log-prob block") {
  for (const std::int64_t columns : {4, 5}) {
    rows_of_logits data(2, columns, 1.0f, 3);
    const std::vector<float> nothing(static_cast<std::size_t>(columns), -infinity);
    const auto forward = [&](const std::vector<float>& bias) {
      std::vector<float> block = data.block(0, columns, 0), entropies(block.size());
      coho_cuda_logit_block logits = data.view(block, columns, columns, 0);
      logits.bias = bias.data();
      const coho_cuda_softmax_sums sums = data.sums(data.weighted_sum.data(), entropies.data());
      REQUIRE(coho_cuda_log_prob_forward(&logits, &sums, nullptr) == 0);
      return block;
    };
    for (const float e : forward(nothing)) CHECK(e == 0.0f);
    CHECK(data.sum == std::vector<float>(2));
    CHECK(data.weighted_sum == std::vector<float>(2));
    CHECK(data.rescale == std::vector<float>(2));
    forward(data.bias);
    const auto sum = data.sum, weighted_sum = data.weighted_sum, maximum = data.maximum;
    for (const float e : forward(nothing)) CHECK(e == 0.0f);
    CHECK(data.sum == sum);
    CHECK(data.weighted_sum == weighted_sum);
    CHECK(data.maximum == maximum);
    CHECK(data.rescale == std::vector<float>(2, 1.0f));
  }
}

TEST_CASE("The gradient of the CUDA log-prob block is that of finite differences in double") {
  for (const auto& [columns, gap] :
       std::vector<std::pair<std::int64_t, std::int64_t>>{{12, 0}, {12, 4}, {13, 0}, {12, 1}}) {
    for (const int given : {1, 2, 3}) {
      rows_of_logits data(3, 30, 0.8f, static_cast<unsigned>(columns));
      const std::vector<float> g = {0.3f, -1.2f, 0.9f}, h = {0.5f, 0.25f, -0.75f};
      const std::int64_t first = 8, stride = columns + gap;
      std::vector<float> log_sum_exp, entropy;
      for (std::int64_t r = 0; r < 3; ++r) {
        log_sum_exp.push_back(static_cast<float>(data.log_sum_exp(r, 30)));
        entropy.push_back(static_cast<float>(data.entropy(r)));
      }
      data.targets = {first + 5, first - 1, first + columns - 1};
      std::vector<float> block = data.block(first, columns, gap);
      const coho_cuda_logit_block logits = data.view(block, stride, columns, first);
      const coho_cuda_log_prob_gradient gradient{.log_sum_exp = log_sum_exp.data(),
                                                 .entropy = given & 2 ? entropy.data() : nullptr,
                                                 .d_log_prob = given & 1 ? g.data() : nullptr,
                                                 .d_entropy = given & 2 ? h.data() : nullptr};
      REQUIRE(coho_cuda_log_prob_backward(&logits, &gradient, nullptr) == 0);
      for (std::int64_t r = 0; r < 3; ++r) {
        const auto row = static_cast<std::size_t>(r);
        for (std::int64_t c = 0; c < columns; ++c) {
          auto& logit = data.logits[static_cast<std::size_t>(r * 30 + first + c)];
          const float kept = logit;
          double loss[2], place[2];
          for (const int side : {0, 1}) {
            logit = kept + (side == 0 ? -0.01f : 0.01f);
            place[side] = logit;
            loss[side] = (given & 1 ? g[row] * (data.z(r, data.targets[row]) - data.log_sum_exp(r, 30)) : 0.0) +
                         (given & 2 ? h[row] * data.entropy(r) : 0.0);
          }
          logit = kept;
          const double slope = (loss[1] - loss[0]) / (place[1] - place[0]);
          CHECK(block[static_cast<std::size_t>(r * stride + c)] == Approx(slope).epsilon(1e-4).margin(2e-5));
        }
        for (std::int64_t i = 0; i < gap; ++i)
          CHECK(block[static_cast<std::size_t>(r * stride + columns + i)] == 1234.5f);
      }
    }
  }
}

TEST_CASE("The CUDA log-prob block refuses sizes and pointers that cannot be right and launches nothing") {
  rows_of_logits data(2, 4, 1.0f, 1);
  const std::uint64_t before = cuda::emulation::blocks_run;
  const auto forward = [&](float* logits, std::int64_t stride, std::int64_t rows, std::int64_t columns, float* sum) {
    const coho_cuda_logit_block block{.logits = logits,
                                      .stride = stride,
                                      .rows = rows,
                                      .columns = columns,
                                      .bias = nullptr,
                                      .inverse_temperature = 1.0f,
                                      .targets = data.targets.data(),
                                      .first_column = 0};
    coho_cuda_softmax_sums sums = data.sums(nullptr, nullptr);
    sums.sum = sum;
    return coho_cuda_log_prob_forward(&block, &sums, nullptr);
  };
  float* const sum = data.sum.data();
  CHECK(forward(nullptr, 4, 2, 4, sum) != 0);
  CHECK(forward(data.logits.data(), 3, 2, 4, sum) != 0);
  CHECK(forward(data.logits.data(), 4, 0, 4, sum) != 0);
  CHECK(forward(data.logits.data(), 4, 2, 0, sum) != 0);
  CHECK(forward(data.logits.data(), 4, std::int64_t{1} << 31, 4, sum) != 0);
  CHECK(forward(data.logits.data(), 4, 2, 4, nullptr) != 0);
  CHECK(coho_cuda_log_prob_forward(nullptr, nullptr, nullptr) != 0);
  CHECK(coho_cuda_log_prob_backward(nullptr, nullptr, nullptr) != 0);
  const auto backward = [&](const float* log_sum_exp, const float* entropy, const float* d_entropy) {
    coho_cuda_logit_block block = data.view(data.logits, 4, 4, 0);
    block.bias = nullptr;
    const coho_cuda_log_prob_gradient gradient{
        .log_sum_exp = log_sum_exp, .entropy = entropy, .d_log_prob = nullptr, .d_entropy = d_entropy};
    return coho_cuda_log_prob_backward(&block, &gradient, nullptr);
  };
  CHECK(backward(nullptr, nullptr, nullptr) != 0);
  CHECK(backward(sum, nullptr, sum) != 0);
  CHECK(cuda::emulation::blocks_run == before);
  CHECK(backward(sum, nullptr, nullptr) == 0);
  for (const float gradient : data.logits) CHECK(gradient == 0.0f);
}
