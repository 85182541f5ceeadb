#include "commands/options.hpp"

#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include "commands/commands.hpp"
#include "observe/format.hpp"
#include "program/application.hpp"
#include "support/catch.hpp"

using namespace coho::trainer;
using Catch::Matchers::ContainsSubstring;

namespace {

// What the program prints for these words.
std::string printed(const std::vector<std::string>& words) {
  application program("coho", "test", "0");
  for (auto& command : stage_commands()) program.add(command);
  program.add(make_options_command(program.subcommands()));
  std::vector<const char*> argv{"coho"};
  for (const auto& word : words) argv.push_back(word.c_str());
  std::ostringstream out;
  auto* const before_out = std::cout.rdbuf(out.rdbuf());
  auto* const before_err = std::cerr.rdbuf(out.rdbuf());
  program.run(static_cast<int>(argv.size()), argv.data());
  std::cout.rdbuf(before_out);
  std::cerr.rdbuf(before_err);
  return out.str();
}

}  // namespace

TEST_CASE("options: the keys of a stage with defaults, ranges and meanings") {
  const auto sft = printed({"options", "sft"});
  CHECK_THAT(sft, ContainsSubstring("sft.learning_rate.peak") && ContainsSubstring("sft.optimizer.beta1") &&
                      ContainsSubstring("adapter.rank") && !ContainsSubstring("ppo."));
  CHECK_THAT(printed({"options", "ppo", "--markdown"}),
             ContainsSubstring("| `ppo.shaping.kl_coefficient` | 0.02 | 0.01 | at least 0 |"));
  CHECK_THAT(printed({"options"}), ContainsSubstring("== sft") && ContainsSubstring("== aggregate"));
  CHECK_THAT(printed({"options", "pppo"}), ContainsSubstring("did you mean ppo?"));
  CHECK_THAT(printed({"options", "generation", "--markdown"}),
             ContainsSubstring("| key | self-align | sample, chat | ppo paper | ppo salmon_code | generate |") &&
                 ContainsSubstring("| `generation.max_new_tokens` | 640 | 256 | 1024 | 1024 | 256 |"));
  CHECK_THAT(printed({"options", "ppo"}),
             ContainsSubstring("ppo.length_bonus.cap") && ContainsSubstring("ppo.evaluation.keep_best"));
}

TEST_CASE("options: --help of a stage ends with them") {
  const auto help = printed({"ppo", "--help"});
  CHECK_THAT(help, ContainsSubstring("--reward-model") && ContainsSubstring("ppo.policy_clip.dual_clip"));
  CHECK(help.find("--reward-model") < help.find("ppo.policy_clip.dual_clip"));
  CHECK_THAT(printed({"merge", "--help"}), ContainsSubstring("model.adapter") && !ContainsSubstring("adapter.rank"));
}

TEST_CASE("options: the flags and keys that every stage has come first") {
  for (const std::vector<std::string>& words : {std::vector<std::string>{"options"}, {"options", "sft"}}) {
    const auto all = printed(words);
    CHECK_THAT(all, ContainsSubstring("-c,--config FILE") && ContainsSubstring("--set KEY=VALUE") &&
                        ContainsSubstring("--resume") && ContainsSubstring("\n== general\n"));
    CHECK(all.find("--config") < all.find("\nseed "));
    CHECK(all.find("\nseed ") < all.find("\nsft.data "));
  }
}

TEST_CASE("options: lists and help are read on 100 columns") {
  for (const std::vector<std::string>& words : {std::vector<std::string>{"options"},
                                                {"ppo", "--help"},
                                                {"generate", "--help"},
                                                {"eval", "--help"},
                                                {"--help"}}) {
    std::istringstream lines(printed(words));
    for (std::string line; std::getline(lines, line);) {
      CAPTURE(words.front(), line);
      CHECK(display_width(line) <= 100);
    }
  }
}
