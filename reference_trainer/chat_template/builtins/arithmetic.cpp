#include "chat_template/builtins/arithmetic.hpp"

#include <cmath>
#include <string>

#include "chat_template/builtins/format.hpp"
#include "chat_template/values/markup.hpp"

namespace coho::trainer::jinja {

namespace {

// As Python's messages name the operator.
constexpr std::string_view operator_symbol(binary_operator op) {
  constexpr std::string_view symbols[] = {"+", "-", "*", "/", "//", "%", "** or pow()"};
  return symbols[static_cast<std::size_t>(op)];
}

// Throws Python's TypeError as a `failure`.
[[noreturn]] void refuse_operand_types(binary_operator op, const value& left, const value& right) {
  throw failure("unsupported operand type(s) for " + std::string(operator_symbol(op)) + ": '" +
                std::string(type_name(left)) + "' and '" + std::string(type_name(right)) + "'");
}

// Python's integers have no bound, those here 64 bits: beyond them a rendering fails.
void require_no_overflow(bool overflow) {
  if (overflow) throw failure("an integer of more than 64 bits is not supported");
}

// Python's `a // b`: rounded down, not towards zero. `b` is not 0.
std::int64_t floor_quotient(std::int64_t a, std::int64_t b) {
  require_no_overflow(a == INT64_MIN && b == -1);
  const auto quotient = a / b;
  return a % b != 0 && ((a < 0) != (b < 0)) ? quotient - 1 : quotient;
}

// Python's `a % b`: with the sign of `b`, which is not 0.
std::int64_t floor_remainder(std::int64_t a, std::int64_t b) {
  if (b == -1) return 0;
  const auto remainder = a % b;
  return remainder != 0 && ((remainder < 0) != (b < 0)) ? remainder + b : remainder;
}

// Python's `a % b` of floats: with the sign of `b`, a zero too.
double real_floor_remainder(double a, double b) {
  double out = std::fmod(a, b);
  if (out != 0 ? (out < 0) != (b < 0) : false) out += b;
  return out == 0 ? std::copysign(0.0, b) : out;
}

// Python's `a // b` of floats: from the remainder, so that the two fit.
double real_floor_quotient(double a, double b) {
  // As Python: from the remainder, so that it fits it.
  const double remainder = std::fmod(a, b);
  double quotient = (a - remainder) / b;
  if (remainder != 0 && (remainder < 0) != (b < 0)) quotient -= 1;
  if (quotient == 0) return std::copysign(0.0, a / b);
  const double floored = std::floor(quotient);
  return quotient - floored > 0.5 ? floored + 1 : floored;
}

// By squaring. A negative exponent gives a float, as in Python.
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
  require_no_overflow(overflow);
  return value::integer(out);
}

// Throws `failure` for a division by zero and beyond 64 bits.
value integer_operation(binary_operator op, std::int64_t a, std::int64_t b) {
  std::int64_t out = 0;
  const bool divides =
      op == binary_operator::divide || op == binary_operator::floor_divide || op == binary_operator::modulo;
  if (divides && b == 0)
    throw failure(op == binary_operator::divide ? "division by zero" : "integer division or modulo by zero");
  switch (op) {
    case binary_operator::add:
      require_no_overflow(__builtin_add_overflow(a, b, &out));
      return value::integer(out);
    case binary_operator::subtract:
      require_no_overflow(__builtin_sub_overflow(a, b, &out));
      return value::integer(out);
    case binary_operator::multiply:
      require_no_overflow(__builtin_mul_overflow(a, b, &out));
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

// Throws `failure` where Python raises ZeroDivisionError or OverflowError, or gives a complex number.
value real_operation(binary_operator op, double a, double b) {
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
      return value::real(real_floor_quotient(a, b));
    case binary_operator::modulo:
      return value::real(real_floor_remainder(a, b));
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

// A text, list or tuple so many times; none if `times` is negative. Throws `failure` at the bounds of the sandbox,
// before anything is made.
value repeat_sequence(sandbox& box, const value& repeated, std::int64_t times) {
  const auto count = static_cast<std::size_t>(times < 0 ? 0 : times);
  if (repeated.is_kind(kind::text)) {
    const auto& words = repeated.text();
    if (count != 0 && words.size() > box.limits().string_bytes / count)
      box.require_string_fits(box.limits().string_bytes + 1);
    box.count_bytes(words.size() * count);
    box.require_string_fits(words.size() * count);
    std::string out;
    out.reserve(words.size() * count);
    for (std::size_t i = 0; i < count && !words.empty(); ++i) out += words;
    return box.make_text(std::move(out), repeated.is_markup());
  }
  const auto& items = repeated.items();
  if (count != 0 && items.size() > box.limits().memory_bytes / count) box.require_items_fit(box.limits().memory_bytes);
  box.require_items_fit(items.size() * count);
  box.count_steps(items.size() * count);
  std::vector<value> out;
  out.reserve(items.size() * count);
  for (std::size_t i = 0; i < count && !items.empty(); ++i) out.insert(out.end(), items.begin(), items.end());
  return box.make_sequence(repeated.kind(), std::move(out));
}

// Two texts, two lists or two tuples. Of texts one of which is Markup, the other is escaped.
value concatenate_sequences(sandbox& box, const value& left, const value& right) {
  if (left.is_kind(kind::text) && right.is_kind(kind::text)) {
    const auto size = left.text().size() + right.text().size();
    box.count_bytes(size);
    box.require_string_fits(size);
    if (!left.is_markup() && !right.is_markup()) return box.make_text(left.text() + right.text());
    return box.make_text(markup_text(left) + markup_text(right), true);
  }
  if (left.is_sequence() && left.kind() == right.kind()) {
    const auto size = left.items().size() + right.items().size();
    box.require_items_fit(size);
    box.count_steps(size);
    std::vector<value> out;
    out.reserve(size);
    out.insert(out.end(), left.items().begin(), left.items().end());
    out.insert(out.end(), right.items().begin(), right.items().end());
    return box.make_sequence(left.kind(), std::move(out));
  }
  if (left.is_kind(kind::text) || left.is_sequence()) {
    const std::string type(type_name(left));
    const std::string verb = left.is_kind(kind::text) ? "str" : type;
    throw failure("can only concatenate " + verb + " (not \"" + std::string(type_name(right)) + "\") to " + type);
  }
  refuse_operand_types(binary_operator::add, left, right);
}

}  // namespace

value apply_binary_operator(sandbox& box, binary_operator op, const value& left, const value& right) {
  if (op == binary_operator::modulo && left.is_kind(kind::text)) {
    if (left.is_markup()) throw failure("formatting a safe or escaped text is not supported");
    return box.make_text(percent_format(box, left.text(), right));
  }
  if (left.is_undefined()) refuse_undefined(left);
  if (right.is_undefined()) refuse_undefined(right);
  if (left.is_integral() && right.is_integral()) return integer_operation(op, left.integral(), right.integral());
  if (left.is_number() && right.is_number()) return real_operation(op, left.number(), right.number());
  if (op == binary_operator::add) return concatenate_sequences(box, left, right);
  if (op == binary_operator::multiply) {
    const auto repeats = [](const value& a, const value& b) {
      return (a.is_kind(kind::text) || a.is_sequence()) && b.is_integral();
    };
    if (repeats(left, right)) return repeat_sequence(box, left, right.integral());
    if (repeats(right, left)) return repeat_sequence(box, right, left.integral());
  }
  refuse_operand_types(op, left, right);
}

value negate(const value& operand) {
  if (operand.is_undefined()) refuse_undefined(operand);
  if (operand.is_integral()) return integer_operation(binary_operator::subtract, 0, operand.integral());
  if (operand.is_kind(kind::real)) return value::real(-operand.number());
  throw failure("bad operand type for unary -: '" + std::string(type_name(operand)) + "'");
}

value unary_plus(const value& operand) {
  if (operand.is_undefined()) refuse_undefined(operand);
  if (operand.is_integral()) return value::integer(operand.integral());
  if (operand.is_kind(kind::real)) return operand;
  throw failure("bad operand type for unary +: '" + std::string(type_name(operand)) + "'");
}

}  // namespace coho::trainer::jinja
