#include "optimization/moment_type.hpp"

#include <cstddef>

#include <coho/error.hpp>

namespace coho::trainer {

std::string_view moment_type_name(moment_type type) { return option_names(type)[static_cast<std::size_t>(type)]; }

moment_type parse_moment_type(std::string_view name) {
  for (const auto type : {moment_type::float32, moment_type::bfloat16, moment_type::eight_bit})
    if (moment_type_name(type) == name) return type;
  throw option_error("adamw.moments", name, "\"float32\", \"bfloat16\" or \"8bit\"");
}

}  // namespace coho::trainer
