#include "demo/language.hpp"

#include <cctype>
#include <set>
#include <string>

#include "demo/principles.hpp"
#include "demo/world.hpp"
#include "support/catch.hpp"

using namespace coho::trainer::demo;

namespace {

void collect_words(const std::string& text, std::set<std::string>& out) {
  std::string word;
  for (const char c : text + " ") {
    if (std::isalpha(static_cast<unsigned char>(c))) {
      word += c;
    } else if (!word.empty()) {
      out.insert(word);
      word.clear();
    }
  }
}

}  // namespace

TEST_CASE("every sentence and prompt of the world is identified exactly", "[demo][language]") {
  std::set<std::string> words_of_a, words_of_b;
  for (const language in : {language::a, language::b}) {
    auto& words = in == language::a ? words_of_a : words_of_b;
    for (const auto kind : {sentence_kind::hedge, sentence_kind::fact, sentence_kind::example, sentence_kind::question,
                            sentence_kind::self_praise}) {
      for (std::uint8_t object = 0; object < object_count; ++object) {
        for (std::uint8_t variant = 0; variant < facts_per_object; ++variant) {
          const std::string text = render(sentence{kind, object, variant}, in);
          CHECK(identify_demo_language(text) == in);
          collect_words(text, words);
        }
      }
    }
    for (prompt p : all_prompts()) {
      p.in = in;
      CHECK(identify_demo_language(render(p)) == in);
      collect_words(render(p), words);
    }
  }
  for (const quality q : qualities) {
    for (const bool negated : {false, true}) {
      for (const auto& wording : training_wordings(q, negated)) collect_words(wording, words_of_a);
    }
  }
  CHECK(words_of_a.size() > 90);
  for (const auto& word : words_of_a) {
    CHECK(word.back() != 'u');
    CHECK(words_of_b.count(word) == 0);
  }
  // The rule keeps different words different.
  std::set<std::string> respelt;
  for (const auto& word : words_of_a) respelt.insert(to_language_b(word));
  CHECK(respelt.size() == words_of_a.size());
}

TEST_CASE("mixed and empty texts have no language", "[demo][language]") {
  CHECK(identify_demo_language("") == language::neither);
  CHECK(identify_demo_language(" .?, ") == language::neither);
  CHECK(identify_demo_language("the fox is red. thiu fexu usu ridu.") == language::neither);
  // One word of five in the other language is 20 %: not more than 80 %.
  CHECK(identify_demo_language("the fox lives in ridu") == language::neither);
  CHECK(identify_demo_language("one two three four five ridu") == language::a);
}
