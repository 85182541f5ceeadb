#include "optimization/parameter_set.hpp"

#include <coho/error.hpp>

#include "support/catch.hpp"
#include "support/small_models.hpp"

using namespace coho;
using namespace coho::trainer;
using namespace coho::test;

TEST_CASE("parameter_set: tensors become views of one buffer, their gradients of another") {
  const at::Tensor a0 = random_tensor({2, 3}, 1), b0 = random_tensor({4}, 2);
  at::Tensor a = a0.clone(), b = b0.clone();
  parameter_set set({{"a", &a}, {"b", &b}});
  REQUIRE(set.count() == 10);
  CHECK(at::equal(a, a0));
  CHECK(at::equal(set.values().narrow(0, 6, 4), b0));
  CHECK(set.entries()[1].name == "b");
  CHECK(set.entries()[1].offset == 6);
  (a.sum() * 2 + (b * b0).sum()).backward();
  CHECK(at::equal(set.gradients().narrow(0, 0, 6), at::full({6}, 2.0)));
  CHECK(largest_difference(set.gradients().narrow(0, 6, 4), b0) < 1e-6);
  a.sum().backward();
  CHECK(set.gradient_span()[0] == 3);
  set.gradient_span()[0] = 7;
  CHECK(a.grad()[0][0].item<double>() == 7);
  set.values().fill_(5);
  CHECK(b[3].item<double>() == 5);
  set.zero_gradients();
  CHECK(a.grad().abs().sum().item<double>() == 0);
  CHECK_THROWS_AS(parameter_set({}), argument_error);
  at::Tensor narrow = at::zeros({1}, at::kBFloat16);
  CHECK_THROWS_AS(parameter_set({{"narrow", &narrow}}), argument_error);
}
