#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include <coho/version.hpp>

#include "support/catch.hpp"

using Catch::Matchers::ContainsSubstring;

namespace {
std::string text_of(const char* name) {
  std::ifstream file(std::filesystem::path(COHO_SOURCE_DIR) / name);
  return {std::istreambuf_iterator<char>(file), {}};
}
}  // namespace

TEST_CASE("the version is its three numbers") {
  CHECK(std::string(coho::version) == std::to_string(COHO_VERSION_MAJOR) + "." + std::to_string(COHO_VERSION_MINOR) +
                                          "." + std::to_string(COHO_VERSION_PATCH));
}

TEST_CASE("files that state the version agree with the header") {
  const std::string version = coho::version;
  CHECK_THAT(text_of("CITATION.cff"), ContainsSubstring("\nversion: " + version + "\n"));
  CHECK_THAT(text_of("packaging/vcpkg/coho/vcpkg.json"), ContainsSubstring("\"version\": \"" + version + "\""));
}
