#include "run/output_path.hpp"

#include "config/config.hpp"
#include "run/report_error.hpp"
#include "support/catch.hpp"
#include "support/temporary_directory.hpp"

using namespace coho::trainer;
using namespace coho::test;
using Catch::Matchers::ContainsSubstring;

TEST_CASE("output file: what a stage reads it does not write, by whatever name it goes") {
  const temporary_directory folder;
  write_bytes(folder / "a.jsonl", "{}\n");
  std::filesystem::create_symlink(folder / "a.jsonl", folder / "link.jsonl");
  const auto out = folder / "a.jsonl";
  CHECK_THROWS_WITH(refuse_same_file("out", out, {folder / "other.jsonl", folder / "./a.jsonl"}),
                    ContainsSubstring("out = ") && ContainsSubstring("is a file that this stage reads"));
  CHECK_THROWS_AS(refuse_same_file("out", folder / "link.jsonl", {out}), config_error);
  CHECK_NOTHROW(refuse_same_file("out", folder / "new.jsonl", {out, {}, folder / "new.jsonl"}));
  CHECK_NOTHROW(refuse_same_file("out", {}, {out, {}}));
}

TEST_CASE("output file: the folder of a file is made, or told why not") {
  const temporary_directory folder;
  create_parent_folder(folder / "one/two/report.json");
  CHECK(std::filesystem::is_directory(folder / "one/two"));
  CHECK_NOTHROW(create_parent_folder("report.json"));
  CHECK_NOTHROW(create_parent_folder({}));
  write_bytes(folder / "file", "");
  CHECK_THROWS_AS(create_parent_folder(folder / "file/report.json"), output_error);
}

TEST_CASE("output_file: the folder of a model is no file, and not that of a model that is read") {
  const temporary_directory folder;
  write_bytes(folder / "a", "");
  CHECK_THROWS_WITH(check_output_folder(folder / "a", {}),
                    "out = " + (folder / "a").string() + " is a file: give the name of a folder");
  CHECK_THROWS_AS(check_output_folder(folder.path(), {"", folder.path()}), config_error);
  CHECK_NOTHROW(check_output_folder(folder / "new", {folder.path(), folder / "missing"}));
}
