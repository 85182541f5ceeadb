#include "quant/nf4.hpp"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <vector>

#include <ATen/Parallel.h>
#include <nlohmann/json.hpp>

#include <coho/error.hpp>

#include "checkpoint/tensor_io.hpp"
#include "support/catch.hpp"
#include "support/shared_data.hpp"

using namespace coho::trainer;
using Catch::Matchers::ContainsSubstring;

namespace {

const at::ScalarType float_types[] = {at::kFloat, at::kBFloat16, at::kHalf};

bool same(const nf4_tensor& a, const nf4_tensor& b) {
  return a.shape == b.shape && at::equal(a.codes, b.codes) && at::equal(a.absmax, b.absmax) &&
         a.double_quantized() == b.double_quantized() && a.nested_offset == b.nested_offset &&
         (!a.double_quantized() || at::equal(a.nested_absmax, b.nested_absmax));
}

nlohmann::json fixture(const std::filesystem::path& path) {
  std::ifstream file(path);
  return nlohmann::json::parse(file);
}

at::Tensor floats(const nlohmann::json& values) {
  const auto list = values.get<std::vector<float>>();
  return at::tensor(list, at::kFloat);
}

}  // namespace

TEST_CASE("nf4: weights that another implementation packed come back bit for bit") {
  const auto data = coho::test::shared_data();
  if (!data) {
    WARN("shared data absent: skipped");
    return;
  }
  const auto small = fixture(*data / "nf4/pico_nf4.json");
  nf4_tensor w;
  w.shape = {small["n"].get<std::int64_t>()};
  w.block_size = small["blocksize"];
  const auto bytes = small["packed_bytes"].get<std::vector<std::int64_t>>();
  w.codes = at::tensor(bytes, at::kLong).to(at::kByte).reshape({-1, 1});
  w.absmax = floats(small["absmax"]);
  const at::Tensor expected = floats(small["dequant"]);
  CHECK(at::equal(dequantize(w, at::kFloat), expected));
  CHECK(at::equal(dequantize_by_gather(w, at::kFloat), expected));
  CHECK(at::equal(quantize_nf4(expected, {64, false}).codes, w.codes));

  const std::string name = "model.layers.0.self_attn.q_proj.weight";
  const auto linear = fixture(*data / "nf4/pico_nf4_linear.json");
  auto tensors = read_tensors(*data / "nf4/pico_nf4_linear.safetensors");
  w.shape = {linear["out_dim"].get<std::int64_t>(), linear["in_dim"].get<std::int64_t>()};
  w.codes = tensors.at(name);
  w.absmax = tensors.at(name + ".absmax");
  std::vector<float> rows;
  for (const auto& row : linear["dequant"]) {
    for (const auto& value : row) rows.push_back(value.get<float>());
  }
  CHECK(at::equal(dequantize(w, at::kFloat), at::tensor(rows, at::kFloat).view(w.shape)));

  tensors = read_tensors(*data / "nf4/pico_nf4_doublequant.safetensors");
  CHECK(at::equal(tensors.at(name), w.codes));
}

TEST_CASE("nf4: a weight by hand, with a short last block and a block of zeros") {
  at::Tensor weight = at::zeros({1, 131});
  weight[0][0] = -4;
  weight[0][1] = 2;      // 0.5 lies between 0.4407 and 0.5626, whose midpoint is 0.5017: code 12
  weight[0][128] = 0.5;  // blocks: 64 weights, 64 zeros, 3 weights
  const auto w = quantize_nf4(weight, {64, false});
  CHECK(w.codes.sizes() == at::IntArrayRef({66, 1}));
  CHECK(at::equal(w.absmax, at::tensor({4.0F, 0.0F, 0.5F})));
  CHECK(w.codes[0].item<int>() == 0x0C);
  CHECK(w.codes[32].item<int>() == 0x77);
  CHECK(w.codes[64].item<int>() == 0xF7);
  CHECK(w.codes[65].item<int>() == 0x77);
  const at::Tensor back = dequantize(w, at::kFloat);
  CHECK(back[0][0].item<float>() == -4);
  CHECK(back[0][1].item<float>() == 4 * 0.44070982933044434F);
  CHECK(back[0][130].item<float>() == 0);
}

TEST_CASE("nf4: kernels and libtorch's operators dequantise to the same bits in every type") {
  at::manual_seed(1);
  for (const bool nested : {false, true}) {
    for (const std::int64_t in : {1, 33, 64, 100, 1500}) {
      for (const auto from : float_types) {
        const auto w = quantize_nf4(at::randn({67, in}).to(from), {64, nested});
        CHECK(w.type == from);
        for (const auto type : float_types) {
          const at::Tensor dense = dequantize(w, type);
          CHECK(dense.scalar_type() == type);
          CHECK(at::equal(dense, dequantize_by_gather(w, type)));
          if (type == at::kHalf) continue;
          at::Tensor out = at::full({67, in}, 7, dense.options());
          dequantize_into(w, out);
          CHECK(at::equal(out, dense));
        }
      }
    }
  }
}

TEST_CASE("nf4: strides and types of the weight do not change the result") {
  at::manual_seed(2);
  const at::Tensor weight = at::randn({300, 210});
  for (const auto type : float_types) {
    const at::Tensor typed = weight.to(type);
    const auto expected = quantize_nf4(typed);
    CHECK(same(quantize_nf4(typed.t().contiguous().t()), expected));
    CHECK(same(quantize_nf4(at::cat({typed, typed}, 1).narrow(1, 210, 210)), expected));
    CHECK(same(quantize_nf4(at::stack({typed, typed}, 2).select(2, 1)), expected));
    CHECK(at::equal(quantize_nf4(typed.to(at::kFloat)).codes, expected.codes));
    CHECK(at::equal(quantize_nf4(typed.t().contiguous().t().reshape({-1})).codes, expected.codes));
  }
  CHECK(same(quantize_nf4(weight.clone().requires_grad_()), quantize_nf4(weight)));
}

TEST_CASE("nf4: double quantisation stays within half a step of the map") {
  at::manual_seed(3);
  const at::Tensor weight = at::randn({512, 200});
  const auto single = quantize_nf4(weight, {64, false}), nested = quantize_nf4(weight);
  CHECK(at::equal(single.codes, nested.codes));
  CHECK(nested.absmax.scalar_type() == at::kByte);
  CHECK(nested.nested_absmax.numel() == (1600 + 255) / 256);
  const double mean = single.absmax.to(at::kDouble).mean().item<double>();
  CHECK(std::abs(nested.nested_offset - mean) <= 1e-6 * mean);
  // The widest step of the map is 0.9/64; its first value is 0.00703 short of −1.
  const double error = (dequantize(single, at::kFloat) - dequantize(nested, at::kFloat)).abs().max().item<double>();
  CHECK(error <= 0.0071 * nested.nested_absmax.max().item<double>() + 1e-6);
  CHECK(error > 0);
}

TEST_CASE("nf4: results are the same with any number of threads") {
  at::manual_seed(4);
  const at::Tensor weight = at::randn({701, 513}), x = at::randn({3, 513});
  const int before = at::get_num_threads();
  at::set_num_threads(1);
  const auto w = quantize_nf4(weight);
  const at::Tensor dense = dequantize(w, at::kBFloat16), y = nf4_linear(x, w);
  for (const int threads : {2, 3, 5}) {
    at::set_num_threads(threads);
    CHECK(same(quantize_nf4(weight), w));
    CHECK(at::equal(dequantize(w, at::kBFloat16), dense));
    CHECK(at::equal(nf4_linear(x, w), y));
  }
  at::set_num_threads(before);
}

TEST_CASE("nf4: products agree with those of the dequantised weight, few rows and many, in panels and at once") {
  at::manual_seed(5);
  for (const auto& shape : std::vector<std::vector<std::int64_t>>{{70, 96}, {33, 65}, {1300, 1700}}) {
    const auto w = quantize_nf4(at::randn(shape));
    const at::Tensor dense = dequantize(w, at::kFloat).to(at::kDouble);
    for (const std::int64_t rows : {1, 2, 8, 9, 40}) {
      const at::Tensor x = at::randn({rows, shape[1]}), g = at::randn({rows, shape[0]});
      const at::Tensor y = at::matmul(x.to(at::kDouble), dense.t()), dx = at::matmul(g.to(at::kDouble), dense);
      CHECK((nf4_linear(x, w) - y).abs().max().item<double>() <= 1e-5 * y.abs().max().item<double>());
      CHECK((nf4_linear_backward(g, w) - dx).abs().max().item<double>() <= 1e-5 * dx.abs().max().item<double>());
      const at::Tensor narrow = x.to(at::kBFloat16);
      const at::Tensor z = nf4_linear(narrow, w);
      CHECK(z.scalar_type() == at::kBFloat16);
      const at::Tensor wide = at::matmul(narrow.to(at::kDouble), dense.t());
      CHECK((z - wide).abs().max().item<double>() <= 0.02 * wide.abs().max().item<double>());
      if (rows <= 8) CHECK(at::equal(z, nf4_linear(narrow.to(at::kFloat), w).to(at::kBFloat16)));
    }
  }
}

TEST_CASE("nf4: arguments that do not fit are refused") {
  CHECK_THROWS_AS(quantize_nf4(at::randn({4, 4}), {0, true}), coho::option_error);
  CHECK_THROWS_AS(quantize_nf4(at::randn({4, 4}), {48, true}), coho::option_error);
  CHECK_THROWS_WITH(quantize_nf4(at::empty({0, 4})), ContainsSubstring("is empty"));
  CHECK_THROWS_WITH(quantize_nf4(at::ones({2, 2}, at::kLong)), ContainsSubstring("fp32, bf16 or fp16"));
  for (const float value : {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
    for (const auto type : float_types) {
      at::Tensor weight = at::randn({10, 100}).to(type);
      weight[9][99] = value;
      CHECK_THROWS_WITH(quantize_nf4(weight), ContainsSubstring("not finite"));
    }
  }
  const auto w = quantize_nf4(at::randn({6, 50}));
  CHECK_THROWS_AS(nf4_linear(at::randn({2, 49}), w), coho::argument_error);
  CHECK_THROWS_AS(nf4_linear(at::ones({2, 50}, at::kLong), w), coho::argument_error);
  CHECK_THROWS_AS(nf4_linear_backward(at::randn({2, 50}), w), coho::argument_error);
  CHECK_THROWS_AS(dequantize(w, at::kDouble), coho::argument_error);
  at::Tensor out = at::empty({50, 6});
  CHECK_THROWS_AS(dequantize_into(w, out), coho::argument_error);
  out = out.t();
  CHECK_THROWS_AS(dequantize_into(w, out), coho::argument_error);
  for (const int part : {0, 1, 2, 3, 4}) {
    nf4_tensor broken = w;
    if (part == 0) broken.codes = broken.codes.narrow(0, 0, 149);
    if (part == 1) broken.absmax = broken.absmax.narrow(0, 0, 4);
    if (part == 2) broken.nested_map = at::Tensor();
    if (part == 3) broken.nested_absmax = at::Tensor();
    if (part == 4) broken.block_size = 0;
    CHECK_THROWS_AS(dequantize(broken, at::kFloat), coho::argument_error);
  }
}
