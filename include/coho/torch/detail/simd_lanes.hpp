#pragma once

#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#include <coho/math.hpp>

namespace coho::inline v0_1 {

namespace detail {

/// A few numbers in one SIMD register, with the arithmetic that formulas of losses use. No operation throws. For
/// authors of array types.
template <class Number>
struct simd_lanes {
  static constexpr std::size_t count = 16 / sizeof(Number);
  using integer = std::conditional_t<sizeof(Number) == 4, std::int32_t, std::int64_t>;
  typedef Number vector __attribute__((vector_size(16)));
  typedef integer mask __attribute__((vector_size(16)));
  typedef double wide __attribute__((vector_size(128 / sizeof(Number))));

  vector numbers{};

  simd_lanes() = default;
  simd_lanes(double x) : numbers(vector{} + static_cast<Number>(x)) {}  // NOLINT: numbers are broadcast
  /// The numbers of a compiler's vector.
  static simd_lanes from_vector(const vector& x) {
    simd_lanes out;
    out.numbers = x;
    return out;
  }
  /// The first n numbers from memory; the rest are 0.
  [[gnu::always_inline]] static simd_lanes load(const Number* from, std::size_t n) {
    simd_lanes out;
    std::memcpy(&out.numbers, from, n * sizeof(Number));
    return out;
  }
  /// The first n numbers to memory; what follows them is not touched.
  [[gnu::always_inline]] void store(Number* to, std::size_t n) const { std::memcpy(to, &numbers, n * sizeof(Number)); }

  friend simd_lanes operator+(const simd_lanes& a, const simd_lanes& b) { return from_vector(a.numbers + b.numbers); }
  friend simd_lanes operator-(const simd_lanes& a, const simd_lanes& b) { return from_vector(a.numbers - b.numbers); }
  friend simd_lanes operator*(const simd_lanes& a, const simd_lanes& b) { return from_vector(a.numbers * b.numbers); }
  friend simd_lanes operator/(const simd_lanes& a, const simd_lanes& b) { return from_vector(a.numbers / b.numbers); }
  friend simd_lanes operator-(const simd_lanes& a) { return from_vector(-a.numbers); }
  friend mask operator<(const simd_lanes& a, const simd_lanes& b) { return a.numbers < b.numbers; }
  friend mask operator>(const simd_lanes& a, const simd_lanes& b) { return a.numbers > b.numbers; }
  friend mask operator<=(const simd_lanes& a, const simd_lanes& b) { return a.numbers <= b.numbers; }
  friend mask operator>=(const simd_lanes& a, const simd_lanes& b) { return a.numbers >= b.numbers; }
  friend mask operator==(const simd_lanes& a, const simd_lanes& b) { return a.numbers == b.numbers; }
  friend mask operator!=(const simd_lanes& a, const simd_lanes& b) { return a.numbers != b.numbers; }
  /// For each lane a where the condition holds, else b.
  static simd_lanes choose(const mask& condition, const simd_lanes& a, const simd_lanes& b) {
    return from_vector(condition ? a.numbers : b.numbers);
  }

  friend simd_lanes abs(const simd_lanes& x) { return choose(x < 0.0, -x, x); }
  friend simd_lanes exp(const simd_lanes& x) {
    return map(x, [](Number e) { return std::exp(e); });
  }
  friend simd_lanes expm1(const simd_lanes& x) {
    return map(x, [](Number e) { return std::expm1(e); });
  }
  friend simd_lanes log(const simd_lanes& x) {
    return map(x, [](Number e) { return std::log(e); });
  }
  friend simd_lanes rint(const simd_lanes& x) {
    return map(x, [](Number e) { return std::rint(e); });
  }
  friend simd_lanes log1p(const simd_lanes& x) {
    return map(x, [](Number e) { return std::log1p(e); });
  }

 private:
  // f of each lane, by the scalar function of the standard library.
  template <class Function>
  static simd_lanes map(const simd_lanes& x, const Function& f) {
    simd_lanes out;
    for (std::size_t k = 0; k < count; ++k) out.numbers[k] = f(x.numbers[k]);
    return out;
  }
};

}  // namespace detail

template <class Number>
struct array_traits<detail::simd_lanes<Number>> {
  using plain = detail::simd_lanes<Number>;
  using scalar = Number;
  using value = double;
  static constexpr bool host = true;

  // NaN in either operand propagates, as for tensors.
  static plain min(const plain& a, const plain& b) { return plain::choose((b < a) | (b != b), b, a); }
  static plain max(const plain& a, const plain& b) { return plain::choose((a < b) | (b != b), b, a); }
  static plain clamp(const plain& x, double low, double high) {
    return plain::choose(x < low, low, plain::choose(x > high, high, x));
  }
  static plain where(const typename plain::mask& condition, const plain& a, const plain& b) {
    return plain::choose(condition, a, b);
  }
  static plain detach(const plain& x) { return x; }
};

namespace detail {

/// For `exponential` and the logarithm in `logistic`: terms of their series, the position of the exponent's lowest bit,
/// the smallest x whose e^x differs from 0, 1.5·2^(bits of the mantissa), whose addition rounds to an integer, and ln 2
/// in two parts.
template <class Number>
struct exponential_constants;
template <>
struct exponential_constants<float> {
  static constexpr std::size_t exponential_terms = 8, logarithm_terms = 7;
  static constexpr int exponent_at = 23;
  static constexpr double least = -87, to_integer = 0x1.8p23, ln2_high = 0.693359375, ln2_low = -2.12194440e-4;
};
template <>
struct exponential_constants<double> {
  static constexpr std::size_t exponential_terms = 14, logarithm_terms = 16;
  static constexpr int exponent_at = 52;
  static constexpr double least = -708, to_integer = 0x1.8p52, ln2_high = 6.93147180369123816490e-01,
                          ln2_low = 1.90821492927058770002e-10;
};

/// Σ_k x^k/k!, the terms that a number type can hold for |x| ≤ ln(2)/2.
template <class Number, std::size_t... Ks>
simd_lanes<Number> exponential_series(const simd_lanes<Number>& x, std::index_sequence<Ks...>) {
  constexpr std::array<double, sizeof...(Ks)> factors = [] {
    std::array<double, sizeof...(Ks)> out{};
    double factorial = 1;
    for (std::size_t k = 0; k < out.size(); ++k) {
      if (k > 0) factorial *= static_cast<double>(k);
      out[out.size() - 1 - k] = 1 / factorial;
    }
    return out;
  }();
  simd_lanes<Number> sum;
  ((sum = sum * x + factors[Ks]), ...);
  return sum;
}

/// e^x of numbers within ±`least`, by e^x = 2^n·e^r with n an integer and |r| ≤ ln(2)/2; NaN stays NaN.
template <class Number>
[[gnu::always_inline]] inline simd_lanes<Number> exponential(const simd_lanes<Number>& x) {
  using constants = exponential_constants<Number>;
  using vector = simd_lanes<Number>;
  using mask = typename vector::mask;
  // n is in the low bits of `shifted`; as an exponent it is 2^n.
#if defined(__FAST_MATH__) || defined(__ASSOCIATIVE_MATH__)  // the shift would be optimised away
  const vector n = rint(x * 1.4426950408889634), shifted = n + constants::to_integer;
#else
  const vector shifted = x * 1.4426950408889634 + constants::to_integer, n = shifted - constants::to_integer;
#endif
  const vector r = (x - n * constants::ln2_high) - n * constants::ln2_low;
  const mask bits = (std::bit_cast<mask>(shifted.numbers) << constants::exponent_at) +
                    std::bit_cast<typename vector::integer>(Number(1));
  const vector scale = vector::from_vector(std::bit_cast<typename vector::vector>(bits));
  return scale * exponential_series(r, std::make_index_sequence<constants::exponential_terms>{});
}

/// 2·artanh(s)/s = Σ_k 2·x^k/(2k + 1) of x = s² ≤ 1/9.
template <class Number, std::size_t... Ks>
simd_lanes<Number> logarithm_series(const simd_lanes<Number>& x, std::index_sequence<Ks...>) {
  simd_lanes<Number> sum;
  ((sum = sum * x + 2.0 / (2.0 * static_cast<double>(sizeof...(Ks) - Ks) - 1.0)), ...);
  return sum;
}

/// `logistic_terms` of several numbers.
template <class Number>
struct logistic_lanes {
  simd_lanes<Number> softplus, softplus_negated, sigmoid, sigmoid_negated;
};

/// As for a single number; found by argument-dependent lookup.
template <class Number>
[[gnu::always_inline]] inline logistic_lanes<Number> logistic(const simd_lanes<Number>& z) {
  using constants = exponential_constants<Number>;
  using vector = simd_lanes<Number>;
  using mask = typename vector::mask;
  const vector away = -abs(z), x = vector::choose(away < constants::least, constants::least, away);
  const vector e = exponential(x);
  // log(1 + e) = 2·artanh(e/(2 + e))
  const vector major = 1.0 / (1.0 + e), minor = e * major, s = e / (2.0 + e);
  const vector rest = s * logarithm_series(s * s, std::make_index_sequence<constants::logarithm_terms>{});
  const mask below = z < 0.0;
  return {vector::choose(below, 0.0, z) + rest, vector::choose(below, -z, 0.0) + rest,
          vector::choose(below, minor, major), vector::choose(below, major, minor)};
}

}  // namespace detail
}  // namespace coho::inline v0_1
