#include "decoder/recompute.hpp"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include <ATen/core/grad_mode.h>
#include <c10/core/StorageImpl.h>

#include <coho/error.hpp>

#include "support/catch.hpp"
#include "support/small_models.hpp"

using namespace coho;
using namespace coho::trainer;
using namespace coho::test;

namespace {

at::Tensor leaf(std::vector<std::int64_t> sizes, std::uint64_t seed, at::ScalarType type = at::kFloat) {
  return random_tensor(std::move(sizes), seed, type).set_requires_grad(true);
}

// A block with a residual path and two parameters: x + tanh(x W) V.
at::Tensor block(const at::Tensor& x, const at::Tensor& w, const at::Tensor& v) {
  return x + x.matmul(w).tanh().matmul(v);
}

// The storages of tensors that f made, without keeping them.
class watcher {
 public:
  at::Tensor operator()(const at::Tensor& tensor) {
    watched_.push_back(
        {c10::weak_intrusive_ptr<c10::StorageImpl>(c10::intrusive_ptr<c10::StorageImpl>::unsafe_reclaim_from_nonowning(
             tensor.storage().unsafeGetStorageImpl())),
         tensor.numel()});
    most_ = std::max(most_, alive());
    return tensor;
  }
  std::int64_t alive() const {
    std::int64_t elements = 0;
    for (const auto& w : watched_)
      if (!w.storage.expired()) elements += w.elements;
    return elements;
  }
  std::int64_t most() const { return most_; }

 private:
  struct entry {
    c10::weak_intrusive_ptr<c10::StorageImpl> storage;
    std::int64_t elements;
  };
  std::vector<entry> watched_;
  std::int64_t most_ = 0;
};

}  // namespace

TEST_CASE("recompute_in_backward: values and gradients of a chain equal the direct ones bit for bit") {
  constexpr int blocks = 4;
  const bool x_learns = GENERATE(true, false);
  std::vector<at::Tensor> found[2];
  for (const bool again : {false, true}) {
    const at::Tensor x = random_tensor({5, 8}, 1).set_requires_grad(x_learns), head = leaf({8}, 2);
    std::vector<at::Tensor> w, v;
    for (int i = 0; i < blocks; ++i) w.push_back(leaf({8, 8}, 10 + i)), v.push_back(leaf({8, 8}, 20 + i));
    // The graph goes on before and after the blocks.
    at::Tensor h = x * 1.5;
    for (int i = 0; i < blocks; ++i) {
      const auto f = [a = w[i], b = v[i]](const at::Tensor& in) { return block(in, a, b); };
      h = again ? recompute_in_backward(f, h) : f(h);
    }
    const at::Tensor loss = (h * head).square().sum();
    loss.backward();
    found[again] = {loss.detach(), head.grad()};
    if (x_learns) found[again].push_back(x.grad());
    for (int i = 0; i < blocks; ++i) found[again].push_back(w[i].grad()), found[again].push_back(v[i].grad());
    CHECK(x.grad().defined() == x_learns);
  }
  REQUIRE(found[0].size() == found[1].size());
  for (std::size_t i = 0; i < found[0].size(); ++i) {
    CHECK(at::equal(found[0][i], found[1][i]));
    CHECK(found[0][i].abs().sum().item<double>() > 0);
  }
}

TEST_CASE("recompute_in_backward: gradients by finite differences in double") {
  const at::Tensor x = leaf({3, 4}, 1, at::kDouble), w = leaf({4, 4}, 2, at::kDouble), v = leaf({4, 4}, 3, at::kDouble);
  const auto loss = [&] {
    return recompute_in_backward([&](const at::Tensor& in) { return block(in, w, v); }, x).square().sum();
  };
  loss().backward();
  for (const at::Tensor& tensor : {x, w, v}) {
    const at::Tensor flat = tensor.detach().view({-1}), gradient = tensor.grad().view({-1});
    for (std::int64_t i = 0; i < flat.numel(); ++i) {
      double* const place = flat.data_ptr<double>() + i;
      const double kept = *place, step = 1e-6;
      *place = kept + step;
      const double above = loss().item<double>();
      *place = kept - step;
      const double below = loss().item<double>();
      *place = kept;
      CHECK(gradient[i].item<double>() == Approx((above - below) / (2 * step)).epsilon(1e-6).margin(1e-8));
    }
  }
}

TEST_CASE("recompute_in_backward: adds to gradients that are views of one buffer") {
  at::Tensor buffer = at::full({6}, 10.0), w = random_tensor({2, 3}, 1).set_requires_grad(true);
  w.mutable_grad() = buffer.view({2, 3});
  recompute_in_backward([&](const at::Tensor& x) { return x.matmul(w); }, at::ones({1, 2})).sum().backward();
  CHECK(at::equal(buffer, at::full({6}, 11.0)));
  CHECK(w.grad().data_ptr<float>() == buffer.data_ptr<float>());
}

TEST_CASE("recompute_in_backward: one inside another, an unused input, and the input as output") {
  const at::Tensor x = leaf({2, 3}, 1), w = leaf({3, 3}, 2);
  const auto inner = [&](const at::Tensor& in) { return in.matmul(w).tanh(); };
  inner(inner(x)).sum().backward();
  const at::Tensor dx = x.grad().clone(), dw = w.grad().clone();
  x.mutable_grad() = at::Tensor(), w.mutable_grad() = at::Tensor();
  recompute_in_backward(
      [&](const at::Tensor& in) { return recompute_in_backward(inner, recompute_in_backward(inner, in)); }, x)
      .sum()
      .backward();
  CHECK(at::equal(x.grad(), dx));
  CHECK(at::equal(w.grad(), dw));

  w.mutable_grad() = at::Tensor(), x.mutable_grad() = at::Tensor();
  recompute_in_backward([&](const at::Tensor&) { return w * 2; }, x).sum().backward();
  CHECK(at::equal(w.grad(), at::full({3, 3}, 2.0)));
  CHECK((!x.grad().defined() || x.grad().abs().sum().item<double>() == 0));
  recompute_in_backward([](const at::Tensor& in) { return in; }, x).sum().backward();
  CHECK(at::equal(x.grad(), at::ones({2, 3})));
  // Nothing learns: backward has nothing to do and says nothing.
  recompute_in_backward([](const at::Tensor& in) { return in * 2; }, at::ones({2})).sum().backward();
}

TEST_CASE("recompute_in_backward: with gradients off it is the function itself") {
  const at::Tensor x = leaf({2}, 1);
  int calls = 0;
  const at::NoGradGuard no_gradient;
  const at::Tensor out = recompute_in_backward([&](const at::Tensor& in) { return ++calls, in * 2; }, x);
  CHECK(calls == 1);
  CHECK_FALSE(out.requires_grad());
  CHECK(at::equal(out, x * 2));
}

TEST_CASE("recompute_in_backward: dropout that sets its own generator drops the same elements again") {
  const at::Tensor x = leaf({400}, 1), w = leaf({400}, 2);
  const auto dropped = [&](const at::Tensor& in) {
    return in * w * random_tensor({400}, 9).gt(0.0).to(at::kFloat);  // the seed is part of f
  };
  dropped(x).sum().backward();
  const at::Tensor expected = w.grad().clone();
  w.mutable_grad() = at::Tensor();
  recompute_in_backward(dropped, x).sum().backward();
  CHECK(at::equal(w.grad(), expected));
}

TEST_CASE("recompute_in_backward: what the function throws comes out of forward and backward") {
  const at::Tensor x = leaf({2}, 1);
  const auto fails = [](const at::Tensor&) -> at::Tensor { throw std::range_error("forward"); };
  CHECK_THROWS_AS(recompute_in_backward(fails, x), std::range_error);
  int calls = 0;
  const at::Tensor out = recompute_in_backward(
      [&](const at::Tensor& in) {
        if (++calls == 2) throw std::range_error("backward");
        return in * 2;
      },
      x);
  CHECK_THROWS_AS(out.sum().backward(), std::range_error);
  CHECK_FALSE(x.grad().defined());
  CHECK_THROWS_AS(recompute_in_backward(nullptr, x), argument_error);
  CHECK_THROWS_AS(recompute_in_backward(fails, at::Tensor()), argument_error);
}

TEST_CASE("recompute_in_backward: second derivatives and an input that changed are refused") {
  const at::Tensor x = leaf({2}, 1);
  const auto square = [](const at::Tensor& in) { return in * in; };
  CHECK_THROWS_AS(recompute_in_backward(square, x).sum().backward({}, true, true), argument_error);
  const at::Tensor y = x * 2, out = recompute_in_backward(square, y);
  y.add_(1);
  CHECK_THROWS_WITH(out.sum().backward(), Catch::Matchers::ContainsSubstring("inplace"));
}

TEST_CASE(
    "recompute_in_backward: what the function makes is gone after forward, after backward, and never all there at "
    "once") {
  constexpr int blocks = 6, parts = 3;
  constexpr std::int64_t size = 1000;
  std::int64_t most[2] = {};
  for (const bool again : {false, true}) {
    watcher seen;
    const auto f = [&seen](const at::Tensor& in) {
      at::Tensor h = in;
      for (int i = 0; i < parts; ++i) h = seen(h.tanh());
      return h;
    };
    at::Tensor h = leaf({size}, 1);
    for (int i = 0; i < blocks; ++i) h = again ? recompute_in_backward(f, h) : f(h);
    // Each block's result is the next one's x and stays; what lies between is kept by the direct graph alone.
    CHECK(seen.alive() == (again ? blocks : blocks * parts) * size);
    h.sum().backward();
    CHECK(seen.alive() <= (again ? blocks : blocks * parts) * size);
    h = at::Tensor();
    CHECK(seen.alive() == 0);
    most[again] = seen.most();
  }
  CHECK(most[0] == blocks * parts * size);
  CHECK(most[1] <= (blocks + parts) * size);
}

TEST_CASE("recompute_in_backward: the function is held as long as the graph, no longer") {
  const auto token = std::make_shared<int>(0);
  at::Tensor out = recompute_in_backward([token](const at::Tensor& in) { return in * 2; }, leaf({2}, 1));
  CHECK(token.use_count() == 2);
  out = at::Tensor();
  CHECK(token.use_count() == 1);
}
