#include "tokenizer/special_token_ids.hpp"

#include <map>

#include <nlohmann/json.hpp>

#include <coho/error.hpp>

#include "files/json_file.hpp"
#include "reference_trainer/tokenizer/model_bytes.hpp"
#include "support/catch.hpp"
#include "support/temporary_directory.hpp"
#include "tokenizer/sentencepiece.hpp"

using namespace coho::trainer;
using namespace coho::test;
using Catch::Matchers::ContainsSubstring;
using coho::token;
using nlohmann::json;

namespace {

using json_files = std::map<std::string, json>;

/// 0 <unk>, 1 <s>, 2 </s>, 3 ▁, 4 a.
sentencepiece_tokenizer five_pieces(const std::string& trainer_fields = {}) {
  model_parts parts;
  parts.pieces += piece_field("\xE2\x96\x81", -1) + piece_field("a", -2);
  parts.trainer += trainer_fields;
  return sentencepiece_tokenizer::from_bytes(parts.bytes());
}

special_token_ids decided(const json_files& files, const std::vector<std::int64_t>& model_ends = {2},
                          const sentencepiece_tokenizer& tokenizer = five_pieces()) {
  const temporary_directory folder;
  for (const auto& [name, content] : files) write_json(folder / name, content);
  return read_special_token_ids(folder.path(), tokenizer, 10, model_ends);
}

std::string said(const special_token_ids& ids) {
  std::string out;
  for (const auto& line : ids.contradictions) out += line + "\n";
  return out;
}

const json ids_template{{"single", {{{"SpecialToken", {{"id", "<s>"}}}}, {{"Sequence", {{"id", "A"}}}}}},
                        {"special_tokens", {{"<s>", {{"ids", {1}}}}}}};
const std::string no_begin_id = number_field(41, static_cast<std::uint64_t>(-1));
const std::string no_end_id = number_field(42, static_cast<std::uint64_t>(-1));

}  // namespace

TEST_CASE("special_token_ids: tokenizer.model alone") {
  const auto ids = decided({});
  CHECK((ids.begin == 1 && ids.begin_piece == 1 && ids.end == 2));
  CHECK(ids.ends == std::vector<token>{2});
  CHECK(said(ids).empty());
}

TEST_CASE("special_token_ids: texts may have no begin token") {
  CHECK(decided({}, {2}, five_pieces(no_begin_id)).begin == -1);
  const auto off =
      decided({{"tokenizer_config.json", {{"add_bos_token", false}}}, {"config.json", {{"bos_token_id", 1}}}});
  CHECK((off.begin == -1 && off.begin_piece == 1));
  CHECK(said(off).empty());
  CHECK(decided({{"tokenizer_config.json", {{"bos_token", nullptr}, {"add_bos_token", true}}}}).begin == -1);
  // A piece that only a file names.
  CHECK(decided({{"tokenizer_config.json", {{"bos_token", "<s>"}, {"add_bos_token", true}}}}, {2},
                five_pieces(no_begin_id))
            .begin == 1);
  const auto unsaid = decided({{"tokenizer_config.json", {{"bos_token", "<s>"}}}});
  CHECK(unsaid.begin == 1);
  CHECK_THAT(said(unsaid), ContainsSubstring("does not set add_bos_token: 1 (\"<s>\") is prepended to every text"));
}

// transformers 5.23 does what the template says and does not look at add_bos_token.
TEST_CASE("special_token_ids: tokenizer.json's template comes first") {
  const json with{{"post_processor", ids_template}}, without{{"post_processor", nullptr}};
  CHECK(decided({{"tokenizer.json", with}}).begin == 1);
  CHECK(decided({{"tokenizer.json", without}}).begin == -1);
  const auto torn = decided({{"tokenizer.json", with}, {"tokenizer_config.json", {{"add_bos_token", false}}}});
  CHECK(torn.begin == 1);
  CHECK_THAT(said(torn), ContainsSubstring("add_bos_token is false, tokenizer.json's template prepends 1"));
  CHECK(said(decided({{"tokenizer.json", without}, {"tokenizer_config.json", {{"add_bos_token", false}}}})).empty());
  const json ended{{"post_processor",
                    {{"type", "TemplateProcessing"},
                     {"single", {{{"Sequence", {{"id", "A"}}}}, {{"SpecialToken", {{"id", "</s>"}}}}}},
                     {"special_tokens", {{"</s>", {{"ids", {2}}}}}}}}};
  CHECK_THAT(said(decided({{"tokenizer.json", ended}})),
             ContainsSubstring("tokenizer.json's template appends a token: prompts are continued"));
}

TEST_CASE("special_token_ids: sampling stops at generation_config.json's ids, else at config.json's") {
  const auto list = decided({{"generation_config.json", {{"eos_token_id", {4, 2}}}}});
  CHECK(list.ends == std::vector<token>{2, 4});  // the tokenizer's own is what is taught, and not the first
  CHECK(list.end == 2);
  CHECK(said(list).empty());
  CHECK(decided({}, {4, 2}).ends == std::vector<token>{2, 4});
  const auto other = decided({{"generation_config.json", {{"eos_token_id", 4}}}});
  CHECK((other.end == 4 && other.ends == std::vector<token>{4}));
  CHECK_THAT(said(other), ContainsSubstring("generation_config.json's end tokens are used: 4 (\"a\"), not"));
  CHECK(decided({{"generation_config.json", {{"bos_token_id", 1}}}}, {4}).ends == std::vector<token>{4});
  CHECK_THROWS_WITH(decided({{"generation_config.json", {{"eos_token_id", {2, 10}}}}}),
                    ContainsSubstring("generation_config.json: eos_token_id: 10 is beyond"));
}

TEST_CASE("special_token_ids: an end token that is the begin or unknown piece is the tokenizer's own") {
  for (const std::int64_t wrong : {1, 0}) {
    const auto ids = decided({{"config.json", {{"bos_token_id", 0}}}}, {wrong});
    CHECK((ids.begin == 1 && ids.end == 2 && ids.ends == std::vector<token>{2}));
    CHECK_THAT(said(ids), ContainsSubstring("config.json's eos_token_id " + std::to_string(wrong)) &&
                              ContainsSubstring("its end token 2 (\"</s>\") is used") &&
                              ContainsSubstring("bos_token_id is 0 (\"<unk>\")"));
  }
  // One token for both, as its author says, is no mistake.
  const auto one =
      decided({{"tokenizer_config.json", {{"bos_token", "</s>"}, {"eos_token", "</s>"}, {"add_bos_token", true}}}});
  CHECK((one.begin == 2 && one.end == 2));
  CHECK(said(one).empty());
}

TEST_CASE("special_token_ids: the end token that files name by its text is taught, and ends responses") {
  const json_files chat{{"tokenizer_config.json", {{"eos_token", "<|end|>"}, {"add_bos_token", true}}},
                        {"added_tokens.json", {{"<|end|>", 7}}}};
  const auto ids = decided(chat);
  CHECK((ids.end == 7 && ids.ends == std::vector<token>{7, 2}));
  REQUIRE(ids.added.size() == 1);
  CHECK(ids.added.front().special);
  CHECK_THAT(said(ids), ContainsSubstring("eos_token is 7 (\"<|end|>\"), which is trained"));
  CHECK(said(decided(chat, {7})).empty());
  CHECK(decided({{"added_tokens.json", {{"<|end|>", 7}}}}, {7}).end == 7);
  const auto unknown = decided({{"tokenizer_config.json", {{"eos_token", "<none>"}, {"add_bos_token", true}}}});
  CHECK(unknown.end == 2);
  CHECK_THAT(said(unknown), ContainsSubstring("eos_token \"<none>\" is not a token"));
}

TEST_CASE("special_token_ids: added tokens beyond the vocabulary are left out, and a model needs an end") {
  const auto ids = decided({{"added_tokens.json", {{"<pad>", 10}, {"<x>", 9}}}});
  REQUIRE(ids.added.size() == 1);
  CHECK(ids.added.front().id == 9);
  CHECK_THAT(said(ids), ContainsSubstring("\"<pad>\" has the id 10, beyond the model's vocabulary of 10"));
  CHECK_THROWS_WITH(decided({}, {}, five_pieces(no_end_id)), ContainsSubstring("no file names an end token"));
  CHECK(decided({}, {4}, five_pieces(no_end_id)).end == 4);
  CHECK_THAT(said(decided({{"tokenizer_config.json", {{"add_bos_token", true}, {"add_eos_token", true}}}})),
             ContainsSubstring("add_eos_token is true"));
}
