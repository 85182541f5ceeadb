#include "datasets/pair_stream.hpp"

#include <set>

#include <coho/error.hpp>

#include "support/catch.hpp"
#include "support/recipe_models.hpp"
#include "support/stage_runs.hpp"
#include "support/temporary_directory.hpp"

using namespace coho;
using namespace coho::trainer;
using namespace coho::test;

namespace {

using places = std::vector<std::pair<std::size_t, std::size_t>>;
using texts = std::vector<std::string>;

std::string line(const std::string& prompt, const texts& responses) {
  std::string list;
  for (const auto& response : responses) list += (list.empty() ? "\"" : ",\"") + response + "\"";
  return R"({"instruction":")" + prompt + R"(","responses":[)" + list + "]}\n";
}

// "prompt:first|second" of every pair.
texts pairs_of(pair_stream& stream) {
  texts out;
  for (pair_record pair; stream.next(pair);)
    out.push_back(pair.prompt.instruction + ":" + pair.response_1 + "|" + pair.response_2);
  return out;
}

}  // namespace

TEST_CASE("pair stream: which of n responses are compared") {
  CHECK(choose_pairs(4, {.kind = pairing::first_two}, 0) == places{{0, 1}});
  CHECK(choose_pairs(4, {.kind = pairing::adjacent}, 0) == places{{0, 1}, {1, 2}, {2, 3}});
  CHECK(choose_pairs(4, {.kind = pairing::all}, 0) == places{{0, 1}, {0, 2}, {0, 3}, {1, 2}, {1, 3}, {2, 3}});
  for (const auto kind : {pairing::first_two, pairing::adjacent, pairing::all, pairing::random}) {
    CHECK(choose_pairs(1, {.kind = kind}, 0).empty());
    CHECK(choose_pairs(2, {.kind = kind}, 0) == places{{0, 1}});
  }
}

TEST_CASE("pair stream: random pairs differ from each other, depend on seed and prompt, and spread evenly") {
  const pairing_options two{.kind = pairing::random, .draws = 2, .random = rng{3}};
  CHECK(choose_pairs(5, two, 7) == choose_pairs(5, two, 7));
  std::map<std::pair<std::size_t, std::size_t>, int> seen;
  std::set<places> kinds;
  for (std::uint64_t prompt = 0; prompt < 1000; ++prompt) {
    const auto chosen = choose_pairs(4, two, prompt);
    REQUIRE(chosen.size() == 2);
    CHECK(chosen[0] < chosen[1]);
    kinds.insert(chosen);
    for (const auto& pair : chosen) ++seen[pair];
  }
  CHECK(kinds.size() == 15);
  // Each of the six pairs is in a third of the draws: 333 ± 5 standard deviations of 15.
  CHECK(seen.size() == 6);
  for (const auto& [pair, count] : seen) CHECK(std::abs(count - 333) < 75);
  const pairing_options many{.kind = pairing::random, .draws = 50, .random = rng{3}};
  CHECK(choose_pairs(4, many, 0).size() == 6);
}

TEST_CASE("pair stream: responses that are empty or white space are kept and counted") {
  const temporary_directory folder;
  write_bytes(folder / "a.jsonl", line("p", {"1", "", " "}) + line("q", {"1", "2"}));
  pair_stream all({folder / "a.jsonl"}, {.kind = pairing::all});
  CHECK(pairs_of(all).size() == 4);
  CHECK(all.counts().empty_responses == 2);
}

TEST_CASE("pair stream: files over the same prompts are joined, equal responses left out and counted") {
  const temporary_directory folder;
  write_bytes(folder / "a.jsonl", line("p", {"1", "2"}) + line("q", {"1", "1"}) + line("r", {"1", "2"}));
  write_bytes(folder / "b.jsonl", line("p", {"3"}) + line("q", {"1"}) + line("r", {"2"}));
  pair_stream all({folder / "a.jsonl", folder / "b.jsonl"}, {.kind = pairing::all});
  CHECK(pairs_of(all) == texts{"p:1|2", "p:1|3", "p:2|3", "r:1|2"});
  CHECK(all.counts().prompts == 3);
  CHECK(all.counts().pairs == 4);
  CHECK(all.counts().equal_responses == 3);
  CHECK(all.counts().prompts_without_pair == 1);
  // Pairs as such files hold them, and the draw is of what differs.
  write_bytes(folder / "c.jsonl", R"({"instruction":"p","output_1":"x","output_2":"x"})"
                                  "\n" +
                                      line("q", {"y"}) + line("r", {"z"}));
  pair_stream first({folder / "c.jsonl", folder / "b.jsonl"}, {});
  CHECK(pairs_of(first) == texts{"p:x|3", "q:y|1", "r:z|2"});
}

TEST_CASE("pair stream: a response that is too short is in no pair, and counted") {
  const temporary_directory folder;
  write_bytes(folder / "a.jsonl", line("p", {"long enough", "no"}) + line("q", {"long enough", "no", "also long"}) +
                                      line("r", {"\u4f60\u597d\u4f60\u597d", "four"}) + line("s", {"a", "b"}));
  pair_stream all({folder / "a.jsonl"}, {.minimum_characters = 4});
  CHECK(pairs_of(all) == texts{"q:long enough|also long", "r:\u4f60\u597d\u4f60\u597d|four"});
  CHECK(all.counts().short_responses == 4);
  CHECK(all.counts().equal_responses == 0);
  CHECK(all.counts().prompts_without_pair == 2);
  CHECK(all.counts().pairs == 2);
}

TEST_CASE("pair stream: files that do not fit together are refused with file and line") {
  const temporary_directory folder;
  write_bytes(folder / "a.jsonl", line("p", {"1", "2"}) + line("q", {"1", "2"}));
  const auto refused = [&](const std::string& other, const std::string& says, const std::string& where) {
    write_bytes(folder / "b.jsonl", other);
    pair_stream stream({folder / "a.jsonl", folder / "b.jsonl"}, {});
    INFO(other);
    CHECK_THROWS_WITH(pairs_of(stream),
                      Catch::Matchers::ContainsSubstring(says) && Catch::Matchers::ContainsSubstring(where));
  };
  refused(line("p", {"1"}) + line("x", {"1"}), "a different prompt", "b.jsonl: line 2");
  refused(line("p", {"1"}), "b.jsonl ended before this prompt", "a.jsonl: line 2");
  refused(line("p", {"1"}) + line("q", {"1"}) + line("r", {"1"}), "a.jsonl ended before", "b.jsonl: line 3");
  refused("", "has no records", "b.jsonl");
  write_bytes(folder / "one.jsonl", line("p", {"1", "2"}) + line("q", {"1"}));
  pair_stream one({folder / "one.jsonl"}, {});
  CHECK_THROWS_WITH(pairs_of(one), Catch::Matchers::ContainsSubstring("line 2") &&
                                       Catch::Matchers::ContainsSubstring("1 response: a pair needs 2"));
}

TEST_CASE("pair stream: its options") {
  const auto pairing_of = [](const settings& given) { return read_given<pairing_options>(config(given), "judge"); };
  CHECK(pairing_of(settings{}).kind == pairing::first_two);
  CHECK(pairing_of(settings{"judge.pairs=adjacent"}).kind == pairing::adjacent);
  const auto random = pairing_of(settings{"judge.pairs=random", "judge.pairs_per_prompt=3"});
  CHECK(random.kind == pairing::random);
  CHECK(random.draws == 3);
  CHECK(random.minimum_characters == 0);
  CHECK(pairing_of(settings{"judge.minimum_characters=16"}).minimum_characters == 16);
  CHECK_THROWS_AS(pairing_of(settings{"judge.pairs=every"}), config_error);
  CHECK_THROWS_AS(pairing_of(settings{"judge.pairs_per_prompt=3"}), config_error);
  CHECK_THROWS_AS(pairing_of(settings{"judge.pairs=random", "judge.pairs_per_prompt=0"}), config_error);
}
