#pragma once

/// The version of the library. What it promises: docs/versions.md. The inline namespace of all headers bears the major
/// number (tools/check_includes compares them). A program may compare the numbers:
///
///     static_assert(COHO_VERSION_MAJOR == 0 && COHO_VERSION_MINOR >= 1);
#define COHO_VERSION_MAJOR 0
#define COHO_VERSION_MINOR 1
#define COHO_VERSION_PATCH 0

namespace coho::inline v0_1 {

/// The same as text.
inline constexpr const char* version = "0.1.0";

}  // namespace coho::inline v0_1
