#include "demo/corpus.hpp"

#include <cmath>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <regex>
#include <sstream>
#include <string>

#include <coho/error.hpp>
#include <coho/prompt/judge_prompt.hpp>
#include <coho/prompt/reward_prompt.hpp>
#include <coho/prompt/template.hpp>

#include "support/catch.hpp"

using namespace coho::trainer::demo;

namespace {

std::string template_text(const std::string& name) {
  const auto path = std::filesystem::path(COHO_SOURCE_DIR) / "reference_trainer/demo/prompts" / (name + ".txt");
  std::ifstream in(path, std::ios::binary);
  REQUIRE(in.good());
  return {std::istreambuf_iterator<char>(in), {}};
}

corpus_templates demo_templates() {
  return {template_text("judge"), template_text("reward"), template_text("inference")};
}

std::string answer_of(const document& d) {
  const weighted_span& last = d.spans.back();
  return d.text.substr(last.begin, last.end - last.begin);
}

}  // namespace

TEST_CASE("pairs are what the judging stage renders, and the letter", "[demo][corpus]") {
  const corpus source(demo_templates(), {});
  const coho::judge_prompt judge(
      coho::prompt_template(coho::template_kind::judge, demo_templates().judge, "judge.txt"));
  const std::regex form(
      "judge by ([a-z]+): ([^\n]*)\nuser: ([^\n]*)\n\\(a\\) ([^\n]*) =\n\\(b\\) ([^\n]*) =\nmore [a-z]+: \\(([ab])");
  for (std::uint64_t stream = 0; stream < 300; ++stream) {
    coho::rng random{1, stream};
    const document d = source.pair(false, random);
    std::smatch part;
    REQUIRE(std::regex_match(d.text, part, form));
    CHECK(judge(part[3].str(), part[4].str(), part[5].str(), part[1].str(), part[2].str()) + part[6].str() == d.text);
    CHECK(answer_of(d) == part[6].str());
    CHECK(d.spans.back().weight == 5.0);
    CHECK(d.end_weight == 0.0);
    CHECK(parse_attributes(part[4].str(), part[3].str()).valid == 1.0);
  }
}

TEST_CASE("letters follow the true judge", "[demo][corpus]") {
  const corpus source(demo_templates(), {});
  const std::regex form(
      "judge by ([a-z]+):[^\n]*\nuser: ([^\n]*)\n\\(a\\) ([^\n]*) =\n\\(b\\) ([^\n]*) =\n[^(]*\\(([ab])");
  int clear = 0, right = 0, first = 0, all = 0;
  for (std::uint64_t stream = 0; stream < 2000; ++stream) {
    coho::rng random{2, stream};
    std::smatch part;
    const document d = source.pair(false, random);
    REQUIRE(std::regex_match(d.text, part, form));
    ++all;
    first += part[5].str() == "a";
    for (const quality q : qualities) {
      if (quality_name(q) != part[1].str()) continue;
      const double odds = true_score(q, parse_attributes(part[3].str(), part[2].str())) -
                          true_score(q, parse_attributes(part[4].str(), part[2].str()));
      if (std::abs(odds) < 4) continue;
      ++clear;
      right += (odds > 0) == (part[5].str() == "a");
    }
  }
  CHECK(clear > 800);
  CHECK(right > 0.97 * clear);  // σ(4) = .982
  CHECK(first == Approx(all / 2.0).margin(100));
}

TEST_CASE("pairs with levels differ from plain ones by the level words alone", "[demo][corpus]") {
  const corpus source(demo_templates(), {});
  for (std::uint64_t stream = 0; stream < 200; ++stream) {
    coho::rng one{4, stream}, same{4, stream};
    const document plain = source.pair(false, one);
    document levels = source.pair(true, same);
    std::string text = levels.text;
    int removed = 0;
    CHECK(text.find(" =\n") == std::string::npos);
    for (const int level : {0, 1, 2, 3, 4}) {
      const std::string word = " = " + std::string(level_word(level)) + "\n";
      for (auto at = text.find(word); at != std::string::npos; at = text.find(word)) {
        text.replace(at, word.size(), " =\n");
        ++removed;
      }
    }
    CHECK(removed == 2);
    CHECK(text == plain.text);
    // Every span still covers what it is about.
    std::map<std::string, int> answers;
    for (const weighted_span& span : levels.spans) {
      if (span.weight == 5.0) ++answers[levels.text.substr(span.begin, span.end - span.begin)];
      if (span.weight == 0.1) {
        CHECK(parse_attributes(levels.text.substr(span.begin, span.end - span.begin), "").valid == 1.0);
      }
    }
    int total = 0;
    for (const auto& [word, count] : answers) {
      CHECK((word == "a" || word == "b" || word == " bad" || word == " poor" || word == " fair" || word == " good" ||
             word == " best"));
      total += count;
    }
    CHECK(total == 3);
  }
}

TEST_CASE("reviews are what the reward model reads, and the mean level", "[demo][corpus]") {
  const corpus source(demo_templates(), {});
  const coho::reward_prompt reward(
      coho::prompt_template(coho::template_kind::reward, demo_templates().reward, "reward.txt"));
  // Which principle a sentence words, and whether negated.
  std::map<std::string, std::pair<quality, bool>> meaning;
  for (const quality q : qualities) {
    for (const bool negated : {false, true}) {
      for (const auto& text : training_wordings(q, negated)) meaning[text] = {q, negated};
      for (const auto& text : held_out_wordings(q, negated)) meaning[text] = {q, negated};
    }
  }
  const std::regex form("reply: ([^\n]*)\nuser: ([^\n]*)\nrules:((\n- [^\n]*)+)\nscore: (bad|poor|fair|good|best)");
  int negations = 0;
  for (std::uint64_t stream = 0; stream < 400; ++stream) {
    coho::rng random{10, stream};
    const review_form asked{.principles = 1 + stream % 3, .negations = stream % 2 == 0, .levels = stream % 5 < 2};
    const document d = source.review(asked, random);
    std::smatch part;
    REQUIRE(std::regex_match(d.text, part, form));
    const attributes seen = parse_attributes(part[1].str(), part[2].str());
    std::vector<std::string> lines;
    double levels = 0;
    std::istringstream list(part[3].str().substr(1));
    for (std::string line; std::getline(list, line);) {
      const auto end = line.find('.') + 1;
      lines.push_back(line.substr(2, end - 2));
      const auto found = meaning.find(lines.back());
      REQUIRE(found != meaning.end());
      const auto [q, negated] = found->second;
      const int level = negated ? 4 - true_level(q, seen) : true_level(q, seen);
      CHECK(line.substr(end) == (asked.levels ? " " + std::string(level_word(level)) : std::string()));
      levels += level;
      negations += negated;
      if (!asked.negations) CHECK_FALSE(negated);
    }
    CHECK(lines.size() == asked.principles);
    const double mean = levels / static_cast<double>(lines.size());
    CHECK(part[5].str() == level_word(static_cast<int>(std::floor(mean + .5))));
    // Without the levels it is what the reward model reads, and an answer.
    std::string without = d.text;
    for (std::size_t i = d.spans.size(); i-- > 0;) {
      if (d.spans[i].weight == 5.0) without.erase(d.spans[i].begin, d.spans[i].end - d.spans[i].begin);
    }
    CHECK(reward(part[2].str(), part[1].str(), lines) == without);
    CHECK(answer_of(d) == " " + part[5].str());
  }
  CHECK(negations > 100);
}

TEST_CASE("dialogues are the inference template and a reply that ends", "[demo][corpus]") {
  const corpus source(demo_templates(), {});
  const coho::prompt_template inference(coho::template_kind::inference, demo_templates().inference, "inference.txt");
  for (std::uint64_t stream = 0; stream < 200; ++stream) {
    coho::rng random{7, stream};
    const document d = source.dialogue(random);
    const std::string answer = answer_of(d);
    const std::string question = d.text.substr(6, d.text.find('\n') - 6);
    CHECK(inference.render({{"Input", question}}) + answer == d.text);
    CHECK(parse_attributes(answer, question).valid == 1.0);
    CHECK(d.end_weight == 1.0);
  }
}

TEST_CASE("the corpus is a curriculum and depends on its generator alone", "[demo][corpus]") {
  const corpus source(demo_templates(), {.steps = 100, .documents_per_step = 200});
  const auto share = [&](std::size_t step, const std::string& start) {
    coho::rng random{8, step};
    double found = 0;
    const auto batch = source.batch(step, random);
    for (const auto& d : batch) found += d.text.rfind(start, 0) == 0;
    return found / static_cast<double>(batch.size());
  };
  CHECK(share(0, "judge") == 0);
  CHECK(share(19, "judge") == 0);
  CHECK(share(0, "user") > .15);
  CHECK(share(20, "judge") > .3);
  CHECK(share(99, "judge") > .3);
  const auto has_levels = [&](std::size_t step) {
    coho::rng random{8, step};
    for (const auto& d : source.batch(step, random)) {
      if (d.text.rfind("judge", 0) == 0 && d.text.find(" =\n") == std::string::npos) return true;
    }
    return false;
  };
  CHECK(has_levels(59));
  CHECK_FALSE(has_levels(60));

  coho::rng one{8, 30}, again{8, 30}, other{9, 30};
  const auto a = source.batch(30, one), b = source.batch(30, again), c = source.batch(30, other);
  bool all_equal = true, any_different = false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    all_equal = all_equal && a[i].text == b[i].text;
    any_different = any_different || a[i].text != c[i].text;
  }
  CHECK(all_equal);
  CHECK(any_different);
}

TEST_CASE("a corpus refuses templates and options that it cannot use", "[demo][corpus]") {
  auto templates = demo_templates();
  templates.reward = "reply: {Output}";
  CHECK_THROWS_AS(corpus(templates, {}), coho::argument_error);
  CHECK_THROWS_AS(corpus(demo_templates(), {.steps = 0}), coho::option_error);
  CHECK_THROWS_AS(corpus(demo_templates(), {.documents_per_step = 0}), coho::option_error);
  CHECK_THROWS_AS(corpus(demo_templates(), {.answer_weight = 0}), coho::option_error);
  CHECK_THROWS_AS(corpus(demo_templates(), {.reply_weight = -1}), coho::option_error);
}
