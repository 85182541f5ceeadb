#include "optimization/adamw.hpp"

#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include <ATen/Parallel.h>

#include <coho/error.hpp>

#include "support/catch.hpp"
#include "support/small_models.hpp"

using namespace coho;
using namespace coho::trainer;
using namespace coho::test;

TEST_CASE("adamw: two steps by hand") {
  at::Tensor a = at::full({2}, 1.0, at::kFloat), b = at::full({1, 1}, -2.0, at::kFloat);
  parameter_set parameters({{"a", &a}, {"b", &b}});
  adamw optimizer(parameters, {.beta1 = 0.9, .beta2 = 0.99, .epsilon = 1e-8, .weight_decay = 0.1});
  const double gradients[2][3] = {{0.5, -1.0, 4.0}, {-0.25, -1.0, 0.0}};
  double value[3] = {1, 1, -2}, m[3] = {}, v[3] = {};
  for (int step = 1; step <= 2; ++step) {
    for (int i = 0; i < 3; ++i) {
      const double g = gradients[step - 1][i];
      parameters.gradient_span()[static_cast<std::size_t>(i)] = static_cast<float>(g);
      m[i] = 0.9 * m[i] + 0.1 * g;
      v[i] = 0.99 * v[i] + 0.01 * g * g;
      const double corrected_m = m[i] / (1 - std::pow(0.9, step)), corrected_v = v[i] / (1 - std::pow(0.99, step));
      value[i] -= 0.01 * 0.1 * value[i] + 0.01 * corrected_m / (std::sqrt(corrected_v) + 1e-8);
    }
    optimizer.step(0.01);
    CHECK(a[0].item<double>() == Approx(value[0]).epsilon(1e-6));
    CHECK(a[1].item<double>() == Approx(value[1]).epsilon(1e-6));
    CHECK(b[0][0].item<double>() == Approx(value[2]).epsilon(1e-6));
  }
  CHECK(optimizer.steps() == 2);
}

TEST_CASE("adamw: restored moments go on as if never interrupted") {
  const auto form = GENERATE(moment_type::float32, moment_type::bfloat16, moment_type::eight_bit);
  const at::Tensor start = random_tensor({40000}, 1);
  at::Tensor x = start.clone(), y = start.clone();
  parameter_set whole({{"x", &x}}), parts({{"y", &y}});
  adamw one(whole, {.moments = form}), first(parts, {.moments = form});
  const auto gradient = [](parameter_set& set, std::uint64_t seed) {
    set.gradients().copy_(random_tensor({40000}, seed));
  };
  gradient(whole, 2), gradient(parts, 2);
  one.step(0.1), first.step(0.1);
  adamw second(parts, {.moments = form});
  second.restore(first.steps(), first.first_moment(), first.second_moment());
  for (std::uint64_t seed = 3; seed < 6; ++seed) {
    gradient(whole, seed), gradient(parts, seed);
    one.step(0.1), second.step(0.1);
    CHECK(at::equal(whole.values(), parts.values()));
    CHECK(at::equal(one.first_moment().values, second.first_moment().values));
    CHECK(at::equal(one.second_moment().values, second.second_moment().values));
  }
  CHECK_THROWS_AS(second.restore(1, {at::zeros({1}), {}}, {at::zeros({1}), {}}), argument_error);
  CHECK_THROWS_AS(second.restore(-1, first.first_moment(), first.second_moment()), argument_error);
  for (const auto other : {moment_type::float32, moment_type::bfloat16, moment_type::eight_bit}) {
    if (other == form) continue;
    adamw third(parts, {.moments = other});
    CHECK_THROWS_WITH(third.restore(1, first.first_moment(), first.second_moment()),
                      Catch::Matchers::ContainsSubstring(std::string(moment_type_name(other))));
    CHECK(third.steps() == 0);
  }
}

TEST_CASE("adamw: bytes of state by the form of the moments") {
  at::Tensor a = at::zeros({1000}), b = at::zeros({30});
  parameter_set set({{"a", &a}, {"b", &b}});
  CHECK(adamw(set).state_bytes() == 8 * 1030);
  CHECK(adamw(set, {.moments = moment_type::bfloat16}).state_bytes() == 4 * 1030);
  // Blocks of 256 do not go beyond a tensor: 4 and 1, with a number for each moment.
  CHECK(adamw(set, {.moments = moment_type::eight_bit}).state_bytes() == 2 * 1030 + 2 * 4 * 5);
}

TEST_CASE("adamw: the first step is the same in every form, as parameters move before moments are rounded") {
  std::vector<at::Tensor> results;
  for (const auto form : {moment_type::float32, moment_type::bfloat16, moment_type::eight_bit}) {
    at::Tensor a = random_tensor({700}, 1), b = random_tensor({300}, 2);
    parameter_set set({{"a", &a}, {"b", &b}});
    adamw optimizer(set, {.weight_decay = 0.1, .moments = form, .factors = {{"b", 3.0}}});
    set.gradients().copy_(random_tensor({1000}, 3));
    optimizer.step(0.01);
    results.push_back(set.values().clone());
    CHECK(largest_difference(optimizer.decode_first_moment(), 0.1 * set.gradients()) <
          (form == moment_type::float32 ? 1e-6 : 5e-3));
    CHECK(largest_difference(optimizer.decode_second_moment(), 0.001 * set.gradients().square()) <
          (form == moment_type::float32 ? 1e-6 : 1e-4));
  }
  CHECK(largest_difference(results[0], results[1]) < 1e-6);
  CHECK(largest_difference(results[0], results[2]) < 1e-6);
}

TEST_CASE("adamw: steps are the same with any number of threads") {
  const auto form = GENERATE(moment_type::float32, moment_type::bfloat16, moment_type::eight_bit);
  const int before = at::get_num_threads();
  std::vector<std::vector<at::Tensor>> results;
  for (const int threads : {1, 2, 3, 5}) {
    at::set_num_threads(threads);
    // Neither tensor begins or ends where a piece of work or a block does.
    at::Tensor a = random_tensor({70001}, 1), b = random_tensor({50013}, 2);
    parameter_set set({{"a", &a}, {"b", &b}});
    adamw optimizer(set, {.moments = form});
    for (std::uint64_t step = 0; step < 3; ++step) {
      set.gradients().copy_(random_tensor({set.count()}, 10 + step));
      optimizer.step(0.01);
    }
    results.push_back({set.values(), optimizer.decode_first_moment(), optimizer.decode_second_moment()});
  }
  at::set_num_threads(before);
  for (const auto& result : results)
    for (std::size_t i = 0; i < result.size(); ++i) CHECK(at::equal(result[i], results[0][i]));
}

TEST_CASE("adamw: a bfloat16 second moment follows its gradient although each step is below half a place") {
  constexpr std::int64_t n = 2000;
  at::Tensor a = at::zeros({n});
  parameter_set set({{"a", &a}});
  adamw optimizer(set, {.moments = moment_type::bfloat16});
  set.gradients().fill_(1.0);
  for (int step = 0; step < 300; ++step) optimizer.step(0);
  // v = 1 − 0.999^300; rounded to the nearest it would have stopped near a fifth.
  const auto mean = [&] { return optimizer.decode_second_moment().mean().item<double>(); };
  CHECK(mean() == Approx(1 - std::pow(0.999, 300)).epsilon(0.005));
  const double high = mean();
  set.gradients().fill_(0.0);
  for (int step = 0; step < 200; ++step) optimizer.step(0);
  CHECK(mean() == Approx(high * std::pow(0.999, 200)).epsilon(0.005));
}

TEST_CASE("adamw: least squares comes out as near with small moments as with fp32 ones") {
  // min ‖A x − b‖² / rows with features of very different sizes.
  constexpr std::int64_t rows = 64, columns = 600;
  const at::Tensor scale = at::pow(10.0, at::linspace(-1, 1, columns)),
                   matrix = random_tensor({rows, columns}, 1) * scale;
  const at::Tensor target = matrix.matmul(random_tensor({columns}, 2) / scale);
  std::vector<double> losses;
  for (const auto form : {moment_type::float32, moment_type::bfloat16, moment_type::eight_bit}) {
    at::Tensor x = at::zeros({columns});
    parameter_set set({{"x", &x}});
    adamw optimizer(set, {.moments = form});
    double loss = 0;
    for (int step = 0; step < 400; ++step) {
      set.zero_gradients();
      const at::Tensor value = (matrix.matmul(x) - target).square().mean();
      value.backward();
      loss = value.item<double>();
      optimizer.step(0.02 * (1 - step / 400.0));
    }
    losses.push_back(loss);
  }
  INFO("fp32 " << losses[0] << ", bfloat16 " << losses[1] << ", 8-bit " << losses[2]);
  const double begin = target.square().mean().item<double>();
  CHECK(losses[0] < 1e-8 * begin);
  for (const double loss : losses) CHECK(loss < 1e-8 * begin);
}

TEST_CASE("adamw: parameters by name learn at a rate of their own") {
  at::Tensor a = at::full({3}, 1.0, at::kFloat), b = at::full({2}, 1.0, at::kFloat), c = at::full({1}, 1.0, at::kFloat);
  parameter_set parameters({{"trunk.a", &a}, {"score.weight", &b}, {"trunk.c", &c}});
  adamw optimizer(parameters, {.factors = {{"score.", 5.0}, {"trunk.c", 0.0}}});
  parameters.gradients().fill_(2.0);
  optimizer.step(0.01);
  // The first step of Adam is the learning rate, whatever the gradient's size.
  CHECK(a[2].item<double>() == Approx(0.99));
  CHECK(b[0].item<double>() == Approx(0.95));
  CHECK(b[1].item<double>() == Approx(0.95));
  CHECK(c[0].item<double>() == 1.0);
  CHECK_THROWS_AS(adamw(parameters, {.factors = {{"a", -1.0}}}), option_error);
}

TEST_CASE("adamw: options out of range are refused") {
  at::Tensor x = at::zeros({1});
  parameter_set set({{"x", &x}});
  CHECK_THROWS_AS(adamw(set, {.beta1 = 1}), option_error);
  CHECK_THROWS_AS(adamw(set, {.beta2 = -0.1}), option_error);
  CHECK_THROWS_AS(adamw(set, {.epsilon = 0}), option_error);
  CHECK_THROWS_AS(adamw(set, {.weight_decay = -1}), option_error);
}
