#include "program/application.hpp"

#include <csignal>
#include <fstream>
#include <iostream>
#include <sstream>
#include <unistd.h>
#include <utility>

#include "program/subcommand.hpp"
#include "run/exit_codes.hpp"
#include "run/interruption.hpp"
#include "run/report_error.hpp"
#include "support/catch.hpp"
#include "support/process_ranks.hpp"

using namespace coho::trainer;
using Catch::Matchers::ContainsSubstring;

namespace {

struct outcome {
  int code;
  std::string out, err;
};

// std::cout and std::cerr redirected for one run.
outcome run(const application& program, std::vector<std::string> words) {
  std::vector<const char*> argv{"coho"};
  for (const auto& word : words) argv.push_back(word.c_str());
  std::ostringstream out, err;
  auto* const old_out = std::cout.rdbuf(out.rdbuf());
  auto* const old_err = std::cerr.rdbuf(err.rdbuf());
  auto copy = program;
  const int code = copy.run(static_cast<int>(argv.size()), argv.data());
  std::cout.rdbuf(old_out);
  std::cerr.rdbuf(old_err);
  return {code, out.str(), err.str()};
}

struct seen_options {
  std::string model;
  double temperature = -1;
  std::uint64_t seed = 0;
  std::size_t max_tokens = 0, threads = 0;
  std::vector<std::string> files;
  bool resume = false, worked = false;
};

const auto scratch = std::filesystem::temp_directory_path() / ("coho_application_" + std::to_string(::getpid()));

application example(seen_options& seen) {
  application program("coho", "trains", "1.2.3");
  subcommand generate{"generate", "sample from a model", [&seen](const config& c, stage_context& context) {
                        seen.model = c.require<std::string>("model.path", "a model folder");
                        seen.temperature = c.get<double>("generation.temperature", 0.7);
                        seen.max_tokens = c.get<std::size_t>("generation.max_new_tokens", 256);
                        c.check(seen.max_tokens >= 1, "generation.max_new_tokens", "at least 1");
                        seen.files = c.get<std::vector<std::string>>("data.files", {});
                        seen.seed = context.seed;
                        seen.threads = context.threads;
                        seen.resume = context.resume;
                        if (context.dry_run) return context.end_dry_run(c, [] { return "memory: 1 GiB"; });
                        context.start_run(c, context.out);
                        context.log("working");
                        seen.worked = true;
                      }};
  generate.flags = {{"-m,--model", "model.path", "folder"},
                    {"--greedy", "generation.temperature", "the likeliest token", "0"},
                    {"--max-tokens", "generation.max_new_tokens", "limit"},
                    {"files", "data.files", "inputs", "", true}};
  generate.options = {{.name = "model"}, {.name = "generation"}, {.name = "data"}};
  program.add(generate);
  program.add({"fail",
               "throws",
               [](const config& c, stage_context&) {
                 const auto kind = c.get<std::string>("kind", std::string());
                 if (kind == "write") throw coho::file_error("/nonexistent/x", "", "cannot be written: disk full");
                 if (kind == "option") throw coho::option_error("clip", 2.0, "below 1");
                 if (kind == "argument") throw coho::argument_error("lengths differ");
                 if (kind == "missing") throw coho::file_error("/nonexistent/x", "", "cannot be read");
                 if (kind == "bad") throw coho::file_error("/dev/null", "line 1", "is not JSON");
                 if (kind == "memory") throw std::bad_alloc();
                 if (kind == "check") throw check_failed_error("judge.accuracy 0.5 is below 0.9");
                 if (kind == "torch") throw std::runtime_error("shape mismatch\nframe #0: at::whatever\nframe #1");
                 throw 3;
               },
               {},
               {{.name = "ppo"}}});
  program.add_recipe_folder(scratch);
  return program;
}

// A run that gets a signal: the process is afterwards as it was before.
auto run_signalled(application& program, const std::vector<std::string>& arguments) {
  const auto result = run(program, arguments);
  set_interrupted(false);
  std::signal(SIGINT, SIG_DFL);
  std::signal(SIGTERM, SIG_DFL);
  return result;
}

}  // namespace

TEST_CASE("flags set config keys and stand above the recipe; --set stands above flags") {
  std::filesystem::create_directories(scratch);
  std::ofstream(scratch / "small.toml")
      << "seed = 5\n[model]\npath = 'from recipe'\n[generation]\nmax_new_tokens = 3\n[ppo]\nsteps = 1\n";
  seen_options seen;
  auto result = run(example(seen), {"generate", "-c", "small", "--model", "7", "--greedy", "a.txt", "b.txt", "--set",
                                    "generation.max_new_tokens=11", "--threads", "3", "--resume", "-q"});
  CHECK(result.err == "");
  CHECK(result.code == 0);
  CHECK(seen.model == "7");
  CHECK(seen.temperature == 0);
  CHECK(seen.max_tokens == 11);
  CHECK(seen.seed == 5);
  CHECK(seen.threads == 3);
  CHECK(seen.resume);
  CHECK(seen.worked);
  CHECK(seen.files == std::vector<std::string>{"a.txt", "b.txt"});

  result = run(example(seen), {"generate", "--config", (scratch / "small.toml").string(), "--seed=8"});
  CHECK(result.code == 0);
  CHECK(seen.seed == 8);
  CHECK(seen.model == "from recipe");
  CHECK(seen.max_tokens == 3);
  CHECK_THAT(result.err, ContainsSubstring("working"));

  // A flag that may come several times, given once, serves a key that takes one value too.
  CHECK(run(example(seen), {"generate", "--model", "m", "b.txt"}).code == 0);
  CHECK(seen.files == std::vector<std::string>{"b.txt"});
  std::filesystem::remove_all(scratch);
}

TEST_CASE("a dry run prints the resolved config and an estimate, and does nothing") {
  seen_options seen;
  const auto out = scratch / "dry";
  const auto result = run(example(seen), {"generate", "--model", "m", "--dry-run", "--out", out.string()});
  CHECK(result.code == 0);
  CHECK_THAT(result.out, ContainsSubstring("max_new_tokens = 256"));
  CHECK_THAT(result.out, ContainsSubstring("# memory: 1 GiB"));
  CHECK_FALSE(seen.worked);
  CHECK_FALSE(std::filesystem::exists(out));
}

TEST_CASE("a dry run whose plan fails prints no half of it") {
  application program("coho", "trains", "1");
  program.add({"plan", "plans", [](const config& c, stage_context& context) {
                 c.get<int>("size", 1);
                 context.end_dry_run(c, []() -> std::string { throw coho::argument_error("too large"); });
               }});
  const auto result = run(program, {"plan", "--dry-run"});
  CHECK(result.code == 7);
  CHECK(result.out == "");
}

TEST_CASE("a recipe's plan refuses an override that none of its stages reads") {
  std::filesystem::create_directories(scratch);
  std::ofstream(scratch / "small.toml") << "[generate]\nfiles = 'x'\n[model]\npath = 'm'\n";
  seen_options seen;
  auto program = example(seen);
  const auto plan = [&](const std::string& override) {
    return run(program, {"--dry-run", (scratch / "small.toml").string(), "--set", override});
  };
  CHECK(plan("ppo.steps=3").code == 3);
  CHECK_THAT(plan("ppo.steps=3").err, ContainsSubstring("no stage of the recipe reads the section ppo"));
  std::filesystem::remove_all(scratch);
}

TEST_CASE("a run saves its resolved config beside its results") {
  seen_options seen;
  const auto out = scratch / "run";
  REQUIRE(run(example(seen), {"generate", "--model", "m", "--out", out.string(), "-q"}).code == 0);
  const auto saved = config::load(out / "config.toml");
  CHECK(saved.get<std::string>("model.path", std::string()) == "m");
  CHECK(saved.get<double>("generation.temperature", 0) == 0.7);
  std::filesystem::remove_all(scratch);
}

TEST_CASE("wrong input gives one line and an exit code by kind") {
  struct wrong {
    std::vector<std::string> words;
    int code;
    std::string says;
  };
  const wrong cases[] = {
      {{"genrate"}, 2, "unknown subcommand genrate; did you mean generate?"},
      {{"generate", "--modle", "m"}, 2, "unknown flag --modle; did you mean --model?"},
      {{"generate", "--model"}, 2, "--model"},
      {{"generate"}, 3, "model.path is not given (a model folder)"},
      {{"generate", "--model", "m", "--set", "generation.temprature=1"}, 3, "did you mean generation.temperature?"},
      {{"generate", "--model", "m", "--max-tokens", "0"}, 3, "--max-tokens 0: generation.max_new_tokens = "},
      {{"generate", "--model", "m", "--max-tokens", "many"}, 3, "expected an integer, 0 or more"},
      {{"generate", "--model", "m", "--seed", "-1"}, 3, "--seed -1"},
      {{"generate", "--model", "m", "--threads", "0"}, 3, "threads"},
      {{"generate", "--model", "m", "--device", "gpu"}, 3, "cpu, cuda or cuda:0"},
      {{"generate", "-c", "nothing.toml"}, 4, "nothing.toml: no such recipe"},
      {{"generate", "--model", "m", "--seed", ""}, 2, "--seed \"\": expected a value"},
      {{"generate", "--model", "m", "--out", ""}, 2, "--out \"\": expected a value"},
      {{"generate", "--model", "m", "-c", ""}, 2, "--config \"\": expected a value"},
      {{"generate", "--model", "m", "--set", "ppo.steps=1"}, 3, "this stage does not read the section ppo"},
      {{"fail", "--set", "kind=missing"}, 4, "/nonexistent/x: cannot be read"},
      {{"fail", "--set", "kind=write"}, 9, "/nonexistent/x: cannot be written"},
      {{"fail", "--set", "kind=bad"}, 5, "/dev/null: line 1: is not JSON"},
      {{"fail", "--set", "kind=option"}, 6, "option clip = 2 is not allowed"},
      {{"fail", "--set", "kind=argument"}, 7, "lengths differ"},
      {{"fail", "--set", "kind=memory"}, 8, "out of memory"},
      {{"fail", "--set", "kind=check"}, 1, "judge.accuracy"},
      {{"generate", "-c", "not\nhere.toml"}, 4, "not here.toml: no such recipe"},
      {{"fail", "--set", "kind=torch"}, 70, "internal error: shape mismatch"},
      {{"fail"}, 70, "internal error"},
      {{"generate", "--model", "m", "--out", "/dev/null/x"}, 9, "/dev/null/x"},
  };
  for (const auto& c : cases) {
    seen_options seen;
    const auto result = run(example(seen), c.words);
    INFO(c.words[0] << " " << c.says << " | " << result.err);
    CHECK(result.code == c.code);
    CHECK_THAT(result.err, ContainsSubstring(c.says));
    CHECK(std::count(result.err.begin(), result.err.end(), '\n') == 1);
    CHECK(result.err.starts_with("coho"));
    CHECK_FALSE(seen.worked);
  }
}

TEST_CASE("help and version go to standard output with status 0") {
  seen_options seen;
  const auto help = run(example(seen), {"--help"});
  CHECK(help.code == 0);
  CHECK_THAT(help.out, ContainsSubstring("sample from a model"));
  CHECK_THAT(run(example(seen), {"generate", "--help"}).out, ContainsSubstring("--max-tokens"));
  CHECK(run(example(seen), {"--version"}).out == "coho 1.2.3\n");
  CHECK(run(example(seen), {}).code == 2);
}

TEST_CASE("SIGINT is seen at the next safe point and ends in 130") {
  application program("coho", "trains", "1");
  program.add({"loop", "runs until stopped", [](const config& c, stage_context& context) {
                 context.start_run(c);
                 CHECK_FALSE(context.interrupted());
                 std::raise(SIGINT);
                 CHECK(context.interrupted());
                 context.stop_if_interrupted();
               }});
  const auto result = run_signalled(program, {"loop"});
  CHECK(result.code == static_cast<int>(exit_code::interrupted));
  CHECK_THAT(result.err, ContainsSubstring("--resume"));
}

TEST_CASE("a stop that another rank asked for is not this one's first signal") {
  application program("coho", "trains", "1");
  program.add({"loop", "runs until stopped", [](const config& c, stage_context& context) {
                 context.start_run(c);
                 coho::test::on_ranks(2, [&](process_group& group) {
                   if (group.first()) {
                     group.any(true);
                   } else {
                     const auto own = std::exchange(context.ranks, {std::shared_ptr<void>(), &group});
                     if (!context.interrupted_anywhere()) throw coho::error("the other rank was not heard");
                     context.ranks = own;
                   }
                 });
                 std::raise(SIGTERM);  // as a launcher passes it on: a second one would end the process at once
                 CHECK(context.interrupted());
                 context.stop_if_interrupted();
               }});
  const auto result = run_signalled(program, {"loop"});
  CHECK(result.code == static_cast<int>(exit_code::interrupted));
}
