#include "tokenizer/sentencepiece.hpp"

#include <sstream>

#include <nlohmann/json.hpp>

#include <coho/concepts.hpp>
#include <coho/error.hpp>
#include <coho/rng.hpp>

#include "files/json_file.hpp"
#include "reference_trainer/tokenizer/model_bytes.hpp"
#include "support/catch.hpp"
#include "support/shared_data.hpp"
#include "support/temporary_directory.hpp"

using namespace coho::trainer;
using namespace coho::test;
using Catch::Matchers::ContainsSubstring;
using coho::token;

static_assert(coho::tokenizer<sentencepiece_tokenizer>);

namespace {

const std::string space = "\xE2\x96\x81";

/// 0 <unk>, 1 <s>, 2 </s>, 3–258 bytes, 259 ▁, 260 a, 261 b, 262 ▁a, 263 ab, 264 (, 265 (a, 266 <tool>.
sentencepiece_tokenizer small_tokenizer(bool byte_fallback = true) {
  model_parts parts;
  constexpr const char* digits = "0123456789ABCDEF";
  for (int value = 0; byte_fallback && value < 256; ++value) {
    parts.pieces += piece_field(std::string("<0x") + digits[value / 16] + digits[value % 16] + ">", 0, 6);
  }
  float score = 0;
  for (const auto& text : {space, std::string("a"), std::string("b"), space + "a", std::string("ab"), std::string("("),
                           std::string("(a")}) {
    parts.pieces += piece_field(text, score -= 1);
  }
  parts.pieces += piece_field("<tool>", 0, 4);
  if (byte_fallback) parts.trainer += number_field(35, 1);
  return sentencepiece_tokenizer::from_bytes(parts.bytes());
}

std::vector<token> ids_with_bos(const nlohmann::json& json) {
  auto ids = json.get<std::vector<token>>();
  REQUIRE((!ids.empty() && ids.front() == 1));
  ids.erase(ids.begin());
  return ids;
}

}  // namespace

TEST_CASE("sentencepiece: a small model encodes by its merges and falls back to bytes") {
  const auto tokenizer = small_tokenizer();
  CHECK(tokenizer.size() == 267);
  CHECK((tokenizer.unk() == 0 && tokenizer.bos() == 1 && tokenizer.eos() == 2 && tokenizer.pad() == -1));
  CHECK(tokenizer.encode("") == std::vector<token>{});
  CHECK(tokenizer.encode("a") == std::vector<token>{262});
  CHECK(tokenizer.encode("ba") == std::vector<token>{259, 261, 260});
  CHECK(tokenizer.encode("\n") == std::vector<token>{259, 3 + 10});
  CHECK(tokenizer.encode("é") == std::vector<token>{259, 3 + 0xC3, 3 + 0xA9});
  CHECK(tokenizer.encode("b<tool>b") == std::vector<token>{259, 261, 266, 261});
  CHECK(tokenizer.encode("</s>").size() > 1);  // the name of a control piece is plain text
  CHECK(tokenizer.piece(262) == space + "a");
  CHECK(tokenizer.piece_to_id("ab") == 263);
  CHECK(tokenizer.piece_to_id("nothing") == 0);
  CHECK(tokenizer.is_control(2));
  CHECK_FALSE(tokenizer.is_control(262));
}

TEST_CASE("sentencepiece: decoding, whole and piecewise") {
  const auto tokenizer = small_tokenizer();
  const auto decode = [&](std::vector<token> ids) { return tokenizer.decode(ids); };
  const auto piecewise = [&](std::vector<token> ids) { return tokenizer.decode_piecewise(ids); };
  CHECK(decode({262, 261}) == "ab");
  CHECK(piecewise({262, 261}) == " ab");
  CHECK(decode({1, 262, 261, 2}) == "ab");
  CHECK(decode({259, 262}) == " a");
  CHECK(decode({259, 3 + 0xC3, 3 + 0xA9}) == "é");
  CHECK(piecewise({3 + 0xC3, 3 + 0xA9}) == "é");
  CHECK(decode({3 + 0xC3}) == "\xEF\xBF\xBD");
  CHECK(decode({3 + 32, 261}) == " b");  // a space byte is text, not the space of a first word
  CHECK(decode({}) == "");
  CHECK(decode({0}) == " \xE2\x81\x87 ");
  CHECK(tokenizer.token_bytes(3 + 0xC3) == "\xC3");
  CHECK(tokenizer.token_bytes(262) == " a");
  CHECK(tokenizer.token_bytes(2).empty());
  CHECK(tokenizer.display_text(2) == "</s>");
  CHECK(tokenizer.display_text(3 + 0xC3) == "\xEF\xBF\xBD");
  CHECK_THROWS_AS(decode({267}), coho::argument_error);
  CHECK_THROWS_AS(decode({-1}), coho::argument_error);
  CHECK_THROWS_AS(tokenizer.piece(267), coho::argument_error);
}

TEST_CASE("sentencepiece: added tokens have ids, texts and names, and no text of a user becomes one") {
  const auto plain = small_tokenizer();
  REQUIRE(plain.special_tokens().size() == 2);
  CHECK((plain.special_tokens()[0].text == "<s>" && plain.special_tokens()[0].id == 1));
  CHECK((plain.special_tokens()[1].text == "</s>" && plain.special_tokens()[1].id == 2));
  CHECK(plain.begin_tokens() == std::vector<token>{1});

  // A control, a word, one at a piece's id that is no control piece, and what files repeat of the model.
  const auto more = plain.with_tokens(
      {{"<unk>", 0, true}, {"</s>", 2, true}, {"ab", 263, true}, {"<|end|>", 267, true}, {"<word>", 270, false}}, -1,
      267);
  CHECK(more.size() == 271);
  CHECK((more.bos() == -1 && more.eos() == 267 && more.unk() == 0));
  CHECK(more.begin_tokens().empty());
  std::string names;
  for (const auto& each : more.special_tokens()) names += each.text + "=" + std::to_string(each.id) + " ";
  CHECK(names == "<s>=1 </s>=2 ab=263 <|end|>=267 <word>=270 ");
  for (const char* text : {"<|end|>", "a<word>", "</s>", "ab"}) CHECK(more.encode(text) == plain.encode(text));
  CHECK(more.decode(std::vector<token>{262, 267, 270, 261}) == "a<word>b");
  CHECK(more.decode_piecewise(std::vector<token>{270}) == "<word>");
  CHECK(more.token_bytes(267).empty());
  CHECK(more.display_text(267) == "<|end|>");
  CHECK((more.is_control(267) && !more.is_control(270)));
  CHECK((more.is_control(268) && more.piece(268).empty()));  // in the gap
  CHECK((more.piece(270) == "<word>" && more.piece_to_id("<word>") == 270 && more.piece_to_id("<|end|>") == 267));
  CHECK_THROWS_AS(more.piece(271), coho::argument_error);
  CHECK_THROWS_AS(plain.piece(267), coho::argument_error);
  CHECK_THROWS_AS(plain.with_tokens({{"", 300, true}}, 1, 2), coho::argument_error);
}

TEST_CASE("sentencepiece: a continuation is encoded in its context") {
  const auto tokenizer = small_tokenizer();
  CHECK(tokenizer.encode_in_context("b", "b") == std::vector<token>{261});
  CHECK(tokenizer.encode_in_context("b", " a") == std::vector<token>{262});
  CHECK(tokenizer.encode_in_context("", "a") == std::vector<token>{262});
  CHECK(tokenizer.encode_in_context("b", "") == std::vector<token>{});
  // The merge over the border takes the prefix's last token along.
  CHECK(tokenizer.encode("b(") == std::vector<token>{259, 261, 264});
  CHECK(tokenizer.encode_in_context("b(", "a") == std::vector<token>{265});
}

TEST_CASE("sentencepiece: without byte fallback unknown characters become the unknown piece") {
  const auto tokenizer = small_tokenizer(false);
  CHECK(tokenizer.encode("z") == std::vector<token>{3, 0});
}

TEST_CASE("sentencepiece: files are found in directories and other tokenizers refused by their kind") {
  const temporary_directory folder;
  const auto refused = [&](const std::string& bytes, const std::string& text) {
    write_bytes(folder / "t.model", bytes);
    CHECK_THROWS_AS(sentencepiece_tokenizer::from_file(folder / "t.model"), coho::file_error);
    CHECK_THROWS_WITH(sentencepiece_tokenizer::from_file(folder / "t.model"), ContainsSubstring(text));
  };
  refused("{\"version\": \"1.0\"}", "is a JSON tokenizer");
  refused("IQ== 0\nIg== 1\n", "as in Llama 3");
  refused("", "is empty");
  refused("hello", "is not a sentencepiece model");
  CHECK_THROWS_WITH(sentencepiece_tokenizer::from_file(folder.path()),
                    ContainsSubstring("tokenizer.model: no such file"));
  std::filesystem::create_directory(folder / "tokenizer.model");
  CHECK_THROWS_WITH(sentencepiece_tokenizer::from_file(folder.path()),
                    ContainsSubstring("tokenizer.model: is a directory, but a file is needed"));
  std::filesystem::remove(folder / "tokenizer.model");
  write_bytes(folder / "tokenizer.model", small_tokenizer().serialized());
  CHECK(sentencepiece_tokenizer::from_file(folder.path()).size() == 267);
  CHECK_THROWS_AS(sentencepiece_tokenizer::from_file(folder / "none"), coho::file_error);
  write_bytes(folder / "big", std::string((16u << 20) + 1, '\n'));
  CHECK_THROWS_WITH(sentencepiece_tokenizer::from_file(folder / "big"), ContainsSubstring("16777216 bytes"));
}

TEST_CASE("sentencepiece: a normaliser that is in order works") {
  model_parts parts;
  parts.pieces += piece_field(space, -1) + piece_field("a", -2);
  parts.normalizer += bytes_field(2, character_map(units_of_small_map(), std::string_view("a\0", 2)));
  CHECK(sentencepiece_tokenizer::from_bytes(parts.bytes()).encode("A") == std::vector<token>{3, 4});
}

TEST_CASE("sentencepiece: damaged models are refused or work, but never crash") {
  model_parts parts;
  parts.pieces +=
      piece_field(space, -1) + piece_field("a", -2) + piece_field(space + "a", -3) + piece_field("<tool>", 0, 4);
  parts.normalizer += bytes_field(2, character_map(units_of_small_map(), std::string_view("a\0", 2)));
  const auto whole = parts.bytes();
  coho::rng random(7);
  std::size_t refused = 0, loaded = 0;
  for (int trial = 0; trial < 3000; ++trial) {
    auto bytes = whole;
    if (random.bernoulli(0.2)) bytes.resize(random.index(bytes.size()));
    for (auto changes = 1 + random.index(3); changes > 0 && !bytes.empty(); --changes) {
      bytes[random.index(bytes.size())] = static_cast<char>(random.index(256));
    }
    try {
      const auto tokenizer = sentencepiece_tokenizer::from_bytes(bytes);
      tokenizer.decode(tokenizer.encode("AaA <tool> é"));
      ++loaded;
    } catch (const coho::error&) {
      ++refused;
    }
  }
  CHECK(refused > 100);
  CHECK(loaded > 100);
}

TEST_CASE("sentencepiece: LLaMA 2's tokenizer gives the ids of another program") {
  const auto data = shared_data();
  if (!data) {
    WARN("shared data absent: skipped");
    return;
  }
  const auto tokenizers = *data / "tokenizers";
  const auto tokenizer = sentencepiece_tokenizer::from_file(tokenizers / "llama2.model");
  CHECK(tokenizer.size() == 32000);

  const auto text = read_bytes(tokenizers / "llama2_cases.inp");
  std::istringstream ids(read_bytes(tokenizers / "llama2_cases.out"));
  const std::string border = "\n__ggml_vocab_test__\n";
  std::size_t cases = 0;
  for (std::size_t begin = 0; begin < text.size();) {
    const auto end = text.find(border, begin);
    if (end == std::string::npos) break;
    const auto input = text.substr(begin, end - begin);
    begin = end + border.size();
    std::string line;
    REQUIRE(std::getline(ids, line));
    std::istringstream words(line);
    std::vector<token> expected;
    for (token id = 0; words >> id;) expected.push_back(id);
    CAPTURE(cases, input);
    CHECK(tokenizer.encode(input) == expected);
    CHECK(tokenizer.decode(expected) == input);
    ++cases;
  }
  CHECK(cases == 46);  // the 47th, after the last border, is the empty text
  CHECK(tokenizer.encode("").empty());

  for (const auto& item : read_json(tokenizers / "llama2c_encode_cases.json")) {
    CHECK(tokenizer.encode(item["text"].get<std::string>()) == ids_with_bos(item["ids_with_bos"]));
  }
}

TEST_CASE("sentencepiece: stories260K's tokenizer gives the ids of another program") {
  const auto data = shared_data();
  if (!data) {
    WARN("shared data absent: skipped");
    return;
  }
  const auto tokenizer = sentencepiece_tokenizer::from_file(*data / "stories260K");
  CHECK(tokenizer.size() == 512);
  const auto golden = read_json(*data / "stories260K/golden.json");
  for (const auto& item : golden["encode"]) {
    const auto ids = ids_with_bos(item["ids_with_bos"]);
    CHECK(tokenizer.encode(item["text"].get<std::string>()) == ids);
    CHECK(tokenizer.decode(ids) == item["text"].get<std::string>());
  }
  const auto story = tokenizer.decode(golden["tokens"].get<std::vector<token>>());
  CHECK(story.starts_with("Once upon a time, there was a little girl named Lily."));
}

TEST_CASE("sentencepiece: decode agrees with encode, piecewise text and bytes on any tokens") {
  const auto data = shared_data();
  if (!data) {
    WARN("shared data absent: skipped");
    return;
  }
  for (const char* name : {"llama2.model", "mistral-v1.model"}) {
    const auto tokenizer = sentencepiece_tokenizer::from_file(*data / "tokenizers" / name);
    coho::rng random(3);
    for (int trial = 0; trial < 50; ++trial) {
      std::vector<token> ids(1 + random.index(20));
      for (auto& id : ids) id = static_cast<token>(random.index(tokenizer.size()));
      const auto text = tokenizer.decode_piecewise(ids);
      CHECK(tokenizer.decode(tokenizer.encode(text)) == text);
      const auto whole = tokenizer.decode(ids);
      CHECK(whole == (text.size() == whole.size() ? text : text.substr(1)));
    }
    for (const std::string text : {" two  spaces ", "tab\tline\n", "日本語 🦙", "a\r\nb"}) {
      CHECK(tokenizer.decode(tokenizer.encode(text)) == text);
    }
  }
}
