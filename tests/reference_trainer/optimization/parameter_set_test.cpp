#include "optimization/parameter_set.hpp"

#include <cmath>

#include <coho/concepts.hpp>
#include <coho/error.hpp>
#include <coho/optimization/gradient_clipping.hpp>
#include <coho/parallel/all_reduce.hpp>

#include "support/catch.hpp"
#include "support/small_models.hpp"
#include "support/thread_ranks.hpp"

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

namespace {

// The same gradients with no members but those for host memory.
struct on_the_host {
  parameter_set* set;
  void zero_gradients() { set->zero_gradients(); }
  std::vector<std::span<float>> gradients() { return {set->gradient_span()}; }
};

}  // namespace

TEST_CASE("parameter_set: norm and scaling have the numbers of the path over spans, bit for bit") {
  STATIC_REQUIRE(trainable<parameter_set>);
  at::Tensor a = at::zeros({5000}), b = at::zeros({5000});
  parameter_set one({{"a", &a}}), two({{"b", &b}});
  one.gradients().copy_(random_tensor({5000}, 1));
  two.gradients().copy_(one.gradients());
  on_the_host host{&two};
  CHECK(clip_gradient_norm(0.5, one) == clip_gradient_norm(0.5, host));
  CHECK(at::equal(one.gradients(), two.gradients()));
  CHECK(std::sqrt(one.squared_gradient_norm()) == Approx(0.5));
  // Jointly with a model of the other kind.
  CHECK(clip_gradient_norm(0, one, host) == Approx(0.5 * std::sqrt(2.0)));
}

TEST_CASE("parameter_set: the norm by operators, as a device computes it, squares in double") {
  const at::Tensor x = random_tensor({100000}, 1);
  CHECK(squared_norm_by_operators(x) == Approx(x.to(at::kDouble).square().sum().item<double>()).epsilon(1e-14));
  // Squares beyond fp32, and more than one piece.
  CHECK(squared_norm_by_operators(at::full({3}, 1e30f)) == Approx(3e60));
  CHECK(squared_norm_by_operators(at::full({(1 << 22) + 5}, 2.0f)) == 4.0 * ((1 << 22) + 5));
}

TEST_CASE("parameter_set: gradients are summed over ranks") {
  run_ranks(3, [](auto& ranks) {
    at::Tensor a = at::zeros({2, 2}), b = at::zeros({1});
    parameter_set set({{"a", &a}, {"b", &b}});
    set.gradients().fill_(static_cast<double>(ranks.rank() + 1));
    all_reduce_gradients(ranks, set);
    if (!at::equal(a.grad(), at::full({2, 2}, 6.0)) || !at::equal(b.grad(), at::full({1}, 6.0)))
      throw error("wrong sum");
  });
}

TEST_CASE("parameter_set: gradients of several shards are summed in double, over one rank or more") {
  // Float sums would lose every 1.
  const std::vector<float> shards{3e8F, 1, 1, 1, 1, -3e8F};
  for (const std::size_t count : {1U, 2U, 3U, 7U}) {
    run_ranks(count, [&](auto& ranks) {
      at::Tensor a = at::zeros({3});
      parameter_set set({{"a", &a}});
      for (std::size_t s = ranks.rank(); s < shards.size(); s += ranks.size()) {
        set.gradients().add_(shards[s]);
        set.fold_gradients();
        if (!set.gradients().equal(at::zeros({3}))) throw error("gradients of a share stayed");
      }
      set.unfold_gradients(ranks);
      if (!set.gradients().equal(at::full({3}, 4.0))) throw error("another sum");
      set.zero_gradients();
      set.unfold_gradients(ranks);
      if (!set.gradients().equal(at::zeros({3}))) throw error("a sum was kept");
      // A minibatch that was left out leaves nothing to the next one.
      set.gradients().fill_(5.0);
      set.fold_gradients();
      set.zero_gradients();
      set.unfold_gradients(ranks);
      if (!set.gradients().equal(at::zeros({3}))) throw error("a sum outlived zero_gradients");
    });
  }
}

TEST_CASE("parameter_set: draws of a share are the same whoever works on it, and are not drawn again") {
  at::Tensor a = at::zeros({1}), b = at::zeros({1});
  parameter_set one({{"a", &a}}), other({{"b", &b}});
  for (parameter_set* set : {&one, &other}) set->set_draws(5);
  one.begin_shard(0);
  const auto first = one.next_draw(), second = one.next_draw();
  one.begin_shard(3);
  const auto third = one.next_draw();
  one.end_shards();
  other.begin_shard(3);
  CHECK(other.next_draw() == third);
  other.end_shards();
  CHECK(first == 5);
  CHECK(second == 6);
  CHECK(one.draws() == other.draws());
  CHECK(one.draws() > second);
  other.end_shards();  // a rank without a shard
  one.begin_shard(3);
  CHECK(one.next_draw() != third);
}
