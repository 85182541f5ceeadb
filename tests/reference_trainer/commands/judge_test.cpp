#include <nlohmann/json.hpp>

#include <coho/error.hpp>

#include "commands/commands.hpp"
#include "records/records.hpp"
#include "support/stage_runs.hpp"
#include "support/temporary_directory.hpp"

using namespace coho;
using namespace coho::trainer;
using namespace coho::test;

namespace {

constexpr const char* judged_principles = R"([{"dimension":"short","definition":"the reply is brief."},
{"dimension":"honest","definition":"the reply says what is so."},{"dimension":"kind","definition":"the reply is warm."}])";
using pair_list = std::vector<std::pair<std::string, std::string>>;
const pair_list pairs{{"the fox is red.", "the fox is big. the fox likes wind."},
                      {"i am not sure.", "the owl is gray. the owl is gray. what do we ask next?"},
                      {"the fox is red.", "the fox is red. "},
                      {"why?", "the owl lives in woods. the owl is gray. the owl likes hay."}};

void write_samples(const temporary_directory& folder, const pair_list& responses) {
  std::string lines;
  for (const auto& [a, b] : responses)
    lines += R"({"instruction":"why is the fox red?","responses":[")" + a + "\",\"" + b + "\"]}\n";
  write_bytes(folder / "samples.jsonl", lines);
}

std::string judged(const temporary_directory& folder, const std::string& out, const pair_list& responses,
                   bool resume = false) {
  write_samples(folder, responses);
  write_bytes(folder / "principles.json", judged_principles);
  run_stage(run_judge,
            {"model.path=" + demo_base().string(), "judge.samples=" + (folder / "samples.jsonl").string(),
             "judge.batch=8", "judge.principles=" + (folder / "principles.json").string(),
             "judge.template=" + (source_dir() / "reference_trainer/demo/prompts/judge.txt").string(),
             "out=" + (folder / out).string()},
            resume);
  return read_bytes(folder / out);
}

std::vector<judgement_record> records_of(const temporary_directory& folder, const pair_list& responses) {
  judged(folder, "a.jsonl", responses);
  return read_records<judgement_record>(folder / "a.jsonl");
}

}  // namespace

TEST_CASE("judge: each pair gets both orders' scores under each principle") {
  const temporary_directory folder;
  const auto records = records_of(folder, pairs);
  REQUIRE(records.size() == pairs.size());
  for (std::size_t i = 0; i < records.size(); ++i) {
    CHECK(records[i].pair.response_1 == pairs[i].first);
    CHECK(records[i].pair.response_2 == pairs[i].second);
    REQUIRE(records[i].scores.size() == 3);
    CHECK(records[i].scores[0].principle == "short");
    CHECK(records[i].scores[2].principle == "kind");
  }
  CHECK(records[0].scores[0].in_order != Approx(records[0].scores[1].in_order).margin(1e-3));
}

TEST_CASE("judge: exchanging the responses exchanges the columns and turns the signs") {
  const temporary_directory folder;
  pair_list other;
  for (const auto& [a, b] : pairs) other.emplace_back(b, a);
  const auto straight = records_of(folder, pairs), exchanged = records_of(folder, other);
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    for (std::size_t p = 0; p < 3; ++p) {
      CHECK(exchanged[i].scores[p].in_order == Approx(-straight[i].scores[p].swapped).margin(1e-4));
      CHECK(exchanged[i].scores[p].swapped == Approx(-straight[i].scores[p].in_order).margin(1e-4));
    }
  }
}

TEST_CASE("judge: a resumed file equals one of an uninterrupted run") {
  const temporary_directory folder;
  const auto times = [](std::size_t n, const std::string& text) {
    std::string out;
    for (std::size_t i = 0; i < n; ++i) out += text;
    return out;
  };
  // Lengths that differ, so that padding, and with it a score's last digits, depends on what is judged together.
  const auto reply = [&](std::size_t n) {
    return times(1 + n % 3, "the fox is red. ") + times(n % 5, "the owl likes hay. ");
  };
  pair_list many;
  for (std::size_t i = 0; i < 20; ++i) many.emplace_back(times(i % 4, "very ") + reply(i), reply(3 * i + 1));

  const auto whole = judged(folder, "a.jsonl", many);
  std::vector<std::size_t> ends;
  for (auto at = whole.find('\n'); at != std::string::npos; at = whole.find('\n', at + 1)) ends.push_back(at);
  REQUIRE(ends.size() == 20);
  for (const std::size_t cut : {ends[1] + 1, ends[4] + 30, ends[7] + 1, ends[10], std::size_t{3}}) {
    INFO("cut at byte " << cut);
    write_bytes(folder / "b.jsonl.partial", whole.substr(0, cut));
    CHECK(judged(folder, "b.jsonl", many, true) == whole);
    std::filesystem::remove(folder / "b.jsonl");
  }
}

TEST_CASE("judge: several files, pairs of all responses, equal ones left out; a resumed file is the same") {
  const temporary_directory folder;
  write_bytes(folder / "principles.json", judged_principles);
  std::string first, second;
  const auto line = [](std::size_t prompt, const std::string& responses) {
    return R"({"instruction":"why is the fox number )" + std::to_string(prompt) + R"( red?","responses":[)" +
           responses + "]}\n";
  };
  for (std::size_t i = 0; i < 5; ++i) {
    first += line(i, R"("the fox is red.","i am not sure.")");
    second += line(i, i == 2 ? R"("i am not sure.")" : R"("the owl likes hay.")");
  }
  write_bytes(folder / "a.jsonl", first);
  write_bytes(folder / "b.jsonl", second);
  const auto run = [&](const std::string& out, const settings& more, bool resume = false) {
    run_stage(
        run_judge,
        settings{"model.path=" + demo_base().string(), "judge.batch=4",
                 "judge.samples=[\"" + (folder / "a.jsonl").string() + "\",\"" + (folder / "b.jsonl").string() + "\"]",
                 "judge.principles=" + (folder / "principles.json").string(),
                 "judge.template=" + (source_dir() / "reference_trainer/prompts/judge.txt").string(),
                 "out=" + (folder / out).string()} +
            more,
        resume);
    return read_bytes(folder / out);
  };
  const auto whole = run("all.jsonl", {"judge.pairs=all"});
  const auto records = read_records<judgement_record>(folder / "all.jsonl");
  REQUIRE(records.size() == 4 * 3 + 1);
  CHECK(records[1].pair.response_1 == "the fox is red.");
  CHECK(records[1].pair.response_2 == "the owl likes hay.");
  CHECK(records[6].pair.prompt.instruction == "why is the fox number 2 red?");

  // The middle of a batch, inside a prompt's pairs, and a torn record.
  std::vector<std::size_t> ends;
  for (auto at = whole.find('\n'); at != std::string::npos; at = whole.find('\n', at + 1)) ends.push_back(at + 1);
  for (const std::size_t cut : {ends[0], ends[4] + 9, ends[7], ends[12]}) {
    INFO("cut at byte " << cut);
    write_bytes(folder / "again.jsonl.partial", whole.substr(0, cut));
    CHECK(run("again.jsonl", {"judge.pairs=all"}, true) == whole);
    std::filesystem::remove(folder / "again.jsonl");
  }
  const auto drawn = run("drawn.jsonl", {"judge.pairs=random", "judge.pairs_per_prompt=2", "seed=4"});
  CHECK(read_records<judgement_record>(folder / "drawn.jsonl").size() == 4 * 2 + 1);
  CHECK(run("same.jsonl", {"judge.pairs=random", "judge.pairs_per_prompt=2", "seed=4"}) == drawn);
}

TEST_CASE("judge: where every response equals the others there is nothing to judge") {
  const temporary_directory folder;
  CHECK_THROWS_WITH(judged(folder, "a.jsonl", {{"the fox is red.", "the fox is red."}}),
                    Catch::Matchers::ContainsSubstring("no prompt has two responses that differ"));
  CHECK_FALSE(std::filesystem::exists(folder / "a.jsonl.partial"));
}

TEST_CASE("judge: what is no pair is refused, and no file is left") {
  const temporary_directory folder;
  CHECK_THROWS_AS(judged(folder, "a.jsonl", {}), file_error);
  write_bytes(folder / "one.jsonl", R"({"instruction":"why?","responses":["one"]})");
  CHECK_THROWS_AS(
      run_stage(run_judge, {"model.path=" + demo_base().string(), "judge.samples=" + (folder / "one.jsonl").string(),
                            "out=" + (folder / "a.jsonl").string()}),
      file_error);
  CHECK_FALSE(std::filesystem::exists(folder / "a.jsonl"));
  CHECK_FALSE(std::filesystem::exists(folder / "a.jsonl.partial"));
}
