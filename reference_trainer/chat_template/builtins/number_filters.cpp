#include <cmath>
#include <cstdio>
#include <string>

#include "chat_template/builtins/arithmetic.hpp"
#include "chat_template/builtins/filters.hpp"
#include "chat_template/builtins/parameters.hpp"
#include "chat_template/values/python_number.hpp"

namespace coho::trainer::jinja {

// A name for this file, so that several files can be compiled as one.
namespace number_filtering {
namespace {

// `int(x)` of a float, which cuts off what is after the point; none for those that raise ValueError.
std::optional<value> truncate_real(double x, bool infinity_raises) {
  if (std::isnan(x)) return std::nullopt;
  if (std::isinf(x)) {
    if (infinity_raises) throw failure("cannot convert float infinity to integer");
    return std::nullopt;
  }
  if (std::fabs(x) >= 0x1p63) throw failure("an integer of more than 64 bits is not supported");
  return value::integer(static_cast<std::int64_t>(x));
}

// int(default=0, base=10): the default where Python raises. Throws `failure` beyond 64 bits.
value int_filter(sandbox& box, const value& input, const arguments& given) {
  const parameters p("int", given, {"default", "base"}, 0);
  if (input.is_undefined()) refuse_undefined(input);
  const auto otherwise = p.is_given(0) ? p[0] : value::integer(0);
  if (input.is_integral()) return value::integer(input.integral());
  if (input.is_kind(kind::real)) return truncate_real(input.number(), true).value_or(otherwise);
  if (!input.is_kind(kind::text)) return otherwise;
  box.count_bytes(input.text().size());
  const bool usable = !p.is_given(1) || p[1].is_integral();  // with another base every text is one that cannot be read
  const auto base = usable ? std::clamp<std::int64_t>(p.integer(1, 10), -1, 99) : -1;
  if (const auto read = parse_integer(input.text(), static_cast<int>(base))) return value::integer(*read);
  // As Jinja: "42.23" is 42.
  const auto real = parse_real(input.text());
  return real ? truncate_real(*real, false).value_or(otherwise) : otherwise;
}

// float(default=0.0): the default where Python raises.
value float_filter(sandbox& box, const value& input, const arguments& given) {
  const parameters p("float", given, {"default"}, 0);
  if (input.is_undefined()) refuse_undefined(input);
  const auto otherwise = p.is_given(0) ? p[0] : value::real(0);
  if (input.is_number()) return value::real(input.number());
  if (!input.is_kind(kind::text)) return otherwise;
  box.count_bytes(input.text().size());
  const auto read = parse_real(input.text());
  return read ? value::real(*read) : otherwise;
}

// abs. Throws `failure` for what is not a number.
value abs_filter(sandbox&, const value& input, const arguments& given) {
  const parameters none("abs", given, {}, 0);
  if (input.is_undefined()) refuse_undefined(input);
  if (input.is_kind(kind::real)) return value::real(std::fabs(input.number()));
  if (!input.is_integral()) throw failure("bad operand type for abs(): '" + std::string(type_name(input)) + "'");
  return input.integral() < 0 ? negate(input) : value::integer(input.integral());
}

// Half to even, as Python: exact for floats, whose decimal digits are all printed.
double round_real(double x, std::int64_t digits) {
  if (!std::isfinite(x) || digits > 400) return x;
  if (digits < -400) return std::copysign(0.0, x);
  if (digits >= 0) {
    char buffer[1200];
    std::snprintf(buffer, sizeof buffer, "%.*f", static_cast<int>(digits), x);
    return std::strtod(buffer, nullptr);
  }
  const double scale = std::pow(10.0, static_cast<double>(-digits));
  return std::nearbyint(x / scale) * scale;
}

// Half to even; `digits` after the point, before it if negative.
value round_integer(sandbox& box, std::int64_t x, std::int64_t digits) {
  if (digits >= 0) return value::integer(x);
  if (digits < -19) return value::integer(0);
  __extension__ using wide = __int128;
  wide scale = 1;
  for (auto i = digits; i < 0; ++i) scale *= 10;
  wide quotient = wide(x) / scale, remainder = wide(x) % scale;
  if (remainder < 0) quotient -= 1, remainder += scale;
  if (2 * remainder > scale || (2 * remainder == scale && quotient % 2 != 0)) quotient += 1;
  const wide out = quotient * scale;
  if (out > INT64_MAX || out < INT64_MIN) throw failure("an integer of more than 64 bits is not supported");
  box.count_steps();
  return value::integer(static_cast<std::int64_t>(out));
}

// round(precision=0, method='common'): an integer stays one with `common` only.
value round_filter(sandbox& box, const value& input, const arguments& given) {
  const parameters p("round", given, {"precision", "method"}, 0);
  const bool whole = p.is_given(0) && p[0].is_none();
  const auto precision = whole ? 0 : p.integer(0, 0);
  const auto method = p.text(1, "common");
  if (input.is_undefined()) refuse_undefined(input);
  if (method != "common" && method != "ceil" && method != "floor")
    throw failure("method must be common, ceil or floor");
  if (!input.is_number()) throw failure("type " + std::string(type_name(input)) + " doesn't define __round__ method");
  box.count_steps(50);  // for the digits of a large number
  // Python's round(x, None) is an integer.
  if (whole && method == "common") return truncate_real(round_real(input.number(), 0), true).value_or(input);
  if (whole) throw failure("unsupported operand type(s) for ** or pow(): 'int' and 'NoneType'");
  if (method == "common")
    return input.is_integral() ? round_integer(box, input.integral(), precision)
                               : value::real(round_real(input.number(), precision));
  const auto scale = apply_binary_operator(box, binary_operator::power, value::integer(10), value::integer(precision));
  const auto scaled = apply_binary_operator(box, binary_operator::multiply, input, scale).number();
  const auto moved = truncate_real(method == "ceil" ? std::ceil(scaled) : std::floor(scaled), true);
  if (!moved) throw failure("cannot convert float NaN to integer");
  return apply_binary_operator(box, binary_operator::divide, *moved, scale);
}

constexpr named_filter filters[] = {
    {"int", int_filter}, {"float", float_filter}, {"abs", abs_filter}, {"round", round_filter}};

}  // namespace
}  // namespace number_filtering

std::span<const named_filter> number_filters() { return number_filtering::filters; }

}  // namespace coho::trainer::jinja
