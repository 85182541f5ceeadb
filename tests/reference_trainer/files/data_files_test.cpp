#include "files/data_files.hpp"

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <string>
#include <vector>

#include <coho/error.hpp>

#include "support/catch.hpp"
#include "support/shared_data.hpp"
#include "support/temporary_directory.hpp"

using namespace coho::test;
using coho::trainer::shipped_file;

namespace {

// COHO_DATA for one scope.
class data_variable {
 public:
  explicit data_variable(const std::string& value) {
    if (const char* old = std::getenv("COHO_DATA")) old_ = old;
    ::setenv("COHO_DATA", value.c_str(), 1);
  }
  ~data_variable() {
    if (old_) {
      ::setenv("COHO_DATA", old_->c_str(), 1);
    } else {
      ::unsetenv("COHO_DATA");
    }
  }

 private:
  std::optional<std::string> old_;
};

}  // namespace

TEST_CASE("data_files: what the program brings is found, and COHO_DATA goes first") {
  const temporary_directory folder;
  for (const char* name : {"prompts/judge.txt", "prompts/reward.txt", "prompts/preference_pretraining.txt",
                           "prompts/inference.txt", "principles/reward_model.json", "recipes/demo.toml"})
    CHECK_FALSE(read_bytes(shipped_file(name)).empty());
  std::filesystem::create_directory(folder / "prompts");
  write_bytes(folder / "prompts/judge.txt", "other");
  const data_variable own(folder.path().string());
  CHECK(shipped_file("prompts/judge.txt") == folder / "prompts/judge.txt");
  CHECK(shipped_file("prompts/reward.txt") != folder / "prompts/reward.txt");
  CHECK_THROWS_WITH(shipped_file("prompts/none.txt"), Catch::Matchers::ContainsSubstring("COHO_DATA"));
}

TEST_CASE("data files: principles by the name of a shipped list, or by a path") {
  CHECK(coho::trainer::find_principle_file("reinforcement") ==
        coho::trainer::shipped_file("principles/reinforcement.json"));
  CHECK(coho::trainer::find_principle_file("reinforcement.json") ==
        coho::trainer::shipped_file("principles/reinforcement.json"));
  CHECK(coho::trainer::find_principle_file("no_such_list") == "no_such_list");
  CHECK(coho::trainer::find_principle_file("elsewhere/reinforcement.json") == "elsewhere/reinforcement.json");
  CHECK(coho::trainer::find_principle_file("").empty());
}

TEST_CASE("data files: a folder of that name hides no shipped list") {
  const temporary_directory folder;
  const struct working_directory {
    std::filesystem::path before = std::filesystem::current_path();
    ~working_directory() { std::filesystem::current_path(before); }
  } afterwards;
  std::filesystem::current_path(folder.path());
  std::filesystem::create_directory("reinforcement");
  CHECK(coho::trainer::find_principle_file("reinforcement") ==
        coho::trainer::shipped_file("principles/reinforcement.json"));
}

TEST_CASE("data files: templates by the name of a shipped one, or by a path") {
  for (const char* name :
       {"inference", "inference_brief", "hhh", "hhh_dromedary", "truthfulqa", "truthfulqa_dromedary"})
    CHECK(coho::trainer::find_prompt_file(name) ==
          coho::trainer::shipped_file("prompts/" + std::string(name) + ".txt"));
  CHECK(coho::trainer::find_prompt_file("inference.txt") == coho::trainer::shipped_file("prompts/inference.txt"));
  CHECK(coho::trainer::find_prompt_file("no_such_template") == "no_such_template");
  CHECK(coho::trainer::find_prompt_file("inference.jsonl") == "inference.jsonl");
  CHECK(coho::trainer::find_principle_file("self_align.jsonl") == "self_align.jsonl");
  CHECK(coho::trainer::find_prompt_file("elsewhere/inference.txt") == "elsewhere/inference.txt");
  CHECK(coho::trainer::find_prompt_file("").empty());
}

TEST_CASE("data files: only a program in its build folder looks into the source tree") {
  const auto source = source_dir() / "reference_trainer";
  const auto looks = [&](const std::filesystem::path& executable) {
    const auto places = coho::trainer::data_folders(executable);
    return std::ranges::find(places, source) != places.end();
  };
  CHECK(looks(std::filesystem::read_symlink("/proc/self/exe")));
  CHECK_FALSE(looks("/opt/coho/bin/coho"));
  CHECK_FALSE(looks(source_dir() / "elsewhere" / "bin" / "coho"));
  CHECK_FALSE(looks({}));
  CHECK(coho::trainer::data_folders("/opt/coho/bin/coho").back() == "/opt/coho/share/coho");
  CHECK_THROWS_WITH(shipped_file("prompts/none.txt"), Catch::Matchers::ContainsSubstring("looked for in ") &&
                                                          Catch::Matchers::ContainsSubstring("share/coho"));
}

TEST_CASE("data files: those below a folder, sorted, without the excluded ones") {
  const temporary_directory folder;
  std::filesystem::create_directory(folder / "b");
  for (const char* name :
       {"c.jsonl", "b/a.json.gz", "a.json", "notes.txt", "own.jsonl", "d.parquet", "b/c.jsonl.zst", "x.zst"})
    write_bytes(folder / name, "");
  using paths = std::vector<std::filesystem::path>;
  CHECK(coho::trainer::list_data_files(folder.path(), {folder / "own.jsonl"}) ==
        paths{folder / "a.json", folder / "b/a.json.gz", folder / "b/c.jsonl.zst", folder / "c.jsonl",
              folder / "d.parquet"});
  CHECK(coho::trainer::list_data_files(folder / "notes.txt") == paths{folder / "notes.txt"});
  const temporary_directory empty;
  CHECK_THROWS_AS(coho::trainer::list_data_files(empty.path()), coho::file_error);
}
