#pragma once

// Catch2 in either of its shapes: version 2 is one header, version 3 is a library. Tests write to what both have:
// the assertion macros, generators, template test cases, `Approx`, and matchers under their version 3 names.
#if __has_include(<catch2/catch_all.hpp>)

#include <catch2/catch_all.hpp>

using Catch::Approx;

#else

#include <catch2/catch.hpp>

namespace Catch::Matchers {

inline auto ContainsSubstring(const std::string& text, CaseSensitive::Choice sensitivity = CaseSensitive::Yes) {
  return Contains(text, sensitivity);
}

}  // namespace Catch::Matchers

#endif
