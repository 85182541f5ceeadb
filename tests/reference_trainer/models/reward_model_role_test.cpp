#include "models/reward_model_role.hpp"

#include <nlohmann/json.hpp>

#include <coho/error.hpp>

#include "records/records.hpp"
#include "run/stage_context.hpp"
#include "settings/reward_prompt_settings.hpp"
#include "support/catch.hpp"
#include "support/stage_runs.hpp"
#include "support/temporary_directory.hpp"

using namespace coho;
using namespace coho::trainer;
using namespace coho::test;

namespace {

struct reader {
  temporary_directory folder;
  loaded_model model = load_model(demo_base());

  reader() {
    load_role(model, "reward", {});
    model.bank->add_head("reward");
    write_bytes(folder / "guided.txt", "{Output} {Input}\n{Dimensions}\nscore:");
    write_bytes(folder / "plain.txt", "{Input} {Output}\nscore:");
  }

  reward_role make(const settings& more = {}, std::string_view stage = "reward") {
    return make_reward_role(model, "reward",
                            config(settings{"reward_prompt.template=" + (folder / "guided.txt").string(),
                                            "reward_prompt.plain_template=" + (folder / "plain.txt").string()} +
                                   more),
                            stage);
  }
  std::string text(const reward_role& role, const reward_query& query) const {
    return model.tokenizer->decode(std::span<const token>(role.tokens(query)).subspan(1));
  }
};

const std::string question = "what color is the fox?", answer = "the fox is red.";
const std::vector<std::string> lines{"be kind."};

}  // namespace

TEST_CASE("reward_prompts: records with principles read one template, those without the other") {
  reader reads;
  const auto role = reads.make();
  const auto guided = reads.text(role, {.prompt = question, .response = answer, .principles = lines});
  CHECK(guided.starts_with("the fox is red. what color is the fox?"));
  CHECK(guided.find("be kind.") != std::string::npos);
  CHECK(reads.text(role, {.prompt = question, .response = answer}) == "what color is the fox? the fox is red.\nscore:");
}

TEST_CASE("reward_prompts: a long query loses its beginning, a long response its end") {
  reader reads;
  const auto& tokenizer = *reads.model.tokenizer;
  const auto role = reads.make({"reward_prompt.query_tokens=4", "reward_prompt.response_tokens=3"});
  const auto asked = tokenizer.encode(question), answered = tokenizer.encode(answer);
  const std::string expected = tokenizer.decode(std::span<const token>(asked).last(4)) + " " +
                               tokenizer.decode(std::span<const token>(answered).first(3)) + "\nscore:";
  CHECK(reads.text(role, {.prompt = question, .response = answer}) == expected);
  const auto all = reads.make({"reward_prompt.query_tokens=0", "reward_prompt.response_tokens=0"});
  const std::string long_answer = [] {
    std::string out;
    for (int i = 0; i < 120; ++i) out += "the fox is red. ";
    return out + "end.";
  }();
  CHECK(reads.text(all, {.prompt = question, .response = long_answer}).find("end.") != std::string::npos);
}

TEST_CASE("reward_prompts: without a recipe the shipped templates are read; others are refused") {
  reader reads;
  const auto role = make_reward_role(reads.model, "reward", config(settings{}), "reward");
  CHECK(reads.text(role, {.prompt = question, .response = answer, .principles = lines}).find("be kind.") !=
        std::string::npos);
  CHECK_THROWS_AS(reads.make({"reward_prompt.template=" + (reads.folder / "plain.txt").string()}), file_error);
  CHECK_THROWS_AS(reads.make({"reward_prompt.plain_template=" + (reads.folder / "guided.txt").string()}), file_error);
  CHECK_THROWS_AS(reads.make({"reward_prompt.template=" + (reads.folder / "none.txt").string()}), file_error);
}

TEST_CASE(
    "reward_prompts: of a long dialogue the last 128 tokens of the query and the first 768 of the response are read") {
  reader reads;
  const auto& tokenizer = *reads.model.tokenizer;
  std::string before, reply;
  for (int i = 0; i < 60; ++i) before += "Human: what color is the fox?\n\nAssistant: the fox is red.\n\n";
  for (int i = 0; i < 300; ++i) reply += i % 2 == 0 ? "the owl is gray. " : "why? ";
  const std::string asked = before + "Human: why is the owl gray?";
  write_bytes(reads.folder / "hh.jsonl", nlohmann::json{{"chosen", "\n\n" + asked + "\n\nAssistant: " + reply + "end"},
                                                        {"rejected", "\n\n" + asked + "\n\nAssistant: no."}}
                                                 .dump() +
                                             "\n");
  const auto record = read_records<preference_record>(reads.folder / "hh.jsonl").at(0);
  CHECK(record.prompt.text() == asked);
  const auto query = tokenizer.encode(record.prompt.text()), response = tokenizer.encode(record.chosen());
  REQUIRE(query.size() > 256);
  REQUIRE(response.size() > 800);
  const std::string kept_query = tokenizer.decode(std::span<const token>(query).last(128)),
                    kept_response = tokenizer.decode(std::span<const token>(response).first(768));
  const auto text = reads.text(reads.make(), {.prompt = record.prompt.text(), .response = record.chosen()});
  CHECK(text == kept_query + " " + kept_response + "\nscore:");
  CHECK(kept_query.ends_with("why is the owl gray?"));
}

TEST_CASE("reward_prompts: limits are a stage's own, else the shared section's, else those of the released scripts") {
  const auto limits = [](const settings& given, std::string_view stage) {
    const config options(given);
    const auto out = read_reward_prompt(options, stage).limits;
    options.check_unknown();
    return std::pair{out.query_tokens, out.response_tokens};
  };
  using pair = std::pair<std::size_t, std::size_t>;
  CHECK(limits({}, "preference_pretraining") == pair{256, 640});
  CHECK(limits({}, "reward") == pair{128, 768});
  CHECK(limits({}, "ppo") == pair{0, 0});
  CHECK(limits({}, "eval") == pair{0, 0});
  const settings shared{"reward_prompt.query_tokens=7", "reward_prompt.response_tokens=8"};
  for (const char* stage : {"preference_pretraining", "reward", "ppo", "eval"})
    CHECK(limits(shared, stage) == pair{7, 8});
  CHECK(limits(shared + settings{"ppo.reward_prompt.query_tokens=0"}, "ppo") == pair{0, 8});
  CHECK(limits({"eval.reward_prompt.response_tokens=5"}, "eval") == pair{0, 5});
}

TEST_CASE("reward_prompts: answers that differ past the training's limit tie there, and nowhere else") {
  reader reads;
  std::string same;
  for (int i = 0; i < 300; ++i) same += i % 2 == 0 ? "the owl is gray. " : "why? ";
  REQUIRE(reads.model.tokenizer->encode(same).size() > 768);
  const std::string one = same + "the fox is red.", other = same + "no.";
  const auto tokens = [&](const reward_role& role, const std::string& response) {
    return role.tokens({.prompt = question, .response = response, .principles = lines});
  };
  const auto trained = reads.make();
  CHECK(tokens(trained, one) == tokens(trained, other));
  for (const char* stage : {"ppo", "eval"}) {
    const auto role = reads.make({}, stage);
    CHECK(tokens(role, one) != tokens(role, other));
    CHECK(role.cuts().responses == 0);
  }
  // What was cut is counted, and said once.
  CHECK(trained.cuts().read == 2);
  CHECK(trained.cuts().responses == 2);
  CHECK(trained.cuts().queries == 0);
  const config options(settings{});
  stage_context context("reward", options, false, false, true);
  CHECK(log_cuts(trained, "reward", context));
  CHECK_FALSE(log_cuts(reads.make(), "reward", context));
  CHECK(log_cuts(reads.make({}, "ppo"), "ppo", context));
}

TEST_CASE("reward_prompts: templates are named by path or as shipped") {
  reader reads;
  const auto role =
      make_reward_role(reads.model, "reward", config(settings{"reward_prompt.template=reward"}), "reward");
  CHECK(reads.text(role, {.prompt = question, .response = answer, .principles = lines}).find("Verdict") !=
        std::string::npos);
}
