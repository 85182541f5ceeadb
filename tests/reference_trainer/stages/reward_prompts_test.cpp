#include "stages/reward_prompts.hpp"

#include <coho/error.hpp>
#include <nlohmann/json.hpp>

#include "data/records.hpp"
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

  reward_role make(const settings& more = {}) {
    return make_reward_role(model, "reward",
                            config(settings{"reward_prompt.template=" + (folder / "guided.txt").string(),
                                            "reward_prompt.plain_template=" + (folder / "plain.txt").string()} +
                                   more));
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
  const auto role = make_reward_role(reads.model, "reward", config(settings{}));
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
