#include <iostream>
#include <sstream>

#include "commands/commands.hpp"
#include "run/exit_codes.hpp"
#include "support/catch.hpp"
#include "support/packed_files.hpp"
#include "support/parquet_files.hpp"
#include "support/stage_runs.hpp"
#include "support/temporary_directory.hpp"

using namespace coho;
using namespace coho::trainer;
using namespace coho::test;
using Catch::Matchers::ContainsSubstring;

namespace {

std::pair<int, std::string> run_data(std::vector<std::string> arguments) {
  application program("coho", "test", "0");
  program.add(make_data_command());
  program.add(make_sft_command());
  arguments.insert(arguments.begin(), {"coho", "data"});
  arguments.emplace_back("--quiet");
  std::vector<const char*> argv;
  for (const auto& argument : arguments) argv.push_back(argument.c_str());
  std::ostringstream out, errors;
  auto *old_out = std::cout.rdbuf(out.rdbuf()), *old_errors = std::cerr.rdbuf(errors.rdbuf());
  const int status = program.run(static_cast<int>(argv.size()), argv.data());
  std::cout.rdbuf(old_out);
  std::cerr.rdbuf(old_errors);
  return {status, out.str() + errors.str()};
}

constexpr const char* lines = R"({"question":"What is red?","answer":"The fox.","id":1}
{"question":"What is red?","answer":"The fox.","id":1}
{"question":"What is gray?","answer":"The owl.","id":2}
)";

}  // namespace

TEST_CASE("data: form, columns, kinds, lengths, duplicates and records") {
  const temporary_directory folder;
  write_bytes(folder / "qa.jsonl", lines);
  const auto [status, out] = run_data({(folder / "qa.jsonl").string()});
  CHECK(status == 0);
  CHECK_THAT(out, ContainsSubstring("qa.jsonl: 3 records, 0 bad") && ContainsSubstring("qa.jsonl: JSON Lines"));
  CHECK_THAT(out, ContainsSubstring("question  text") && ContainsSubstring("\"What is red?\""));
  CHECK_THAT(out, ContainsSubstring("characters of") && ContainsSubstring("records equal to an earlier one: 1"));
  CHECK_THAT(out, ContainsSubstring("line 1 as conversations (sft):\nuser: What is red?\nassistant: ⟦The fox.⟧\n"));
  const auto [again, with_tokens] =
      run_data({(folder / "qa.jsonl").string(), "--model", demo_base().string(), "--examples", "2"});
  CHECK(again == 0);
  CHECK_THAT(with_tokens, ContainsSubstring("tokens of") && ContainsSubstring("line 2 as conversations"));
  CHECK_THAT(with_tokens, ContainsSubstring(" learned)"));
}

TEST_CASE("data: the same of every form, and of several files") {
  const temporary_directory folder;
  write_bytes(folder / "qa.jsonl", lines);
  const auto after_the_form = [&](const std::filesystem::path& file) {
    const auto out = run_data({file.string(), "--examples", "0"}).second;
    return out.substr(out.find("\ncolumn"));
  };
  const auto expected = after_the_form(folder / "qa.jsonl");
  write_bytes(folder / "packed.jsonl.zst", pack_zstd(lines));
  CHECK(after_the_form(folder / "packed.jsonl.zst") == expected);
  if (writes_parquet) {
    write_parquet(folder / "qa.parquet", lines);
    CHECK(after_the_form(folder / "qa.parquet") == expected);
    CHECK_THAT(run_data({(folder / "qa.parquet").string()}).second, ContainsSubstring("qa.parquet: Parquet"));
  }
  const auto both = run_data({(folder / "qa.jsonl").string(), (folder / "packed.jsonl.zst").string()}).second;
  CHECK_THAT(both, ContainsSubstring("qa.jsonl: 3 records") && ContainsSubstring("packed with zstd"));
}

TEST_CASE("data: a recipe's columns and replies are those of the stages") {
  const temporary_directory folder;
  write_bytes(folder / "other.jsonl", R"({"q":"why?","a":"so."})");
  write_bytes(folder / "r.toml", "[data]\ncolumns = { prompt = \"q\", response = \"a\" }\n[sft]\nepochs = 2\n");
  const auto [status, out] = run_data({(folder / "other.jsonl").string(), "-c", (folder / "r.toml").string()});
  CHECK(status == 0);
  CHECK_THAT(out, ContainsSubstring("user: why?\nassistant: ⟦so.⟧"));
  CHECK_THAT(run_data({(folder / "other.jsonl").string()}).second,
             ContainsSubstring("no stage reads these records as they are"));
}

TEST_CASE("data: wrong input") {
  const temporary_directory folder;
  write_bytes(folder / "qa.jsonl", lines);
  write_bytes(folder / "bad.jsonl", "{\"prompt\":\"a\"}\nnonsense\n");
  const std::string file = (folder / "qa.jsonl").string();
  const auto refused = [](std::vector<std::string> arguments, exit_code code, const std::string& says) {
    const auto [status, out] = run_data(std::move(arguments));
    CHECK(status == static_cast<int>(code));
    CHECK_THAT(out, ContainsSubstring(says));
  };
  refused({file, (folder / "none.jsonl").string()}, exit_code::file_missing, "none.jsonl: cannot be read");
  refused({}, exit_code::config, "data.files is not given");
  refused({file, "--set", "data.columns.prompt=q"}, exit_code::file_bad,
          "line 1: there is no column \"q\"; the columns are question, answer, id;");
  refused({file, "--set", "data.columns.promt=question"}, exit_code::config, "data.columns.promt");
  refused({file, "--model", folder.path().string()}, exit_code::file_missing, "tokenizer.json");
  refused({(folder / "bad.jsonl").string()}, exit_code::check_failed, "1 record cannot be read");
  CHECK(run_data({(folder / "bad.jsonl").string(), "--skip-bad"}).first == 0);
  CHECK(run_data({file}).first == 0);  // without --skip-bad, which is a setting of the process
}
