#include "optimization/adamw.hpp"

#include <cmath>
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
  const at::Tensor start = random_tensor({40000}, 1);
  at::Tensor x = start.clone(), y = start.clone();
  parameter_set whole({{"x", &x}}), parts({{"y", &y}});
  adamw one(whole), first(parts);
  const auto gradient = [](parameter_set& set, std::uint64_t seed) { set.gradients().copy_(random_tensor({40000}, seed)); };
  gradient(whole, 2), gradient(parts, 2);
  one.step(0.1), first.step(0.1);
  adamw second(parts);
  second.restore(first.steps(), first.first_moment(), first.second_moment());
  gradient(whole, 3), gradient(parts, 3);
  one.step(0.1), second.step(0.1);
  CHECK(at::equal(whole.values(), parts.values()));
  CHECK_THROWS_AS(second.restore(1, {at::zeros({1}), {}}, {at::zeros({1}), {}}), argument_error);
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
