#include <cmath>
#include <string>

#include "chat_template/builtins/format.hpp"
#include "chat_template/builtins/markup.hpp"
#include "chat_template/values/operators.hpp"

namespace coho::trainer::jinja {

namespace {

constexpr std::string_view symbol(binary_operator op) {
  constexpr std::string_view symbols[] = {"+", "-", "*", "/", "//", "%", "** or pow()"};
  return symbols[static_cast<std::size_t>(op)];
}

[[noreturn]] void refuse_types(binary_operator op, const value& left, const value& right) {
  throw failure("unsupported operand type(s) for " + std::string(symbol(op)) + ": '" + std::string(type_name(left)) +
                "' and '" + std::string(type_name(right)) + "'");
}

void refuse_overflow(bool overflow) {
  if (overflow) throw failure("an integer of more than 64 bits is not supported");
}

std::int64_t floor_quotient(std::int64_t a, std::int64_t b) {
  refuse_overflow(a == INT64_MIN && b == -1);
  const auto quotient = a / b;
  return a % b != 0 && ((a < 0) != (b < 0)) ? quotient - 1 : quotient;
}

std::int64_t floor_remainder(std::int64_t a, std::int64_t b) {
  if (b == -1) return 0;
  const auto remainder = a % b;
  return remainder != 0 && ((remainder < 0) != (b < 0)) ? remainder + b : remainder;
}

double real_remainder(double a, double b) {
  double out = std::fmod(a, b);
  if (out != 0 ? (out < 0) != (b < 0) : false) out += b;
  return out == 0 ? std::copysign(0.0, b) : out;
}

double real_quotient(double a, double b) {
  // As Python: from the remainder, so that it fits it.
  const double remainder = std::fmod(a, b);
  double quotient = (a - remainder) / b;
  if (remainder != 0 && (remainder < 0) != (b < 0)) quotient -= 1;
  if (quotient == 0) return std::copysign(0.0, a / b);
  const double floored = std::floor(quotient);
  return quotient - floored > 0.5 ? floored + 1 : floored;
}

value integer_power(std::int64_t base, std::int64_t exponent) {
  if (exponent < 0) {
    if (base == 0) throw failure("0.0 cannot be raised to a negative power");
    return value::real(std::pow(static_cast<double>(base), static_cast<double>(exponent)));
  }
  std::int64_t out = 1;
  bool overflow = false;
  for (bool last = false; exponent > 0 && !overflow;) {
    if ((exponent & 1) != 0) overflow = __builtin_mul_overflow(out, base, &out);
    exponent >>= 1;
    last = exponent == 0;
    if (!last && __builtin_mul_overflow(base, base, &base)) overflow = true;
  }
  refuse_overflow(overflow);
  return value::integer(out);
}

value integers(binary_operator op, std::int64_t a, std::int64_t b) {
  std::int64_t out = 0;
  const bool divides =
      op == binary_operator::divide || op == binary_operator::floor_divide || op == binary_operator::modulo;
  if (divides && b == 0)
    throw failure(op == binary_operator::divide ? "division by zero" : "integer division or modulo by zero");
  switch (op) {
    case binary_operator::add:
      refuse_overflow(__builtin_add_overflow(a, b, &out));
      return value::integer(out);
    case binary_operator::subtract:
      refuse_overflow(__builtin_sub_overflow(a, b, &out));
      return value::integer(out);
    case binary_operator::multiply:
      refuse_overflow(__builtin_mul_overflow(a, b, &out));
      return value::integer(out);
    case binary_operator::divide:
      return value::real(static_cast<double>(static_cast<long double>(a) / static_cast<long double>(b)));
    case binary_operator::floor_divide:
      return value::integer(floor_quotient(a, b));
    case binary_operator::modulo:
      return value::integer(floor_remainder(a, b));
    case binary_operator::power:
      return integer_power(a, b);
  }
  return {};
}

value reals(binary_operator op, double a, double b) {
  const bool divides =
      op == binary_operator::divide || op == binary_operator::floor_divide || op == binary_operator::modulo;
  if (divides && b == 0)
    throw failure(op == binary_operator::divide         ? "float division by zero"
                  : op == binary_operator::floor_divide ? "float floor division by zero"
                                                        : "float modulo");
  switch (op) {
    case binary_operator::add:
      return value::real(a + b);
    case binary_operator::subtract:
      return value::real(a - b);
    case binary_operator::multiply:
      return value::real(a * b);
    case binary_operator::divide:
      return value::real(a / b);
    case binary_operator::floor_divide:
      return value::real(real_quotient(a, b));
    case binary_operator::modulo:
      return value::real(real_remainder(a, b));
    case binary_operator::power: {
      if (a == 0 && b < 0) throw failure("0.0 cannot be raised to a negative power");
      const double out = std::pow(a, b);
      if (std::isnan(out) && !std::isnan(a) && !std::isnan(b)) throw failure("complex numbers are not supported");
      if (std::isinf(out) && std::isfinite(a) && std::isfinite(b)) throw failure("Numerical result out of range");
      return value::real(out);
    }
  }
  return {};
}

value repeated(sandbox& box, const value& repeated, std::int64_t times) {
  const auto count = static_cast<std::size_t>(times < 0 ? 0 : times);
  if (repeated.is(kind::text)) {
    const auto& words = repeated.text();
    if (count != 0 && words.size() > box.limits().string_bytes / count)
      box.require_string(box.limits().string_bytes + 1);
    box.work(words.size() * count);
    box.require_string(words.size() * count);
    std::string out;
    out.reserve(words.size() * count);
    for (std::size_t i = 0; i < count && !words.empty(); ++i) out += words;
    return box.text(std::move(out), repeated.is_markup());
  }
  const auto& items = repeated.items();
  if (count != 0 && items.size() > box.limits().memory_bytes / count) box.require_items(box.limits().memory_bytes);
  box.require_items(items.size() * count);
  box.step(items.size() * count);
  std::vector<value> out;
  out.reserve(items.size() * count);
  for (std::size_t i = 0; i < count && !items.empty(); ++i) out.insert(out.end(), items.begin(), items.end());
  return box.sequence(repeated.kind(), std::move(out));
}

value sum(sandbox& box, const value& left, const value& right) {
  if (left.is(kind::text) && right.is(kind::text)) {
    const auto size = left.text().size() + right.text().size();
    box.work(size);
    box.require_string(size);
    if (!left.is_markup() && !right.is_markup()) return box.text(left.text() + right.text());
    return box.text(as_markup(left) + as_markup(right), true);
  }
  if (left.is_sequence() && left.kind() == right.kind()) {
    const auto size = left.items().size() + right.items().size();
    box.require_items(size);
    box.step(size);
    std::vector<value> out;
    out.reserve(size);
    out.insert(out.end(), left.items().begin(), left.items().end());
    out.insert(out.end(), right.items().begin(), right.items().end());
    return box.sequence(left.kind(), std::move(out));
  }
  if (left.is(kind::text) || left.is_sequence()) {
    const std::string type(type_name(left));
    const std::string verb = left.is(kind::text) ? "str" : type;
    throw failure("can only concatenate " + verb + " (not \"" + std::string(type_name(right)) + "\") to " + type);
  }
  refuse_types(binary_operator::add, left, right);
}

}  // namespace

value binary(sandbox& box, binary_operator op, const value& left, const value& right) {
  if (op == binary_operator::modulo && left.is(kind::text)) {
    if (left.is_markup()) throw failure("formatting a safe or escaped text is not supported");
    return box.text(percent_format(box, left.text(), right));
  }
  if (left.is_undefined()) refuse_undefined(left);
  if (right.is_undefined()) refuse_undefined(right);
  if (left.is_integral() && right.is_integral()) return integers(op, left.integral(), right.integral());
  if (left.is_number() && right.is_number()) return reals(op, left.number(), right.number());
  if (op == binary_operator::add) return sum(box, left, right);
  if (op == binary_operator::multiply) {
    const auto repeats = [](const value& a, const value& b) {
      return (a.is(kind::text) || a.is_sequence()) && b.is_integral();
    };
    if (repeats(left, right)) return repeated(box, left, right.integral());
    if (repeats(right, left)) return repeated(box, right, left.integral());
  }
  refuse_types(op, left, right);
}

value negative(const value& operand) {
  if (operand.is_undefined()) refuse_undefined(operand);
  if (operand.is_integral()) return integers(binary_operator::subtract, 0, operand.integral());
  if (operand.is(kind::real)) return value::real(-operand.number());
  throw failure("bad operand type for unary -: '" + std::string(type_name(operand)) + "'");
}

value positive(const value& operand) {
  if (operand.is_undefined()) refuse_undefined(operand);
  if (operand.is_integral()) return value::integer(operand.integral());
  if (operand.is(kind::real)) return operand;
  throw failure("bad operand type for unary +: '" + std::string(type_name(operand)) + "'");
}

}  // namespace coho::trainer::jinja
