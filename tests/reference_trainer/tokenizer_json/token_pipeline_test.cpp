// Ids and texts are those of the `tokenizers` library 0.23.3 for the same files.
#include "tokenizer_json/token_pipeline.hpp"

#include <coho/error.hpp>

#include "reference_trainer/tokenizer_json/small_tokenizers.hpp"
#include "support/catch.hpp"

using namespace coho::trainer;
using namespace coho::test;
using Catch::Matchers::ContainsSubstring;
using coho::token;
using nlohmann::json;
using tokens = std::vector<token>;

namespace {

token_pipeline pipeline_of(const json& file) { return token_pipeline::from_text(file.dump()); }

tokens marked(const token_pipeline& pipeline, std::string_view text) {
  return pipeline.encode(text, token_text::marked);
}
tokens plain(const token_pipeline& pipeline, std::string_view text) { return pipeline.encode(text, token_text::plain); }

}  // namespace

TEST_CASE("token_pipeline: a byte-level vocabulary") {
  const auto pipeline = pipeline_of(byte_level_tokenizer());
  CHECK(plain(pipeline, "the inner tall \u00e9") == tokens{116, 257, 32, 259, 110, 260, 256, 97, 262, 32, 263});
  CHECK(plain(pipeline, "then  a\n\n the") == tokens{116, 257, 110, 32, 261, 10, 10, 258});
  CHECK(plain(pipeline, "").empty());
  CHECK(marked(pipeline, "<|end|>the <tool> x") == tokens{264, 116, 257, 32, 265, 32, 120});
  // What a user writes never becomes a special token.
  CHECK(plain(pipeline, "<|end|>the <tool> x") == tokens{60, 124, 101, 110, 100, 124, 62, 116, 257, 32, 265, 32, 120});
  CHECK(pipeline.decode(tokens{264, 116, 257, 32, 265, 32, 120}) == "the <tool> x");
  CHECK((pipeline.size() == 266 && pipeline.model_size() == 264 && pipeline.unknown() == -1));
  CHECK((pipeline.find("<tool>") == 265 && pipeline.find("he") == 257 && pipeline.find("none") == -1));
  CHECK((pipeline.piece(265) == "<tool>" && pipeline.piece(256) == "\u0120t" && pipeline.piece(999).empty()));
  CHECK(pipeline.begin_tokens().empty());
}

TEST_CASE("token_pipeline: bytes that are no characters") {
  const auto pipeline = pipeline_of(byte_level_tokenizer());
  CHECK(pipeline.decode(tokens{72, 195}) == "H\uFFFD");
  CHECK(pipeline.decode(tokens{195, 40}) == "\uFFFD(");
  CHECK(pipeline.decode(tokens{240, 159, 152}) == "\uFFFD");
  CHECK(pipeline.decode(tokens{240, 159, 65, 169}) == "\uFFFDA\uFFFD");
  CHECK(pipeline.bytes(195) == "\xC3");
  CHECK(pipeline.bytes(258) == " the");
  CHECK(pipeline.bytes(265) == "<tool>");
  CHECK(plain(pipeline, "H\xC3") == plain(pipeline, "H\uFFFD"));

  const auto converted = pipeline_of(converted_tokenizer());
  CHECK(converted.decode(tokens{268, 198}) == "hello\uFFFD");
  CHECK(converted.decode(tokens{198, 172}) == "\u00e9");
  CHECK(converted.decode(tokens{198, 43}) == "\uFFFD\uFFFD");
  CHECK(converted.decode(tokens{264, 68, 2, 266}) == "hAlo");
  CHECK((converted.bytes(198) == "\xC3" && converted.bytes(268) == " hello"));
}

TEST_CASE("token_pipeline: a vocabulary converted from sentencepiece") {
  const auto pipeline = pipeline_of(converted_tokenizer());
  CHECK(plain(pipeline, "hello hello") == tokens{268, 268});
  CHECK(pipeline.decode(tokens{268, 268}) == "hello hello");
  CHECK(marked(pipeline, "hello</s>hello") == tokens{268, 2, 268});
  CHECK(plain(pipeline, "hello</s>hello") == tokens{268, 63, 50, 118, 65, 260, 265, 266});
  CHECK(plain(pipeline, "hexo") == tokens{264, 261, 123, 263});
  CHECK(plain(pipeline, "h \u00e9") == tokens{264, 259, 198, 172});
  CHECK(plain(pipeline, " hello") == tokens{259, 268});
  CHECK((pipeline.begin_tokens() == tokens{1} && pipeline.unknown() == 0));
}

TEST_CASE("token_pipeline: characters without a piece") {
  auto file = converted_tokenizer();
  file["model"]["byte_fallback"] = false;
  file["model"]["fuse_unk"] = true;
  CHECK(plain(pipeline_of(file), "hxyo z") == tokens{264, 0, 263, 259, 0});
  file["model"]["fuse_unk"] = false;
  CHECK(plain(pipeline_of(file), "hxyo z") == tokens{264, 0, 0, 263, 259, 0});
  // An unknown token comes after the bytes that follow it: the library does it so.
  file["model"]["byte_fallback"] = file["model"]["fuse_unk"] = true;
  file["model"]["vocab"].erase("<0xC3>");
  CHECK(plain(pipeline_of(file), "\u00e9Ah\u00e9") == tokens{259, 68, 0, 260, 0});
  file["model"]["unk_token"] = nullptr;
  CHECK(plain(pipeline_of(file), "\u00e9A") == tokens{259, 68});
}

TEST_CASE("token_pipeline: both forms of merges, words that are pieces, prefixes and suffixes") {
  auto file = byte_level_tokenizer();
  const auto text = pipeline_of(file);
  for (auto& merge : file["model"]["merges"]) {
    const auto joined = merge.get<std::string>();
    const auto space = joined.find(' ');
    merge = {joined.substr(0, space), joined.substr(space + 1)};
  }
  CHECK(plain(pipeline_of(file), "the inner tall") == plain(text, "the inner tall"));
  file["model"]["ignore_merges"] = true;
  file["model"]["merges"] = json::array({file["model"]["merges"].front()});
  CHECK(plain(pipeline_of(file), "the inn er the") == tokens{116, 104, 101, 32, 105, 110, 110, 32, 101, 114, 258});

  const json affixes{
      {"type", "BPE"},
      {"vocab", {{"a", 0}, {"b", 1}, {"##b", 2}, {"b</w>", 3}, {"##b</w>", 4}, {"ab", 5}, {"a</w>", 6}, {"ab</w>", 7}}},
      {"merges", {"a ##b", "a ##b</w>"}},
      {"continuing_subword_prefix", "##"},
      {"end_of_word_suffix", "</w>"}};
  const auto words = pipeline_of({{"model", affixes}});
  CHECK(plain(words, "ab") == tokens{7});
  CHECK(plain(words, "abb") == tokens{5, 4});
  CHECK(plain(words, "a") == tokens{6});
  CHECK(plain(words, "b") == tokens{3});
  CHECK(plain(words, "aab") == tokens{7});  // no unknown token: what has no piece is left out
}

TEST_CASE("token_pipeline: the flags of added tokens") {
  auto file = byte_level_tokenizer();
  file["normalizer"] = {{"type", "Lowercase"}};
  for (const auto& each :
       {added(266, "one", false, {"single_word"}), added(267, "<l>", false, {"lstrip"}),
        added(268, "<r>", false, {"rstrip"}), added(269, "ABC", false, {"normalized"}), added(270, "<r><r>", false)})
    file["added_tokens"].push_back(each);
  const auto pipeline = pipeline_of(file);
  CHECK(marked(pipeline, "one two") == tokens{266, 256, 119, 111});
  CHECK(marked(pipeline, "onetwo") == tokens{111, 110, 101, 116, 119, 111});
  CHECK(marked(pipeline, "a one_") == tokens{97, 32, 111, 110, 101, 95});
  CHECK(marked(pipeline, "\u00e9 one, one") == tokens{263, 32, 266, 44, 32, 266});
  CHECK(marked(pipeline, "x  <l>  y") == tokens{120, 267, 32, 32, 121});
  CHECK(marked(pipeline, "x <r> \n <l> y") == tokens{120, 32, 268, 267, 32, 121});
  CHECK(marked(pipeline, "xABCabc aBc") == tokens{120, 269, 269, 32, 269});
  CHECK(pipeline.decode(tokens{120, 269, 269, 32, 269}) == "xabcabc abc");
  CHECK(marked(pipeline, "<r><r> <r>") == tokens{270, 32, 268});
}

TEST_CASE("token_pipeline: other added tokens over the same vocabulary") {
  const auto pipeline = pipeline_of(byte_level_tokenizer());
  const auto more = pipeline.with_added_tokens({{.text = "<new>", .id = 300, .special = true}});
  CHECK((more.size() == 301 && pipeline.size() == 266));
  CHECK(marked(more, "<new><tool>").size() == 7);
  CHECK((more.added(300) && more.added(300)->text == "<new>" && !more.added(264) && !more.added(299)));
  CHECK(more.bytes(299).empty());
}

TEST_CASE("token_pipeline: many words, longer ones than are remembered, and the same again") {
  const auto pipeline = pipeline_of(byte_level_tokenizer());
  std::string text;
  for (int i = 0; i < 40000; ++i) text += " " + std::to_string(i);
  const auto once = plain(pipeline, text);
  CHECK(plain(pipeline, text) == once);
  CHECK(pipeline.decode(once) == text);
  const std::string word(100000, 'h');
  CHECK(plain(pipeline, word) == tokens(100000, 104));
  std::string merged;
  for (int i = 0; i < 20000; ++i) merged += "he";
  CHECK(plain(pipeline, merged) == tokens(20000, 257));
}

TEST_CASE("token_pipeline: what is wrong in a file is told at its place") {
  const auto refused = [](const json& file, const std::string& says) {
    CHECK_THROWS_AS(pipeline_of(file), coho::file_error);
    CHECK_THROWS_WITH(pipeline_of(file), ContainsSubstring("tokenizer.json: " + says));
  };
  const auto with = [](const char* pointer, const json& value) {
    auto file = converted_tokenizer();
    file[json::json_pointer(pointer)] = value;
    return file;
  };
  refused(with("/version", "2.0"), "version: \"2.0\" is not known");
  refused(with("/model/type", "Unigram"), "model.type: \"Unigram\" is not a supported model");
  refused(with("/model/dropout", 0.1), "model.dropout: is not 0");
  refused(with("/model/vocab", json::array()), "model.vocab: must be an object");
  refused(with("/model/vocab/h", -1), "model.vocab: the id of \"h\" is not a whole number");
  refused(with("/model/vocab/h", 3), "model.vocab: \"<0x00>\" and \"h\" have the same id");
  refused(with("/model/vocab/h", 1e18), "model.vocab: the id of \"h\" is not a whole number");
  refused(with("/model/merges", 3), "model.merges: must be a list");
  refused(with("/model/merges/0", "a b c"), "model.merges: its element 0 is not a pair");
  refused(with("/model/merges/0", {"h", 1}), "model.merges: its element 0 is not a pair");
  refused(with("/model/merges/1", "h q"), "model.merges: its merge 1 has the piece \"q\"");
  refused(with("/model/unk_token", "<none>"), "model.unk_token: \"<none>\" is not in the vocabulary");
  refused(with("/model/fuse_unk", "yes"), "model.fuse_unk: must be true or false");
  refused(with("/added_tokens", 1), "added_tokens: must be a list");
  refused(with("/added_tokens/1/content", ""), "added_tokens[1].content: is empty");
  refused(with("/added_tokens/1/content", "<unk>"), "added_tokens[1].content: \"<unk>\" is added twice");
  refused(with("/added_tokens/1/id", 7), "added_tokens[1].id: is 7, but \"<s>\" gets 1, its id in the vocabulary");
  refused(with("/added_tokens/1/content", "<x>"), "added_tokens[1].id: is 1, but \"<x>\" gets 269, the next one");
  refused(with("/added_tokens/1/lstrip", 1), "added_tokens[1].lstrip: must be true or false");
  refused(with("/normalizer/normalizers/0/type", "Nmt"), "normalizer.normalizers[0].type: \"Nmt\" is not a supported");
  refused(with("/normalizer", {{"type", "Precompiled"}}), "normalizer.type: \"Precompiled\" is not a supported");
  refused(with("/normalizer", {{"type", "Replace"}, {"content", ""}}), "normalizer.pattern: is missing");
  refused(with("/pre_tokenizer", {{"type", "UnicodeScripts"}}), "pre_tokenizer.type: \"UnicodeScripts\" is not a");
  refused(with("/pre_tokenizer", {{"type", "Split"}, {"pattern", {{"Regex", "(a"}}}, {"behavior", "Isolated"}}),
          "pre_tokenizer.pattern.Regex: is not a regular expression");
  refused(with("/pre_tokenizer", {{"type", "Split"}, {"pattern", {{"String", "a"}}}, {"behavior", "Halved"}}),
          "pre_tokenizer.behavior: \"Halved\" is not a behaviour");
  refused(with("/pre_tokenizer", {{"type", "Metaspace"}, {"replacement", "ab"}}),
          "pre_tokenizer.replacement: must be one character");
  refused(with("/post_processor", {{"type", "BertProcessing"}}), "post_processor.type: \"BertProcessing\" is not a");
  refused(with("/post_processor/special_tokens", json::object()), "post_processor: names a special token");
  refused(with("/decoder/decoders/0", {{"type", "CTC"}}), "decoder.decoders[0].type: \"CTC\" is not a supported");
  refused(with("/decoder/decoders/3/start", -1), "decoder.decoders[3].start: must be a whole number");
  refused(json::object(), "model: is missing");
  CHECK_THROWS_WITH(token_pipeline::from_text("[1"), ContainsSubstring("tokenizer.json: byte "));
  CHECK_THROWS_WITH(token_pipeline::from_text("[1]"), ContainsSubstring("is not a JSON object"));
}
