#pragma once

/// Version of the library, as in `CHANGELOG.md`.
#define COHO_VERSION_MAJOR 0
#define COHO_VERSION_MINOR 1
#define COHO_VERSION_PATCH 0

namespace coho {
inline constexpr const char* version = "0.1.0";
}  // namespace coho
