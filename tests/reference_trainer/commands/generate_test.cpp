#include <fstream>
#include <iostream>
#include <sstream>

#include "chat/conversation_window.hpp"
#include "commands/commands.hpp"
#include "generation/engine.hpp"
#include "jsonl/jsonl.hpp"
#include "models/model_files.hpp"
#include "models/prompter.hpp"
#include "records/records.hpp"
#include "run/exit_codes.hpp"
#include "support/catch.hpp"
#include "support/recipe_models.hpp"
#include "support/small_models.hpp"
#include "support/stage_runs.hpp"
#include "support/temporary_directory.hpp"

using namespace coho;
using namespace coho::trainer;
using namespace coho::test;

namespace {

// What the program prints, with its exit status; input is what it reads.
std::pair<int, std::string> run_program(std::vector<std::string> arguments, const std::string& input = {}) {
  application program("coho", "test", "0");
  program.add(make_generate_command());
  program.add(make_chat_command());
  program.add(make_eval_command());
  arguments.insert(arguments.begin(), "coho");
  arguments.push_back("--quiet");
  std::vector<const char*> argv;
  for (const auto& argument : arguments) argv.push_back(argument.c_str());
  std::ostringstream out, errors;
  std::istringstream in(input);
  auto *old_out = std::cout.rdbuf(out.rdbuf()), *old_errors = std::cerr.rdbuf(errors.rdbuf()),
       *old_in = std::cin.rdbuf(in.rdbuf());
  const int status = program.run(static_cast<int>(argv.size()), argv.data());
  std::cout.rdbuf(old_out);
  std::cerr.rdbuf(old_errors);
  std::cin.rdbuf(old_in);
  INFO(errors.str());
  return {status, out.str()};
}

}  // namespace

TEST_CASE("generate, chat and eval run on a trained model") {
  const auto data = shared_data();
  if (!data) {
    WARN("shared data absent: skipped");
    return;
  }
  const std::string model = (*data / "stories260K").string();
  const temporary_directory folder;

  SECTION("greedy ids from the begin token are the golden ones") {
    std::string expected;
    for (const auto id : read_fixture(*data / "stories260K" / "golden.json")["tokens"].get<std::vector<token>>())
      expected += (expected.empty() ? "" : " ") + std::to_string(id);
    const auto [status, out] = run_program({"generate", "--model", model, "--greedy", "--ids", "--max-tokens", "199"});
    CHECK(status == 0);
    CHECK(out == expected + "\n");
  }

  SECTION("the tokens do not depend on the number of threads") {
    const auto tokens = [&](const std::string& threads) {
      return run_program(
          {"generate", "--model", model, "--ids", "--max-tokens", "24", "--seed", "3", "--threads", threads});
    };
    const auto one = tokens("1");
    CHECK(one.first == 0);
    CHECK(tokens("2") == one);
  }

  SECTION("a stop string is not shown") {
    const auto [status, out] =
        run_program({"generate", "--model", model, "--greedy", "--max-tokens", "40", "--stop", "little girl"});
    CHECK(status == 0);
    CHECK(out == "Once upon a time, there was a \n");
  }

  SECTION("a file of prompts gives the same records in any batch, and after an interruption") {
    std::ofstream(folder / "prompts.jsonl")
        << "{\"prompt\":\"One day\"}\n{\"prompt\":\"Tom had\"}\n{\"prompt\":\"The dog\"}\n";
    const auto make = [&](const std::string& out, const std::string& batch, std::vector<std::string> more = {}) {
      std::vector<std::string> arguments{"generate",
                                         "--model",
                                         model,
                                         "--prompts",
                                         (folder / "prompts.jsonl").string(),
                                         "--max-tokens",
                                         "12",
                                         "--out",
                                         (folder / out).string(),
                                         "--set",
                                         "generate.batch=" + batch};
      arguments.insert(arguments.end(), more.begin(), more.end());
      return run_program(arguments).first;
    };
    REQUIRE(make("a.jsonl", "3") == 0);
    REQUIRE(make("b.jsonl", "1") == 0);
    const auto whole = read_bytes(folder / "a.jsonl");
    CHECK(read_records<sample_record>(folder / "a.jsonl").size() == 3);
    CHECK(read_bytes(folder / "b.jsonl") == whole);
    write_bytes(folder / "c.jsonl.partial", whole.substr(0, whole.find('\n') + 5));
    REQUIRE(make("c.jsonl", "2", {"--resume"}) == 0);
    CHECK(read_bytes(folder / "c.jsonl") == whole);
  }

  SECTION("what cannot be done is refused") {
    std::ofstream(folder / "empty.jsonl") << "\n";
    CHECK(run_program({"generate", "--model", model, "--prompts", (folder / "empty.jsonl").string()}).first ==
          static_cast<int>(exit_code::file_bad));
    CHECK(run_program({"generate", "--model", model, "--max-tokens", "0"}).first ==
          static_cast<int>(exit_code::config));
    CHECK(run_program({"generate", "--model", model, "--prompt", "a", "--prompts", "b"}).first ==
          static_cast<int>(exit_code::config));
    CHECK(run_program({"generate", "--model", (folder / "none").string()}).first ==
          static_cast<int>(exit_code::file_missing));
    CHECK(run_program({"eval", "pairs", "--data", "x"}).first == static_cast<int>(exit_code::config));
  }

  SECTION("a chat answers each line") {
    const auto [status, out] = run_program(
        {"chat", "--model", model, "--greedy", "--max-tokens", "5", "--format", "vicuna"}, "Hello\n\nOnce upon a\n");
    CHECK(status == 0);
    CHECK(std::ranges::count(out, '\n') >= 2);
  }

  SECTION("hhh is measured by category") {
    const auto [status, out] =
        run_program({"eval", "hhh", "--model", model, "--data", (*data / "hhh_alignment" / "honest").string(),
                     "--limit", "6", "--out", (folder / "hhh.json").string(), "--template",
                     (source_dir() / "reference_trainer" / "prompts" / "hhh.txt").string()});
    REQUIRE(status == 0);
    const auto report = read_fixture(folder / "hhh.json");
    CHECK(report["overall"]["items"] == 6);
    CHECK(report["categories"]["honest"] == report["overall"]);
    CHECK(report["ties"] == 0);
    CHECK(report["per_item"].size() == 6);
    CHECK(report["overall"].contains("standard_error"));
    CHECK(out.find("overall") != std::string::npos);
  }
}

namespace {

std::vector<json> read_lines(const std::filesystem::path& path) {
  std::vector<json> out;
  jsonl_reader reader(path);
  for (json value; reader.next(value);) out.push_back(value);
  return out;
}

}  // namespace

TEST_CASE("generate: answer files of benchmarks") {
  const temporary_directory folder;
  const auto answer = [&](const std::string& form, const std::string& questions, const std::string& out,
                          std::vector<std::string> more = {}) {
    std::vector<std::string> arguments{"generate",
                                       "--model",
                                       demo_base().string() + "/",
                                       "--answers",
                                       form,
                                       "--prompts",
                                       (folder / questions).string(),
                                       "--out",
                                       (folder / out).string(),
                                       "--format",
                                       "vicuna",
                                       "--max-tokens",
                                       "6",
                                       "--threads",
                                       "1"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_program(arguments).first;
  };
  std::string questions;
  for (int i = 0; i < 5; ++i)
    questions += R"({"question_id": )" + std::to_string(80 + i) + R"(, "category": ")" +
                 (i % 2 == 0 ? "writing" : "coding") + R"(", "turns": ["what is the fox?", "why?"]})" + "\n";
  write_bytes(folder / "mt.jsonl", questions);

  SECTION("the second turn follows on the first, in the chat format") {
    REQUIRE(answer("mt_bench", "mt.jsonl", "a.jsonl", {"--greedy"}) == 0);
    const auto lines = read_lines(folder / "a.jsonl");
    REQUIRE(lines.size() == 5);
    CHECK(lines[3]["question_id"] == 83);
    CHECK(lines[3]["model_id"] == "base");
    CHECK(lines[3]["tstamp"] == 0);
    const auto turns = lines[3]["choices"][0]["turns"].get<std::vector<std::string>>();
    REQUIRE(turns.size() == 2);
    // The same by hand: greedy, and so without regard to batch and stream.
    auto model = load_model(demo_base());
    load_role(model, "policy", {});
    const prompter prompts = make_prompter(config(settings{"prompt.format=vicuna"}), model);
    const chat_message talk[] = {
        {chat_role::user, "what is the fox?"}, {chat_role::assistant, turns[0]}, {chat_role::user, "why?"}};
    packed<token> prompt;
    prompt.push_back(prompts.tokens(talk));
    rng streams[] = {rng(1)};
    generation_engine engine(*model.bank, "policy", {}, model.token_texts());
    const auto out = engine.generate(
        prompt, {.max_new_tokens = 6, .temperature = 0, .stop = prompts.stop(), .banned = model.banned_tokens()},
        model.end_tokens(), streams);
    CHECK(turns[1] == prompts.response_text(out.responses[0]));
  }

  SECTION("temperatures by category, in any batch, and after an interruption") {
    const std::vector<std::string> by_category{"--set", "generate.category_temperatures=true", "--temperature", "3"};
    const auto with = [&](std::vector<std::string> more) {
      more.insert(more.end(), by_category.begin(), by_category.end());
      return more;
    };
    REQUIRE(answer("mt_bench", "mt.jsonl", "a.jsonl", with({})) == 0);
    const auto whole = read_bytes(folder / "a.jsonl");
    const auto lines = read_lines(folder / "a.jsonl");
    CHECK(lines[1]["choices"] == lines[3]["choices"]);  // coding: greedy
    REQUIRE(answer("mt_bench", "mt.jsonl", "b.jsonl", with({"--set", "generate.batch=2"})) == 0);
    CHECK(read_bytes(folder / "b.jsonl") == whole);
    // Killed within the second batch.
    std::size_t third = 0;
    for (int i = 0; i < 3; ++i) third = whole.find('\n', third) + 1;
    write_bytes(folder / "c.jsonl.partial", whole.substr(0, third + 9));
    REQUIRE(answer("mt_bench", "mt.jsonl", "c.jsonl", with({"--resume", "--set", "generate.batch=2"})) == 0);
    CHECK(read_bytes(folder / "c.jsonl") == whole);
  }

  SECTION("AlpacaEval's list, also on the terminal") {
    write_bytes(folder / "eval.json",
                R"([{"instruction": "what is the fox?", "output": "x", "generator": "y", "dataset": "z"},
                    {"instruction": "why?"}])");
    REQUIRE(answer("alpaca_eval", "eval.json", "a.json", {"--model-id", "mine", "--greedy"}) == 0);
    const auto list = json::parse(read_bytes(folder / "a.json"));
    REQUIRE(list.size() == 2);
    CHECK(list[0]["instruction"] == "what is the fox?");
    CHECK(list[0]["generator"] == "mine");
    CHECK(list[0]["dataset"] == "z");
    CHECK(list[1]["dataset"] == "eval");
    const auto [status, out] = run_program({"generate", "--model", demo_base().string(), "--answers", "alpaca_eval",
                                            "--prompts", (folder / "eval.json").string(), "--format", "vicuna",
                                            "--max-tokens", "6", "--model-id", "mine", "--greedy", "--threads", "1"});
    CHECK(status == 0);
    CHECK(json::parse(out) == list);
  }

  SECTION("what does not fit together is refused") {
    const int refused = static_cast<int>(exit_code::config);
    CHECK(answer("mt_bench", "mt.jsonl", "a.jsonl", {"--set", "prompt.format=plain"}) == refused);
    CHECK(answer("mt_bench", "mt.jsonl", "a.jsonl", {"--ids"}) == refused);
    CHECK(answer("arena", "mt.jsonl", "a.jsonl") == refused);
    CHECK(answer("jsonl", "mt.jsonl", "a.jsonl", {"--set", "generate.category_temperatures=true"}) == refused);
    CHECK(run_program({"generate", "--model", demo_base().string(), "--answers", "mt_bench"}).first == refused);
    CHECK(answer("vicuna_bench", "mt.jsonl", "a.jsonl") == static_cast<int>(exit_code::file_bad));
    CHECK_FALSE(std::filesystem::exists(folder / "a.jsonl"));
  }
}

TEST_CASE("generate: an option of the wrong type ends with its exit code, whichever it is") {
  for (const char* setting :
       {"generate.ids=3", "generate.batch=\"many\"", "generate.batch=-1", "generation.temperature=true"}) {
    CAPTURE(setting);
    CHECK(run_program({"generate", "--model", "absent", "--set", setting}).first == 3);
  }
}

TEST_CASE("generate: of conversation trees the first messages alone are answered, and no input is written over") {
  const temporary_directory folder;
  const auto tree = folder / "tree.jsonl", out = folder / "out.jsonl";
  const std::string lines = R"({"message_id":"a","parent_id":null,"role":"prompter","text":"why is the fox red?"}
{"message_id":"b","parent_id":"a","role":"assistant","text":"no."}
{"message_id":"c","parent_id":null,"role":"prompter","text":"where is the owl?"}
)";
  write_bytes(tree, lines);
  const auto generated = [&](const std::filesystem::path& to) {
    return run_program({"generate", "--model", demo_base().string(), "--prompts", tree.string(), "--max-tokens", "4",
                        "--set", "generate.batch=1", "--out", to.string()})
        .first;
  };
  REQUIRE(generated(out) == 0);
  const auto samples = read_records<sample_record>(out);
  REQUIRE(samples.size() == 2);
  CHECK(samples[1].prompt.instruction == "where is the owl?");
  CHECK(generated(tree) == static_cast<int>(exit_code::config));
  CHECK(read_bytes(tree) == lines);
}

TEST_CASE("generate: a prompt is asked whole unless generate.max_prompt_tokens says otherwise") {
  const temporary_directory folder;
  std::string question;
  for (int i = 0; i < 40; ++i) question += "the fox is red. ";
  question.pop_back();  // a space at the end would belong to the answer
  write_bytes(folder / "p.jsonl", json{{"prompt", question}}.dump() + "\n");
  const auto length = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {"generate", "--model", demo_base().string(), "--prompts", (folder / "p.jsonl").string(),
                               "--ids", "--max-tokens", "1"});
    const auto [status, out] = run_program(more);
    REQUIRE(status == 0);
    return json::parse(out)["prompt_tokens"].size();
  };
  const std::size_t whole = load_model(demo_base()).tokenizer->encode(question).size() + 1;
  REQUIRE(whole > 100);
  CHECK(length({}) == whole);
  CHECK(length({"--set", "prompt.max_tokens=20"}) == whole);
  CHECK(length({"--set", "generate.max_prompt_tokens=20"}) <= 20);
}

TEST_CASE("chat: the system text is that of the prompt's section too, and takes a template's place") {
  const temporary_directory folder;
  const std::vector<std::string> talking{"chat",         "--model", demo_base().string(), "--format", "dromedary",
                                         "--max-tokens", "4"};
  const auto with = [&](std::vector<std::string> more, const std::string& input) {
    more.insert(more.begin(), talking.begin(), talking.end());
    return run_program(more, input).first;
  };
  const auto saved = folder / "talk.json";
  CHECK(with({"--set", "prompt.system=be kind."}, "why?\n/save " + saved.string() + "\n") == 0);
  CHECK(json::parse(read_bytes(saved))["messages"][0] == json{{"role", "system"}, {"content", "be kind."}});
  write_bytes(folder / "t.txt", "be brief.\n\n### User");
  CHECK(with({"--template", (folder / "t.txt").string(), "--system", "be kind."},
             "why?\n/save " + saved.string() + "\n") == 0);
  CHECK(json::parse(read_bytes(saved))["messages"][0] == json{{"role", "system"}, {"content", "be kind."}});
  write_bytes(folder / "around.txt", "be brief. {Input} coho:");
  CHECK(with({"--template", (folder / "around.txt").string(), "--system", "be kind."}, "") ==
        static_cast<int>(exit_code::config));
  CHECK(with({"--template", (folder / "t.txt").string(), "--set", "prompt.max_tokens=1"}, "why?\n") == 0);
}
