#include "evaluation/evaluate_truthfulqa.hpp"

#include <cmath>

#include <coho/error.hpp>

#include "commands/commands.hpp"
#include "commands/validate.hpp"
#include "models/model_files.hpp"
#include "support/catch.hpp"
#include "support/small_models.hpp"
#include "support/stage_runs.hpp"
#include "support/temporary_directory.hpp"

using namespace coho;
using namespace coho::trainer;
using namespace coho::test;

namespace {

const question_wording true_false("{Question}|{Answer}|", "test", {"{Question}", "{Answer}"});

// Answers named by their number, the right one first, as in the published file.
std::vector<truthful_item> questions(std::size_t count, std::size_t answers) {
  std::vector<truthful_item> out;
  for (std::size_t q = 0; q < count; ++q) {
    auto& item = out.emplace_back(truthful_item{.question = "q" + std::to_string(q), .answers = {}});
    for (std::size_t a = 0; a < answers; ++a) item.answers.push_back({std::to_string(a), a == 0});
  }
  return out;
}

choice_log_odds by_answer(const std::function<double(int)>& odds) {
  return [odds](std::span<const std::string> prompts) {
    std::vector<double> out;
    for (const auto& prompt : prompts) out.push_back(odds(std::stoi(prompt.substr(prompt.find('|') + 1))));
    return out;
  };
}

}  // namespace

TEST_CASE("truthfulqa: the arg-max is over all answers, or over the first half where that is asked for") {
  // Five answers with the odds −2, 0, −1, 1, −3: the fourth wins; of the first three the second.
  const double odds[] = {-2, 0, -1, 1, -3};
  auto items = questions(1, 5);
  const auto judge = by_answer([&](int a) { return odds[a]; });
  const auto all = score_truthfulqa(items, true_false, judge, 1);
  CHECK(all.chosen[0].index == 3);
  CHECK(all.overall.right == 0);
  CHECK(all.scores[0] == std::vector<double>{-2, 0, -1, 1, -3});
  CHECK(all.mean_odds == -1);
  const auto half = score_truthfulqa(items, true_false, judge, 1, true);
  CHECK(half.scores[0] == std::vector<double>{-2, 0, -1});
  CHECK(half.chosen[0].index == 1);
  items[0].answers[0].right = false;
  items[0].answers[3].right = true;
  CHECK(score_truthfulqa(items, true_false, judge, 1).overall.right == 1);
}

TEST_CASE("truthfulqa: the first half is easier, since the right answer is always in it") {
  const auto items = questions(400, 4);
  const auto blind = by_answer([](int) { return 1.5; });
  const auto all = score_truthfulqa(items, true_false, blind, 1),
             half = score_truthfulqa(items, true_false, blind, 1, true);
  CHECK(all.ties == 400);
  // A judge that sees nothing is right by chance, wherever the right answer stands: 1/4 and 1/2, to four deviations.
  CHECK(std::abs(all.overall.accuracy() - 0.25) < 0.09);
  CHECK(std::abs(half.overall.accuracy() - 0.5) < 0.1);
}

TEST_CASE("truthfulqa: a judge that errs is not counted") {
  const auto items = questions(2, 2);
  CHECK_THROWS_AS(score_truthfulqa(items, true_false, by_answer([](int) { return std::nan(""); }), 1), argument_error);
  CHECK_THROWS_AS(score_truthfulqa(
                      items, true_false, [](auto) { return std::vector<double>{1}; }, 1),
                  argument_error);
  CHECK(score_truthfulqa(
            {}, true_false, [](auto) { return std::vector<double>{}; }, 1)
            .overall.items == 0);
}

TEST_CASE("truthfulqa: the stage scores as the judge does, in any batch, and writes each question") {
  const temporary_directory folder;
  write_bytes(folder / "mc.json", R"([
    {"question": "what is the fox?", "mc1_targets": {"the fox is red.": 1, "the fox is gray.": 0, "no.": 0}},
    {"question": "who is it?", "mc1_targets": {"the owl.": 0, "the fox.": 1}}])");
  write_bytes(folder / "w.txt", "user: {Question} {Answer} coho:");
  const auto run = [&](const std::string& out, const settings& more = {}) {
    const auto command = make_eval_command();
    const config options(settings{"threads=1", "eval.kind=truthfulqa", "model.path=" + demo_base().string(),
                                  "eval.data=" + (folder / "mc.json").string(),
                                  "eval.template=" + (folder / "w.txt").string(), "out=" + (folder / out).string()} +
                         more);
    stage_context context("eval", options, false, false, true);
    command.run(options, context);
    return read_fixture(folder / out);
  };
  const auto whole = run("a.json");
  CHECK(whole["overall"]["items"] == 2);
  REQUIRE(whole["per_item"].size() == 2);
  auto model = load_model(demo_base());
  load_role(model, "judge", {});
  judge_role judge(*model.bank, "judge", *model.tokenizer);
  const std::vector<std::string> prompts{"user: who is it? the owl. coho:", "user: who is it? the fox. coho:"};
  const auto odds = judge.log_odds(prompts, " true", " false");
  for (std::size_t i = 0; i < 2; ++i)
    CHECK(whole["per_item"][1]["answers"][i]["score"].get<double>() == Approx(odds[i]).margin(1e-4));
  CHECK(whole["per_item"][1]["right"].get<bool>() == (odds[1] > odds[0]));
  const auto single = run("b.json", {"eval.batch=1"});
  CHECK(single["overall"] == whole["overall"]);
  CHECK(run("c.json", {"eval.first_half=true"})["per_item"][0]["answers"].size() == 2);
  CHECK(run("d.json", {"eval.limit=1"})["overall"]["items"] == 1);
}

TEST_CASE("truthfulqa: a recipe with it is validated") {
  const temporary_directory folder;
  const auto verdict = [&](const std::string& more) {
    write_bytes(folder / "r.toml", "[model]\npath = \"m\"\n[eval]\nkind = \"truthfulqa\"\ndata = \"mc.json\"\n" + more);
    const auto all = validate_recipe(folder / "r.toml", {make_eval_command()});
    REQUIRE(all.size() == 1);
    return all[0];
  };
  CHECK(verdict("first_half = true\n").problem.empty());
  CHECK(verdict("").missing.size() == 2);
  CHECK(verdict("batch = 0\n").problem.find("eval.batch") != std::string::npos);
  CHECK(verdict("max_tokens = 512\n").problem.empty());  // a key of another kind, which may share the recipe
  CHECK(verdict("max_tokens = -1\n").problem.find("max_tokens") != std::string::npos);
  CHECK(verdict("max_token = 512\n").problem.find("max_token") != std::string::npos);
}
