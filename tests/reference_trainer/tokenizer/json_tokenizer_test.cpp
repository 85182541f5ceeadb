#include "tokenizer/json_tokenizer.hpp"

#include <nlohmann/json.hpp>

#include <coho/error.hpp>

#include "files/json_file.hpp"
#include "reference_trainer/tokenizer/model_bytes.hpp"
#include "reference_trainer/tokenizer_json/small_tokenizers.hpp"
#include "support/catch.hpp"
#include "support/temporary_directory.hpp"
#include "text/text_stream.hpp"
#include "tokenizer/sentencepiece.hpp"
#include "tokenizer/special_token_ids.hpp"

using namespace coho::trainer;
using namespace coho::test;
using Catch::Matchers::ContainsSubstring;
using coho::token;
using nlohmann::json;
using tokens = std::vector<token>;

namespace {

json_tokenizer byte_level() { return json_tokenizer::from_text(byte_level_tokenizer().dump()); }
json_tokenizer converted() { return json_tokenizer::from_text(converted_tokenizer().dump()); }

std::string names(const text_tokenizer& tokenizer) {
  std::string out;
  for (const auto& each : tokenizer.special_tokens()) out += each.text + "=" + std::to_string(each.id) + " ";
  return out;
}

}  // namespace

TEST_CASE("json_tokenizer: texts, tokens and what they add to a text") {
  const auto tokenizer = byte_level();
  CHECK(tokenizer.encode("the <tool><|end|>") == tokens{116, 257, 32, 265, 60, 124, 101, 110, 100, 124, 62});
  CHECK(tokenizer.decode(tokens{116, 257, 264, 32, 265}) == "the <tool>");
  CHECK(tokenizer.decode_piecewise(tokens{258, 195, 169}) == " the\u00e9");
  CHECK((tokenizer.token_bytes(195) == "\xC3" && tokenizer.token_bytes(264).empty()));
  CHECK((tokenizer.display_text(264) == "<|end|>" && tokenizer.display_text(195) == "\uFFFD"));
  CHECK((tokenizer.is_control(264) && !tokenizer.is_control(265) && !tokenizer.is_control(0)));
  CHECK((tokenizer.piece_to_id("<tool>") == 265 && tokenizer.piece_to_id("none") == -1));
  CHECK((tokenizer.bos() == -1 && tokenizer.eos() == -1 && tokenizer.begin_tokens().empty()));
  CHECK(tokenizer.encode_in_context(" t", "he") == tokens{258});
  CHECK(tokenizer.encode_in_context("a", "he") == tokens{257});
  CHECK_THROWS_AS(tokenizer.piece(266), coho::argument_error);
  CHECK_THROWS_AS(tokenizer.decode(tokens{-1}), coho::argument_error);

  const auto spaced = converted();
  CHECK((spaced.bos() == 1 && spaced.unk() == 0 && spaced.piece_to_id("none") == 0));
  CHECK(spaced.decode(tokens{1, 268, 268}) == "hello hello");
  CHECK(spaced.decode_piecewise(tokens{268}) == " hello");
}

TEST_CASE("json_tokenizer: a character that comes in several tokens is shown when it is whole") {
  const auto tokenizer = byte_level();
  text_stream shown({"\n"});
  std::string text;
  for (const token id : tokens{104, 240, 159, 152, 128}) {
    const auto part = shown.add(tokenizer.token_bytes(id));
    CHECK((part.empty() || part == "h" || part == "\U0001F600"));
    text += part;
  }
  CHECK(text == "h\U0001F600");
  shown.add(tokenizer.token_bytes(195));
  CHECK(shown.finish() == "\uFFFD");
}

TEST_CASE("json_tokenizer: tokens that files next to it add") {
  const auto more =
      byte_level().with_tokens({{.text = "<tool>", .id = 265}, {.text = "<|x|>", .id = 267, .special = true}}, -1, 267);
  CHECK(names(more) == "<tool>=265 <|x|>=267 ");  // <|end|> is not named: beyond the model's vocabulary
  CHECK((more.size() == 268 && more.eos() == 267 && more.is_control(267) && more.is_control(266)));
  CHECK(more.piece(266).empty());
  // The end token is special, whatever its description says; what contradicts the file is not taken.
  const auto ended = byte_level().with_tokens(
      {{.text = "<|end|>", .id = 264}, {.text = "<tool>", .id = 265}, {.text = "other", .id = 257}}, -1, 265);
  CHECK((names(ended) == "<|end|>=264 <tool>=265 " && ended.is_control(265) && ended.piece(257) == "he"));
}

TEST_CASE("text_tokenizer: of a folder with both files, tokenizer.json is read") {
  const temporary_directory folder;
  CHECK_FALSE(has_tokenizer(folder.path()));
  CHECK_THROWS_WITH(load_tokenizer(folder.path()), ContainsSubstring("no such file, and no tokenizer.model"));
  model_parts parts;
  parts.pieces += piece_field("\xE2\x96\x81", -1) + piece_field("a", -2);
  write_bytes(folder / "tokenizer.model", parts.bytes());
  CHECK(has_tokenizer(folder.path()));
  CHECK(
      (load_tokenizer(folder.path())->file_name() == "tokenizer.model" && load_tokenizer(folder.path())->size() == 5));
  write_json(folder / "tokenizer.json", byte_level_tokenizer());
  CHECK(
      (load_tokenizer(folder.path())->file_name() == "tokenizer.json" && load_tokenizer(folder.path())->size() == 266));
  CHECK(load_tokenizer(folder / "tokenizer.model")->size() == 5);
  CHECK(load_tokenizer(folder / "tokenizer.json")->model_size() == 264);
  for (const auto& [content, words] :
       std::vector<std::pair<std::string, std::string>>{{"{\"version\": ", "ends in the middle"},
                                                        {"{\"version\" 1}", "byte 12: is not a JSON document; put"},
                                                        {" \n", "tokenizer.json: is empty; put"},
                                                        {"\xEF\xBB\xBF{}", "begins with a byte order mark"},
                                                        {"[]", "is not a JSON object; put"},
                                                        {"{}", "model: is missing; put"}}) {
    write_bytes(folder / "tokenizer.json", content);
    CHECK_THROWS_WITH(load_tokenizer(folder.path()), ContainsSubstring(words));
  }
  std::filesystem::remove(folder / "tokenizer.json");
  std::filesystem::create_directory(folder / "tokenizer.json");
  CHECK_THROWS_WITH(load_tokenizer(folder.path()), ContainsSubstring("tokenizer.json: is a directory"));
}

TEST_CASE("json_tokenizer: begin and end tokens from the files of a folder") {
  const temporary_directory folder;
  write_json(folder / "tokenizer.json", byte_level_tokenizer());
  write_json(folder / "tokenizer_config.json", {{"eos_token", "<|end|>"}, {"bos_token", "<|end|>"}});
  const auto tokenizer = load_tokenizer(folder.path());
  const auto ids = read_special_token_ids(folder.path(), *tokenizer, 300, {});
  CHECK((ids.begin == -1 && ids.begin_piece == 264 && ids.end == 264 && ids.ends == tokens{264}));
  CHECK(ids.contradictions.empty());
  CHECK(names(*tokenizer->extended(ids.added, ids.begin, ids.end)) == "<|end|>=264 <tool>=265 ");
  // Added tokens beyond the rows of the embedding are not used.
  const auto few = read_special_token_ids(folder.path(), *tokenizer, 265, {264});
  CHECK(names(*tokenizer->extended(few.added, few.begin, few.end)) == "<|end|>=264 ");
  std::filesystem::remove(folder / "tokenizer_config.json");
  CHECK_THROWS_WITH(read_special_token_ids(folder.path(), *tokenizer, 300, {}),
                    ContainsSubstring("no file names an end token, and tokenizer.json has none"));
  write_json(folder / "tokenizer.json", converted_tokenizer());
  const auto begun = read_special_token_ids(folder.path(), *load_tokenizer(folder.path()), 300, {2});
  CHECK((begun.begin == 1 && begun.end == 2));
}
