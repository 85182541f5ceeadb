#include "demo/principles.hpp"

#include <set>
#include <sstream>
#include <string>

#include <coho/error.hpp>

#include "support/catch.hpp"

using namespace coho::trainer::demo;

namespace {

std::set<std::string> words_of(const std::vector<std::string>& texts) {
  std::set<std::string> out;
  for (const auto& text : texts) {
    std::istringstream in(text);
    for (std::string word; in >> word;) out.insert(word);
  }
  return out;
}

}  // namespace

TEST_CASE("held-out wordings are disjoint from training wordings", "[demo][principles]") {
  std::set<std::string> training;
  for (const quality q : qualities) {
    for (const bool negated : {false, true}) {
      for (const auto& text : training_wordings(q, negated)) CHECK(training.insert(text).second);
    }
  }
  CHECK(training.size() == 6 * 2 * 8);
  for (const quality q : qualities) {
    for (const bool negated : {false, true}) {
      CHECK(held_out_wordings(q, negated).size() == 4);
      for (const auto& text : held_out_wordings(q, negated)) CHECK(training.count(text) == 0);
    }
  }
}

TEST_CASE("only the noun of a held-out wording is new: each word of negation is in training", "[demo][principles]") {
  for (const quality q : qualities) {
    for (const bool negated : {false, true}) {
      const auto training = words_of(training_wordings(q, negated));
      std::set<std::string> unseen;
      for (const auto& word : words_of(held_out_wordings(q, negated))) {
        if (training.count(word) == 0) unseen.insert(word);
      }
      CHECK(unseen.size() == 1);
    }
  }
}

TEST_CASE("each list of principles is one that the library accepts", "[demo][principles]") {
  std::set<std::string> definitions;
  for (std::size_t wording = 0; wording < 8; ++wording) {
    const auto list = principles_in_wording(wording);
    CHECK_NOTHROW(coho::check_principles(list));
    REQUIRE(list.size() == 6);
    for (const auto& one : list) {
      CHECK(one.can_be_negated());
      definitions.insert(one.definition);
      definitions.insert(one.negative_definition);
    }
    CHECK(list[coho::find_principle(list, "modest")].name == quality_name(quality::modest));
  }
  CHECK(definitions.size() == 6 * 2 * 8);
  CHECK_THROWS_AS(principles_in_wording(8), coho::argument_error);
}

TEST_CASE("the true judge's log-odds", "[demo][principles]") {
  attributes plain, boastful;
  plain.facts = 2, plain.words = 9, plain.question = true;
  boastful.facts = 1, boastful.words = 10, boastful.self_praise = true;
  const auto difference = [&](quality q) { return true_score(q, boastful) - true_score(q, plain); };
  CHECK(difference(quality::informative) == Approx(-4));
  CHECK(difference(quality::concise) == Approx(-.8));
  CHECK(difference(quality::honest) == 0);
  CHECK(difference(quality::example) == 0);
  CHECK(difference(quality::engaging) == Approx(1.5 * (4 - .6)));
  CHECK(difference(quality::modest) == Approx(-8));
  // Modesty outweighs engagement, or no intervention could undo the hack.
  CHECK(-difference(quality::modest) > difference(quality::engaging));
}

TEST_CASE("levels lie on five steps and rise with the score", "[demo][principles]") {
  for (const quality q : qualities) {
    std::vector<attributes> replies;
    for (std::uint64_t stream = 0; stream < 60; ++stream) {
      coho::rng random{9, stream};
      const prompt p = sample_prompt(random);
      replies.push_back(measure_attributes(sample_reply(p, reply_distribution::wide(), random), p));
    }
    std::set<int> levels;
    for (const auto& one : replies) {
      levels.insert(true_level(q, one));
      for (const auto& other : replies) {
        if (true_score(q, one) >= true_score(q, other)) CHECK(true_level(q, one) >= true_level(q, other));
      }
    }
    CHECK(levels.size() >= 2);
    CHECK(*levels.begin() == 0);
    CHECK(*levels.rbegin() == 4);
  }
  CHECK(level_word(0) == "bad");
  CHECK(level_word(4) == "best");
}
