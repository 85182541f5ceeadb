#include "program/find_recipe.hpp"

#include <filesystem>
#include <string>
#include <vector>

#include <coho/error.hpp>

#include "support/catch.hpp"
#include "support/shared_data.hpp"
#include "support/temporary_directory.hpp"

using namespace coho::trainer;
using namespace coho::test;
using Catch::Matchers::ContainsSubstring;

TEST_CASE("find_recipe: by path, by name in a folder, and never a folder where a recipe has its name") {
  const temporary_directory folder;
  std::filesystem::create_directories(folder / "recipes" / "own");
  write_bytes(folder / "recipes" / "small.toml", "seed = 1\n");
  write_bytes(folder / "given.toml", "seed = 2\n");
  const std::vector<std::filesystem::path> folders{folder / "recipes"};
  const auto given = (folder / "given.toml").string();
  CHECK(find_recipe(given, folders) == given);
  for (const std::string name : {"small", "small.toml", "recipes/small.toml"})
    CHECK(find_recipe(name, folders) == folder / "recipes" / "small.toml");
  CHECK(find_recipe((folder / "recipes" / "own").string(), folders) == folder / "recipes" / "own");
}

TEST_CASE("find_recipe: none is refused with the nearest name, or with what may be given") {
  const temporary_directory folder;
  write_bytes(folder / "small.toml", "seed = 1\n");
  const std::vector<std::filesystem::path> folders{folder.path()};
  CHECK_THROWS_WITH(find_recipe("smal", folders), "smal: no such recipe; did you mean the built-in recipe small?");
  CHECK_THROWS_WITH(find_recipe("nope", folders),
                    "nope: no such recipe; give the path of a TOML file, or the name of a built-in recipe");
  CHECK_THROWS_AS(find_recipe("nope", folders), coho::file_error);
}
