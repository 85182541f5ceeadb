#include <iostream>
#include <sstream>

#include "commands/commands.hpp"
#include "run/exit_codes.hpp"
#include "support/catch.hpp"
#include "support/stage_runs.hpp"
#include "support/temporary_directory.hpp"

using namespace coho;
using namespace coho::trainer;
using namespace coho::test;
using Catch::Matchers::ContainsSubstring;

namespace {

std::pair<int, std::string> run_principles(std::vector<std::string> arguments) {
  application program("coho", "test", "0");
  program.add(make_principles_command());
  arguments.insert(arguments.begin(), {"coho", "principles"});
  std::vector<const char*> argv;
  for (const auto& argument : arguments) argv.push_back(argument.c_str());
  std::ostringstream out, errors;
  auto *old_out = std::cout.rdbuf(out.rdbuf()), *old_errors = std::cerr.rdbuf(errors.rdbuf());
  const int status = program.run(static_cast<int>(argv.size()), argv.data());
  std::cout.rdbuf(old_out);
  std::cerr.rdbuf(old_errors);
  return {status, out.str() + errors.str()};
}

}  // namespace

TEST_CASE("principles list: the shipped collections with their sizes") {
  const auto [status, out] = run_principles({"list"});
  CHECK(status == 0);
  for (const char* name : {"harmless", "honest", "interventions", "non_evasive", "reinforcement", "reward_model"})
    CHECK_THAT(out, ContainsSubstring(name));
  CHECK(run_principles({}) == run_principles({"list"}));
}

TEST_CASE("principles show: names, weights and definitions") {
  const auto [status, out] = run_principles({"show", "reinforcement", "reward_model"});
  CHECK(status == 0);
  CHECK_THAT(out, ContainsSubstring("Candor  (weight 4)"));
  CHECK_THAT(out, ContainsSubstring("Negated: "));
  CHECK(run_principles({"show", "nothing_of_that_name"}).first == static_cast<int>(exit_code::file_missing));
  CHECK(run_principles({"show"}).first == static_cast<int>(exit_code::config));
}

TEST_CASE("principles check: exits with 1 when something is wrong") {
  const temporary_directory folder;
  write_bytes(folder / "bad.json", R"([{"dimension": "A", "definition": "Be kind"}])");
  const std::string bad = (folder / "bad.json").string();
  const auto [status, out] = run_principles({"check", "reinforcement", "--model", demo_base().string()});
  CHECK(status == 0);
  CHECK_THAT(out, ContainsSubstring("tokens"));
  CHECK_THAT(out, ContainsSubstring("drawn: among the 3 of a prompt"));
  const auto [wrong, said] = run_principles({"check", "reward_model", bad});
  CHECK(wrong == static_cast<int>(exit_code::check_failed));
  CHECK_THAT(said, ContainsSubstring("nothing to say against it"));
  CHECK_THAT(said, ContainsSubstring("wrong: entry 1 (\"A\"): \"definition\" does not end as a sentence"));
  CHECK_THAT(said, ContainsSubstring("1 of 2 collections have something wrong"));
  CHECK(run_principles({"check", bad, "--drawn-together", "0"}).first == static_cast<int>(exit_code::config));
  CHECK(run_principles({"check", (folder / "absent.json").string()}).first ==
        static_cast<int>(exit_code::file_missing));
  CHECK(run_principles({"weigh"}).first == static_cast<int>(exit_code::config));
}
