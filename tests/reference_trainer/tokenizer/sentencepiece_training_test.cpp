#include "tokenizer/sentencepiece_training.hpp"

#include <cstdio>
#include <fcntl.h>
#include <unistd.h>

#include <coho/error.hpp>

#include "support/catch.hpp"
#include "support/temporary_directory.hpp"

using namespace coho::trainer;
using coho::token;
using coho::test::read_bytes;
using coho::test::temporary_directory;

namespace {

std::vector<std::string> small_text() {
  std::vector<std::string> lines;
  for (int i = 0; i < 200; ++i) {
    lines.push_back("the river rises in spring, and salmon number " + std::to_string(i * 37 % 1000) + " swims home");
    lines.push_back("a fish that returns knows the river; the river knows nothing");
  }
  return lines;
}

using model = sentencepiece_training_options::model;

}  // namespace

TEST_CASE("train_sentencepiece: a vocabulary of LLaMA's form") {
  const temporary_directory folder;
  const auto lines = small_text();
  for (const auto kind : {model::bpe, model::unigram}) {
    const auto path = folder / "t.model";
    const std::size_t size = kind == model::bpe ? 320 : 300;
    const auto tokenizer = train_sentencepiece(lines, size, path, {.kind = kind});
    CHECK(tokenizer.size() == size);
    CHECK((tokenizer.unk() == 0 && tokenizer.bos() == 1 && tokenizer.eos() == 2 && tokenizer.pad() == -1));
    CHECK(tokenizer.piece(2) == "</s>");
    CHECK(tokenizer.piece(3) == "<0x00>");
    for (const std::string& text : {lines[0], lines[1], std::string("  spaces  kept\n"), std::string("日本語 é")}) {
      CHECK(tokenizer.decode(tokenizer.encode(text)) == text);
    }
    CHECK(tokenizer.encode(lines[1]).size() < lines[1].size());
    CHECK(sentencepiece_tokenizer::from_file(path).encode(lines[0]) == tokenizer.encode(lines[0]));
    CHECK(std::distance(std::filesystem::directory_iterator(folder.path()), {}) == 1);
  }
}

TEST_CASE("train_sentencepiece: the same text gives the same file") {
  const temporary_directory folder;
  const auto lines = small_text();
  for (const auto kind : {model::bpe, model::unigram}) {
    train_sentencepiece(lines, 300, folder / "a", {.kind = kind});
    train_sentencepiece(lines, 300, folder / "b", {.kind = kind});
    CHECK(read_bytes(folder / "a") == read_bytes(folder / "b"));
  }
}

TEST_CASE("train_sentencepiece: user symbols are kept whole, with commas and quotes") {
  const temporary_directory folder;
  const std::vector<std::string> symbols{"### User", "a,b", "say \"so\""};
  const auto tokenizer = train_sentencepiece(small_text(), 310, folder / "t", {.user_symbols = symbols, .pad = true});
  CHECK(tokenizer.pad() == 3);
  for (const auto& symbol : symbols) {
    const auto ids = tokenizer.encode("x" + symbol + "y");
    CHECK(std::ranges::count_if(ids, [&](token id) { return tokenizer.token_bytes(id) == symbol; }) == 1);
    CHECK(tokenizer.decode(ids) == "x" + symbol + "y");
  }
}

TEST_CASE("train_sentencepiece: digits stay apart") {
  const temporary_directory folder;
  const auto tokenizer = train_sentencepiece(small_text(), 320, folder / "t");
  const auto ids = tokenizer.encode("111");
  CHECK(ids.size() == 4);  // the space and three digits
}

TEST_CASE("train_sentencepiece: nothing is printed") {
  const temporary_directory folder;
  const auto log = folder / "log";
  std::fflush(stderr);
  const int saved = ::dup(STDERR_FILENO);
  const int file = ::open(log.c_str(), O_WRONLY | O_CREAT, 0600);
  REQUIRE(file >= 0);
  ::dup2(file, STDERR_FILENO);
  train_sentencepiece(small_text(), 300, folder / "t");
  std::fflush(stderr);
  ::dup2(saved, STDERR_FILENO);
  ::close(saved);
  ::close(file);
  CHECK(read_bytes(log) == "");
}

TEST_CASE("train_sentencepiece: what cannot be learned is refused and leaves no file") {
  const temporary_directory folder;
  const auto path = folder / "t";
  CHECK_THROWS_AS(train_sentencepiece(small_text(), 259, path), coho::option_error);
  CHECK_THROWS_AS(train_sentencepiece(small_text(), 2'000'000, path), coho::option_error);
  CHECK_THROWS_AS(train_sentencepiece(small_text(), 300, path, {.user_symbols = {""}}), coho::option_error);
  CHECK_THROWS_AS(train_sentencepiece(small_text(), 300, path, {.character_coverage = 0.5}), coho::option_error);
  CHECK_THROWS_AS(train_sentencepiece({}, 300, path), coho::argument_error);
  CHECK_THROWS_AS(train_sentencepiece(std::vector<std::string>{"", ""}, 300, path), coho::argument_error);
  CHECK_THROWS_AS(train_sentencepiece(small_text(), 30'000, path),
                  coho::argument_error);                                                // more pieces than the text has
  CHECK_THROWS_AS(train_sentencepiece(small_text(), 262, path), coho::argument_error);  // fewer than its characters
  CHECK_FALSE(std::filesystem::exists(path));
}
