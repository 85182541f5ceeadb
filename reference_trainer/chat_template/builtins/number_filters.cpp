#include <cmath>
#include <cstdio>
#include <string>

#include "chat_template/builtins/filters.hpp"
#include "chat_template/builtins/parameters.hpp"
#include "chat_template/values/operators.hpp"
#include "chat_template/values/python_number.hpp"

namespace coho::trainer::jinja {

// A name for this file, so that several files can be compiled as one.
namespace number_filtering {
namespace {

// `int(x)` of a float, which cuts off what is after the point; none for those that raise ValueError.
std::optional<value> whole(double x, bool infinity_raises) {
  if (std::isnan(x)) return std::nullopt;
  if (std::isinf(x)) {
    if (infinity_raises) throw failure("cannot convert float infinity to integer");
    return std::nullopt;
  }
  if (std::fabs(x) >= 0x1p63) throw failure("an integer of more than 64 bits is not supported");
  return value::integer(static_cast<std::int64_t>(x));
}

value to_integer(sandbox& box, const value& input, const arguments& given) {
  const parameters p("int", given, {"default", "base"}, 0);
  if (input.is_undefined()) refuse_undefined(input);
  const auto otherwise = p.has(0) ? p[0] : value::integer(0);
  if (input.is_integral()) return value::integer(input.integral());
  if (input.is(kind::real)) return whole(input.number(), true).value_or(otherwise);
  if (!input.is(kind::text)) return otherwise;
  box.work(input.text().size());
  if (const auto read = read_integer(input.text(), static_cast<int>(p.integer(1, 10)))) return value::integer(*read);
  // As Jinja: "42.23" is 42.
  const auto real = read_real(input.text());
  return real ? whole(*real, false).value_or(otherwise) : otherwise;
}

value to_real(sandbox& box, const value& input, const arguments& given) {
  const parameters p("float", given, {"default"}, 0);
  if (input.is_undefined()) refuse_undefined(input);
  const auto otherwise = p.has(0) ? p[0] : value::real(0);
  if (input.is_number()) return value::real(input.number());
  if (!input.is(kind::text)) return otherwise;
  box.work(input.text().size());
  const auto read = read_real(input.text());
  return read ? value::real(*read) : otherwise;
}

value absolute(sandbox&, const value& input, const arguments& given) {
  const parameters none("abs", given, {}, 0);
  if (input.is_undefined()) refuse_undefined(input);
  if (input.is(kind::real)) return value::real(std::fabs(input.number()));
  if (!input.is_integral()) throw failure("bad operand type for abs(): '" + std::string(type_name(input)) + "'");
  return input.integral() < 0 ? negative(input) : value::integer(input.integral());
}

// Half to even, as Python: exact for floats, whose decimal digits are all printed.
double rounded_real(double x, std::int64_t digits) {
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

value rounded_integer(sandbox& box, std::int64_t x, std::int64_t digits) {
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
  box.step();
  return value::integer(static_cast<std::int64_t>(out));
}

value round(sandbox& box, const value& input, const arguments& given) {
  const parameters p("round", given, {"precision", "method"}, 0);
  const auto precision = p.integer(0, 0);
  const auto method = p.text(1, "common");
  if (input.is_undefined()) refuse_undefined(input);
  if (method != "common" && method != "ceil" && method != "floor")
    throw failure("method must be common, ceil or floor");
  if (!input.is_number()) throw failure("type " + std::string(type_name(input)) + " doesn't define __round__ method");
  box.step(50);  // for the digits of a large number
  if (method == "common")
    return input.is_integral() ? rounded_integer(box, input.integral(), precision)
                               : value::real(rounded_real(input.number(), precision));
  const auto scale = binary(box, binary_operator::power, value::integer(10), value::integer(precision));
  const auto scaled = binary(box, binary_operator::multiply, input, scale).number();
  const auto moved = whole(method == "ceil" ? std::ceil(scaled) : std::floor(scaled), true);
  if (!moved) throw failure("cannot convert float NaN to integer");
  return binary(box, binary_operator::divide, *moved, scale);
}

constexpr named_filter filters[] = {{"int", to_integer}, {"float", to_real}, {"abs", absolute}, {"round", round}};

}  // namespace
}  // namespace number_filtering

std::span<const named_filter> number_filters() { return number_filtering::filters; }

}  // namespace coho::trainer::jinja
