#include "optimization/adamw_operators.hpp"

#include "support/catch.hpp"
#include "support/small_models.hpp"

using namespace coho;
using namespace coho::trainer;
using namespace coho::test;

// On CPU tensors the operators can be held against the kernels; on a device there are only the operators.
namespace {

constexpr cpu::adamw_coefficients numbers{0.01f, 0.9f, 0.99f, 1e-8f, 0.1f, 2.0f, 3.0f};
constexpr std::int64_t n = 5 * 256 + 100;

struct state {
  at::Tensor p, m, v, m_absmax, v_absmax;
  state clone() const {
    const auto copy = [](const at::Tensor& t) { return t.defined() ? t.clone() : t; };
    return {copy(p), copy(m), copy(v), copy(m_absmax), copy(v_absmax)};
  }
};

template <class Number>
Number* data(const at::Tensor& tensor) {
  return static_cast<Number*>(tensor.data_ptr());
}

}  // namespace

TEST_CASE("adamw operators: fp32 moments step as the kernel does") {
  state a{random_tensor({n}, 1), at::zeros({n}), at::zeros({n}), {}, {}}, b = a.clone();
  for (std::uint64_t step = 0; step < 4; ++step) {
    const at::Tensor g = random_tensor({n}, 10 + step);
    cpu::adamw(data<float>(a.p), data<float>(g), data<float>(a.m), data<float>(a.v), n, numbers);
    adamw_by_operators(b.p, g, b.m, b.v, numbers);
  }
  CHECK(largest_difference(a.p, b.p) < 1e-6);
  CHECK(largest_difference(a.m, b.m) < 1e-6);
  CHECK(largest_difference(a.v, b.v) < 1e-6);
}

TEST_CASE("adamw operators: bfloat16 moments are rounded by the kernel's random bits") {
  const auto zeros = [] { return at::zeros({n}, at::kBFloat16); };
  state a{random_tensor({n}, 1), zeros(), zeros(), {}, {}}, b = a.clone();
  const std::uint32_t start = 1000;
  for (std::uint32_t step = 0; step < 4; ++step) {
    const at::Tensor g = random_tensor({n}, 10 + step);
    const std::uint32_t key = 0xdeadbeefU * (step + 1);
    cpu::adamw_bfloat16(data<float>(a.p), data<float>(g), data<std::uint16_t>(a.m), data<std::uint16_t>(a.v), n,
                        numbers, key, start);
    adamw_bfloat16_by_operators(b.p, g, b.m, b.v, numbers, key, start);
    CHECK(largest_difference(a.p, b.p) < 1e-6);
    // A last bit of difference before rounding seldom decides it; other random bits would differ in a third of the
    // places.
    CHECK(a.m.ne(b.m).sum().item<std::int64_t>() < n / 100);
    CHECK(a.v.ne(b.v).sum().item<std::int64_t>() < n / 100);
    b = a.clone();
  }
  CHECK(a.m.lt(0).any().item<bool>());
}

TEST_CASE("adamw operators: 8-bit moments are coded as by the kernel") {
  state a{random_tensor({n}, 1), at::full({n}, 127, at::kByte), at::zeros({n}, at::kByte), at::zeros({6}),
          at::zeros({6})};
  state b = a.clone();
  for (std::uint64_t step = 0; step < 4; ++step) {
    at::Tensor g = random_tensor({n}, 10 + step) * random_tensor({n}, 20 + step).pow(4);
    g.narrow(0, 256, 256).zero_();
    cpu::adamw_8bit(data<float>(a.p), data<float>(g), data<std::uint8_t>(a.m), data<std::uint8_t>(a.v),
                    data<float>(a.m_absmax), data<float>(a.v_absmax), n, numbers);
    adamw_8bit_by_operators(b.p, g, b.m, b.v, b.m_absmax, b.v_absmax, numbers);
    CHECK(largest_difference(a.p, b.p) < 1e-6);
    CHECK(largest_difference(a.m_absmax, b.m_absmax) < 1e-6);
    CHECK(largest_difference(a.v_absmax, b.v_absmax) < 1e-3);  // of numbers up to some hundred
    CHECK(a.m.ne(b.m).sum().item<std::int64_t>() < n / 100);
    CHECK(a.v.ne(b.v).sum().item<std::int64_t>() < n / 100);
    b = a.clone();
  }
  const at::Tensor m = decode_moment(a.m, a.m_absmax, cpu::signed_dynamic_map());
  REQUIRE(m.numel() == n);
  CHECK(m.narrow(0, 256, 256).abs().sum().item<double>() == 0);
  const std::int64_t last = n - 1;
  const auto code = a.m[last].item<std::uint8_t>();
  CHECK(m[last].item<float>() == cpu::signed_dynamic_map().values[code] * a.m_absmax[5].item<float>());
}
