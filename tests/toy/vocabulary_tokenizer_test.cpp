#include <vector>

#include <coho/concepts.hpp>
#include <coho/toy/vocabulary_tokenizer.hpp>

#include "support/catch.hpp"

using namespace coho;

static_assert(tokenizer<toy::vocabulary_tokenizer>);

TEST_CASE("words to tokens and back") {
  const toy::vocabulary_tokenizer words({"</s>", "the", "fox"}, 0);
  CHECK(words.size() == 3);
  CHECK(words.eos() == 0);
  CHECK(words.encode("the fox  the") == std::vector<token>{1, 2, 1});
  CHECK(words.encode(" fox ") == std::vector<token>{2});
  CHECK(words.encode("").empty());
  CHECK(words.decode(std::vector<token>{1, 2, 0}) == "the fox");
}

TEST_CASE("what is not in the vocabulary is named") {
  const toy::vocabulary_tokenizer words({"</s>", "the"}, 0);
  CHECK_THROWS_WITH(words.encode("the dog"), Catch::Matchers::ContainsSubstring("\"dog\""));
  CHECK_THROWS_AS(words.decode(std::vector<token>{2}), argument_error);
  CHECK_THROWS_AS(toy::vocabulary_tokenizer({"a", "a"}, 0), argument_error);
  CHECK_THROWS_AS(toy::vocabulary_tokenizer({"a"}, 1), option_error);
}
