#pragma once

#include <cstdint>

#include "chat_template/values/sandbox.hpp"
#include "chat_template/values/value.hpp"

/// Python's arithmetic. All throw `failure` with Python's message where Python raises, and where an integer leaves 64
/// bits.
namespace coho::trainer::jinja {

enum class binary_operator : std::uint8_t { add, subtract, multiply, divide, floor_divide, modulo, power };

/// `left op right`; of a text `%` formats.
value apply_binary_operator(sandbox& box, binary_operator op, const value& left, const value& right);
/// `-operand`.
value negate(const value& operand);
/// `+operand`: a boolean becomes an integer.
value unary_plus(const value& operand);

}  // namespace coho::trainer::jinja
