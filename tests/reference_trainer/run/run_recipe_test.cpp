#include "run/run_recipe.hpp"

#include "support/catch.hpp"
#include "support/temporary_directory.hpp"

using namespace coho::trainer;
using namespace coho::test;

TEST_CASE("run_recipe: the records of a run are its file, whole or partial") {
  const temporary_directory folder;
  const auto out = folder / "a.jsonl";
  CHECK_FALSE(has_records(out));
  CHECK_FALSE(has_records({}));
  write_bytes(folder / "a.jsonl.partial", "");
  CHECK(has_records(out));
  CHECK(recipe_beside_file(out) == folder / "a.jsonl.toml");
}

TEST_CASE("run_recipe: a run that leaves no records leaves no recipe, nor a folder of its own") {
  const temporary_directory folder;
  const config options;
  { const records_recipe recipe(options, folder / "new/a.jsonl"); }
  CHECK_FALSE(std::filesystem::exists(folder / "new"));
  {
    const records_recipe recipe(options, folder / "new/a.jsonl");
    write_bytes(folder / "new/a.jsonl", "{}\n");
  }
  CHECK(std::filesystem::exists(folder / "new/a.jsonl.toml"));
}
