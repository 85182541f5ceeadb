#include "demo/world.hpp"

#include <set>
#include <string>

#include "support/catch.hpp"

using namespace coho::trainer::demo;

TEST_CASE("the 64 facts and 128 prompts of the world are all different", "[demo][world]") {
  std::set<std::string> facts, prompts;
  for (std::size_t object = 0; object < object_count; ++object) {
    for (std::size_t fact = 0; fact < facts_per_object; ++fact) {
      const sentence s{sentence_kind::fact, static_cast<std::uint8_t>(object), static_cast<std::uint8_t>(fact)};
      facts.insert(render(s, language::a));
    }
  }
  CHECK(facts.size() == 64);
  for (const prompt& p : all_prompts()) {
    prompts.insert(render(p));
    CHECK(parse_prompt(render(p)) == p);
  }
  CHECK(prompts.size() == 128);
}

TEST_CASE("every value of a fact belongs to two objects", "[demo][world]") {
  for (std::size_t fact = 0; fact < facts_per_object; ++fact) {
    std::multiset<std::string_view> seen;
    for (std::size_t object = 0; object < object_count; ++object) seen.insert(fact_value(object, fact));
    for (const auto value : seen) CHECK(seen.count(value) == 2);
  }
}

TEST_CASE("language b is spelt by rule", "[demo][world]") {
  CHECK(to_language_b("the") == "thiu");
  CHECK(to_language_b("fox") == "fexu");
  CHECK(to_language_b("blue") == "blaiu");
  CHECK(to_language("the fox is red, why?", language::b) == "thiu fexu usu ridu, whyu?");
  CHECK(to_language("the fox is red.", language::a) == "the fox is red.");
}

TEST_CASE("the grammar accepts every sentence of sampled replies and gives it back", "[demo][world]") {
  for (std::uint64_t stream = 0; stream < 500; ++stream) {
    coho::rng random{11, stream};
    const prompt p = sample_prompt(random);
    const reply r = sample_reply(p, stream % 2 == 0 ? reply_distribution{} : reply_distribution::wide(), random);
    REQUIRE_FALSE(r.sentences.empty());
    for (const sentence& s : r.sentences) {
      const auto parsed = parse_sentence(render(s, r.in));
      REQUIRE(parsed.has_value());
      CHECK(render(parsed->first, parsed->second) == render(s, r.in));
      CHECK(parsed->first.kind == s.kind);
      CHECK(parsed->second == r.in);
    }
  }
}

TEST_CASE("the grammar refuses what is nearly a sentence", "[demo][world]") {
  CHECK(parse_sentence("the fox is red."));
  CHECK_FALSE(parse_sentence("the fox is red"));
  CHECK_FALSE(parse_sentence("fox the is red."));
  CHECK_FALSE(parse_sentence("the fox has red."));
  CHECK_FALSE(parse_sentence("the fox is tan."));  // the owl is
  CHECK_FALSE(parse_sentence("the fexu is red."));
  CHECK_FALSE(parse_sentence(""));
}

TEST_CASE("replies follow the stated frequencies", "[demo][world]") {
  const int n = 20000;
  double facts = 0, hedges = 0, praise = 0, same = 0, topic = 0;
  for (int i = 0; i < n; ++i) {
    coho::rng random{5, static_cast<std::uint64_t>(i)};
    const prompt p = sample_prompt(random);
    const reply r = sample_reply(p, {}, random);
    same += r.in == p.in;
    bool on_topic = true;
    for (const sentence& s : r.sentences) {
      facts += s.kind == sentence_kind::fact;
      hedges += s.kind == sentence_kind::hedge;
      praise += s.kind == sentence_kind::self_praise;
      if (s.kind == sentence_kind::fact) on_topic = s.object == p.object;
    }
    topic += on_topic;
  }
  // Four standard errors of a rate at n = 20000 are at most .014.
  CHECK(facts / n == Approx(.45 + 2 * .35 + 3 * .20).margin(.025));
  CHECK(hedges / n == Approx(.30).margin(.014));
  CHECK(praise / n == Approx(.12).margin(.014));
  CHECK(same / n == Approx(.70).margin(.014));
  CHECK(topic / n == Approx(.80).margin(.014));
}
