#pragma once

#include <cstddef>

namespace coho::trainer {

/// What rendering a chat template may use. Beyond a bound rendering ends with a `template_error` that names it.
struct template_limits {
  std::size_t output_bytes = std::size_t{16} << 20;  ///< of the rendered text
  std::size_t string_bytes = std::size_t{4} << 20;   ///< of one string, and so of what `"a" * n` makes
  std::size_t memory_bytes = std::size_t{24} << 20;  ///< of all values that exist at one time, without the variables
  std::size_t steps = 4'000'000;      ///< expressions and statements evaluated, items visited, 16 bytes of text read
  std::size_t depth = 300;            ///< expressions, statements and macros within each other
  std::size_t range_items = 100'000;  ///< of one `range`, as in Jinja's sandbox
};

}  // namespace coho::trainer
