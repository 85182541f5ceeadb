#include "preferences/preference_examples.hpp"

#include <algorithm>
#include <string>

#include <coho/error.hpp>

#include "datasets/preference_data.hpp"
#include "jsonl/dropped_parts.hpp"
#include "models/supervised_examples.hpp"
#include "records/records.hpp"
#include "support/demo_model.hpp"
#include "support/recipe_models.hpp"
#include "support/temporary_directory.hpp"

using namespace coho;
using namespace coho::trainer;
using namespace coho::test;
using Catch::Matchers::ContainsSubstring;

namespace {

std::string line(const std::string& prompt, const std::string& chosen, const std::string& rejected,
                 const std::string& more = "") {
  return R"({"prompt":")" + prompt + R"(","chosen":")" + chosen + R"(","rejected":")" + rejected + "\"" + more + "}\n";
}

bool holds(const std::vector<std::string>& notes, const std::string& text) {
  return std::ranges::any_of(notes, [&](const auto& note) { return note.find(text) != std::string::npos; });
}

}  // namespace

TEST_CASE("preference_examples: tokens are those that sft trains on, with an end token unless a response is cut") {
  const auto& model = demo_model();
  const prompter prompts = make_prompter(config(std::vector<std::string>{"prompt.format=dromedary"}), model);
  const temporary_directory folder;
  write_bytes(folder / "a.jsonl", line("what is it?", "a fox.", "the owl is gray and the owl is big."));
  const auto read = read_preference_examples({.data = {folder / "a.jsonl"}}, preference_form::pairs, prompts, 6, 1);
  REQUIRE(read.training.size() == 1);
  const auto& example = read.training.front();
  const auto expected = [&](const std::string& response, std::size_t most) {
    return make_supervised_example({.prompt = {.instruction = "what is it?"}, .response = response}, prompts, most);
  };
  CHECK(example.prompt == expected("a fox.", 0).prompt);
  CHECK(example.chosen == expected("a fox.", 0).response);
  CHECK(example.chosen.back() == model.tokenizer->eos());
  CHECK(example.rejected == expected("the owl is gray and the owl is big.", 6).response);
  CHECK(example.rejected.size() == 6);
  CHECK(example.rejected.back() != model.tokenizer->eos());
  const auto said = dropped_parts::of_run().drain_lines();
  CHECK(holds(said, "1 record"));
  CHECK(holds(said, "dpo.max_response_tokens"));
}

TEST_CASE("preference_examples: what is not used is counted, and said once") {
  const prompter prompts = make_prompter(config(std::vector<std::string>{}), demo_model());
  const temporary_directory folder;
  write_bytes(folder / "a.jsonl", line("a?", "fox", "owl", R"(,"margin":2)") + line("b?", "fox", "fox") +
                                      line("c?", "fox", "") + line("d?", "fox", "cat"));
  write_bytes(folder / "b.jsonl", R"({"instruction":"e?","output_1":"fox","output_2":"owl","preference":2,)"
                                  R"("principles":[{"name":"brief","negated":false,"text":"be brief."}]})"
                                  "\n");
  const auto read = read_preference_examples({.data = {folder / "a.jsonl", folder / "b.jsonl"}}, preference_form::pairs,
                                             prompts, 0, 1);
  CHECK(read.training.size() == 4);
  CHECK(read.held_out.empty());
  CHECK(holds(read.notes, "a.jsonl: pairs 4, left out 0"));
  CHECK(holds(read.notes, "same tokens: pairs: 1"));
  CHECK(holds(read.notes, "margins, which are not used: pairs with one: 1"));
  CHECK(holds(read.notes, "pairs with them: 1"));
  CHECK(holds(read.notes, "empty or white space: 1"));
}

TEST_CASE("preference_examples: the same prompts are held out as for a reward model") {
  const prompter prompts = make_prompter(config(std::vector<std::string>{}), demo_model());
  const temporary_directory folder;
  std::string lines;
  for (int i = 0; i < 20; ++i)
    lines += line("what is " + std::to_string(i / 2) + "?", "fox", "owl" + std::string(i % 2, '.'));
  write_bytes(folder / "a.jsonl", lines);
  const preference_files files{.data = {folder / "a.jsonl"}, .evaluation_share = 0.4};
  const auto read = read_preference_examples(files, preference_form::pairs, prompts, 0, 7);
  auto sets = open_preferences(files, 7);
  CHECK(read.training.size() == sets.training.size());
  REQUIRE(read.held_out_lines.size() == sets.held_out->size());
  CHECK(read.held_out.size() == read.held_out_lines.size());
  for (std::size_t i = 0; i < read.held_out_lines.size(); ++i)
    CHECK(to_json(sets.held_out->fetch(std::span(&i, 1)).records().front()).dump() == read.held_out_lines[i]);

  CHECK(read_preference_examples(
            {.data = {folder / "a.jsonl"}, .evaluation = {folder / "a.jsonl"}, .limit = 3, .evaluation_limit = 5},
            preference_form::pairs, prompts, 0, 7)
            .held_out.size() == 5);
  CHECK_THROWS_WITH(read_preference_examples({.data = {folder / "a.jsonl"}, .limit = 1, .evaluation_share = 0.01},
                                             preference_form::pairs, prompts, 0, 7),
                    ContainsSubstring("leaves no record to evaluate on"));
}

TEST_CASE("preference_examples: a labelled response is one side of an example") {
  const prompter prompts = make_prompter(config(std::vector<std::string>{}), demo_model());
  const temporary_directory folder;
  write_bytes(folder / "a.jsonl", R"({"prompt":"a?","completion":"fox","label":true}
{"prompt":"b?","completion":"owl","label":0,"weight":0.5}
{"messages":[{"role":"user","content":"c?"},{"role":"assistant","content":"cat"}],"label":1}
)");
  const preference_files files{.data = {folder / "a.jsonl"}};
  const auto read = read_preference_examples(files, preference_form::labelled, prompts, 0, 1);
  REQUIRE(read.training.size() == 3);
  CHECK(read.training[0].chosen ==
        make_supervised_example({.prompt = {.instruction = "a?"}, .response = "fox"}, prompts, 0).response);
  CHECK(read.training[0].rejected.empty());
  CHECK(read.training[1].chosen.empty());
  CHECK(read.training[1].rejected ==
        make_supervised_example({.prompt = {.instruction = "b?"}, .response = "owl"}, prompts, 0).response);
  CHECK(read.training[1].weight == 0.5);
  CHECK_FALSE(read.training[2].chosen.empty());
  CHECK(holds(read.notes, "desirable responses 2, undesirable 1"));

  const auto refused = [&](const std::string& text, const std::string& why) {
    write_bytes(folder / "a.jsonl", text + "\n");
    CHECK_THROWS_WITH(read_preference_examples(files, preference_form::labelled, prompts, 0, 1),
                      ContainsSubstring("line 1") && ContainsSubstring(why));
  };
  refused(R"({"prompt":"a?","completion":"fox"})", "label");
  refused(R"({"prompt":"a?","completion":"fox","label":"good"})", "true or 1 for a desirable response");
  refused(R"({"prompt":"a?","label":true})", "there is no response to train on");
}
