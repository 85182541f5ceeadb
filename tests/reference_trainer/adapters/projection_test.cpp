#include "adapters/projection.hpp"

#include <functional>

#include <ATen/core/grad_mode.h>

#include <coho/error.hpp>

#include "adapters/dropout.hpp"
#include "decoder/decoder_ops.hpp"
#include "support/catch.hpp"
#include "support/small_models.hpp"

using namespace coho;
using namespace coho::trainer;
using namespace coho::test;

namespace {

constexpr std::int64_t rows = 5, in_size = 12, rank = 3;

lora_pair pair_for(std::int64_t out, std::uint64_t seed) {
  return {random_tensor({rank, in_size}, seed) * 0.3, random_tensor({out, rank}, seed + 1) * 0.3, 0.7};
}

// What each function is, said with libtorch's operators alone.
at::Tensor composite(const at::Tensor& x, const at::Tensor& weight, const lora_pair& pair) {
  return at::matmul(x, weight.t()) + at::matmul(at::matmul(x, pair.a.t()), pair.b.t()) * pair.scale;
}

at::Tensor composite_norm(const at::Tensor& x, const at::Tensor& weight, double epsilon) {
  return x * at::rsqrt(x.square().mean(-1, true) + epsilon) * weight;
}

struct leaves {
  std::vector<at::Tensor> tensors;
  at::Tensor add(const at::Tensor& value) {
    tensors.push_back(value.detach().clone().set_requires_grad(true));
    return tensors.back();
  }
};

// Gradients of a random weighted sum of the outputs.
std::vector<at::Tensor> gradients(const leaves& all, const std::vector<at::Tensor>& outputs) {
  for (const auto& leaf : all.tensors) leaf.mutable_grad() = at::Tensor();
  at::Tensor sum = at::zeros({}, outputs.front().options());
  std::uint64_t seed = 900;
  for (const auto& y : outputs) sum = sum + (y * random_tensor(y.sizes().vec(), ++seed, y.scalar_type())).sum();
  sum.backward();
  std::vector<at::Tensor> out;
  for (const auto& leaf : all.tensors) out.push_back(leaf.grad().clone());
  return out;
}

void check_same(const std::vector<at::Tensor>& a, const std::vector<at::Tensor>& b, double tolerance = 1e-5) {
  REQUIRE(a.size() == b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    REQUIRE(a[i].sizes() == b[i].sizes());
    CHECK(largest_difference(a[i], b[i]) <= tolerance * std::max(1.0, b[i].abs().max().item<double>()));
  }
}

}  // namespace

TEST_CASE("projection: a plain one has the value and gradients of its formula") {
  leaves all;
  const at::Tensor x = all.add(random_tensor({rows, in_size}, 1)), w = all.add(random_tensor({7, in_size}, 2));
  lora_pair pair = pair_for(7, 3);
  pair.a = all.add(pair.a);
  pair.b = all.add(pair.b);
  const linear_weight weight(w);
  const at::Tensor y = project(x, {.weight = &weight, .pair = &pair}), expected = composite(x, w, pair);
  check_same({y}, {expected});
  check_same(gradients(all, {y}), gradients(all, {expected}));
}

TEST_CASE("projection: a bias is added, and trained where it requires a gradient") {
  leaves all;
  const at::Tensor x = all.add(random_tensor({rows, in_size}, 1)), bias = all.add(random_tensor({7}, 6));
  lora_pair pair = pair_for(7, 3);
  pair.a = all.add(pair.a);
  pair.b = all.add(pair.b);
  const at::Tensor dense = random_tensor({7, in_size}, 2);
  for (const bool packed : {false, true}) {
    const linear_weight weight = packed ? linear_weight(quantize_nf4(dense)) : linear_weight(dense);
    const at::Tensor y = project(x, {.weight = &weight, .bias = &bias, .pair = &pair});
    const at::Tensor expected = composite(x, weight.values(at::kFloat), pair) + bias;
    check_same({y}, {expected});
    check_same(gradients(all, {y}), gradients(all, {expected}));
    const at::NoGradGuard no_gradient;
    check_same({project(x, {.weight = &weight, .bias = &bias, .pair = &pair})}, {expected});
  }
}

TEST_CASE("projection: a norm and three linears share one input, whether it is kept or made again") {
  const std::int64_t sizes[] = {8, 4, 6};
  for (const keep_inputs keep : {keep_inputs::no, keep_inputs::yes}) {
    leaves all;
    const at::Tensor x = all.add(random_tensor({rows, in_size}, 1)), norm = all.add(random_tensor({in_size}, 2));
    std::vector<lora_pair> pairs;
    std::vector<linear_weight> weights;
    for (const std::int64_t size : sizes) {
      weights.emplace_back(all.add(random_tensor({size, in_size}, static_cast<std::uint64_t>(20 + size))));
      pairs.push_back(pair_for(size, static_cast<std::uint64_t>(40 + 3 * size)));
      pairs.back().a = all.add(pairs.back().a);
      pairs.back().b = all.add(pairs.back().b);
    }
    std::vector<projection> linears;
    std::vector<at::Tensor> expected;
    for (std::size_t i = 0; i < 3; ++i) {
      linears.push_back({.weight = &weights[i], .pair = &pairs[i]});
      expected.push_back(composite(composite_norm(x, norm, 1e-5), weights[i].dense(), pairs[i]));
    }
    const auto y = project_normed(x, norm, 1e-5, linears, keep);
    check_same(y, expected);
    check_same(gradients(all, y), gradients(all, expected));
  }
}

TEST_CASE("projection: an output that is not used costs its linear no gradient") {
  leaves all;
  const at::Tensor x = all.add(random_tensor({rows, in_size}, 1));
  const linear_weight first(random_tensor({4, in_size}, 2)), second(random_tensor({4, in_size}, 3));
  lora_pair one = pair_for(4, 5), two = pair_for(4, 8);
  for (lora_pair* pair : {&one, &two}) {
    pair->a = all.add(pair->a);
    pair->b = all.add(pair->b);
  }
  const at::Tensor norm = at::ones({in_size});
  const projection linears[] = {{.weight = &first, .pair = &one}, {.weight = &second, .pair = &two}};
  project_normed(x, norm, 1e-5, linears)[1].sum().backward();
  CHECK_FALSE(all.tensors[1].grad().defined());
  CHECK(all.tensors[3].grad().abs().sum().item<double>() > 0);
  const at::Tensor direct = composite(composite_norm(x, norm, 1e-5), second.dense(), two);
  const at::Tensor dx = x.grad().clone();
  x.mutable_grad() = at::Tensor();
  direct.sum().backward();
  check_same({dx}, {x.grad()});
}

TEST_CASE("projection: the gated one has the gradients of silu(gate) ∘ up") {
  for (const keep_inputs keep : {keep_inputs::no, keep_inputs::yes}) {
    leaves all;
    const at::Tensor gate = all.add(random_tensor({rows, in_size}, 1)), up = all.add(random_tensor({rows, in_size}, 2));
    const at::Tensor w = random_tensor({7, in_size}, 3);
    lora_pair pair = pair_for(7, 4);
    pair.a = all.add(pair.a);
    pair.b = all.add(pair.b);
    const linear_weight weight(w);
    const at::Tensor y = project_gated(gate, up, {.weight = &weight, .pair = &pair}, keep);
    const at::Tensor expected = composite(gate * at::sigmoid(gate) * up, w, pair);
    check_same({y}, {expected});
    check_same(gradients(all, {y}), gradients(all, {expected}));
  }
}

TEST_CASE(
    "projection: over a packed base the gradients are those over the unpacked one, and nothing unpacked is kept") {
  const at::Tensor dense = random_tensor({16, in_size}, 1);
  const linear_weight packed(quantize_nf4(dense)), unpacked(dequantize(packed.packed(), at::kFloat));
  lora_pair pair = pair_for(16, 3);
  const auto run = [&](const linear_weight& weight) {
    leaves all;
    const at::Tensor x = all.add(random_tensor({rows, in_size}, 7));
    lora_pair own{all.add(pair.a), all.add(pair.b), pair.scale};
    const at::Tensor y = project(x, {.weight = &weight, .pair = &own});
    auto out = gradients(all, {y});
    out.push_back(y.detach());
    return out;
  };
  check_same(run(packed), run(unpacked), 1e-6);
}

TEST_CASE(
    "projection: without gradients it is the same number, and only a linear without its adapter where there is none") {
  const linear_weight weight(random_tensor({7, in_size}, 1));
  const at::Tensor x = random_tensor({rows, in_size}, 2);
  lora_pair pair = pair_for(7, 3);
  const at::Tensor with_gradient = project(x.clone().set_requires_grad(true), {.weight = &weight, .pair = &pair});
  const at::NoGradGuard no_gradient;
  CHECK(at::equal(project(x, {.weight = &weight, .pair = &pair}), with_gradient));
  CHECK(at::equal(project(x, {.weight = &weight}), at::linear(x, weight.dense())));
  const lora_pair none;
  CHECK(at::equal(project(x, {.weight = &weight, .pair = &none}), at::linear(x, weight.dense())));
}

TEST_CASE("projection: dropout takes the same elements in backward as in forward") {
  leaves all;
  const at::Tensor x = all.add(random_tensor({rows, in_size}, 1)), w = random_tensor({7, in_size}, 2);
  lora_pair pair = pair_for(7, 3);
  pair.a = all.add(pair.a);
  pair.b = all.add(pair.b);
  const linear_weight weight(w);
  const at::Tensor y = project(x, {.weight = &weight, .pair = &pair, .dropout = 0.4, .random = rng{5}});
  const at::Tensor mask = at::ones({rows, in_size});
  drop_elements(mask, 0.4, rng{5});
  const at::Tensor expected =
      at::matmul(x, w.t()) + at::matmul(at::matmul(x * mask, pair.a.t()), pair.b.t()) * pair.scale;
  check_same({y}, {expected});
  check_same(gradients(all, {y}), gradients(all, {expected}));
}

TEST_CASE("projection: bf16 inputs with fp32 adapters give fp32 gradients near those in fp32") {
  const linear_weight weight(random_tensor({7, in_size}, 1).to(at::kBFloat16));
  const auto run = [&](at::ScalarType type) {
    leaves all;
    const at::Tensor x = all.add(random_tensor({rows, in_size}, 2).to(at::kBFloat16).to(type));
    lora_pair pair = pair_for(7, 3);
    pair.a = all.add(pair.a);
    pair.b = all.add(pair.b);
    const linear_weight own(weight.dense().to(type));
    const auto out = gradients(all, {project(x, {.weight = &own, .pair = &pair}).to(at::kFloat)});
    CHECK(all.tensors[1].grad().scalar_type() == at::kFloat);
    return out;
  };
  check_same(run(at::kBFloat16), run(at::kFloat), 3e-2);
}
