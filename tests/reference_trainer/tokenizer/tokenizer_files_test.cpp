#include "tokenizer/tokenizer_files.hpp"

#include <nlohmann/json.hpp>

#include <coho/error.hpp>

#include "files/json_file.hpp"
#include "support/catch.hpp"
#include "support/temporary_directory.hpp"

using namespace coho::trainer;
using Catch::Matchers::ContainsSubstring;
using nlohmann::json;

namespace {

tokenizer_files files_from(const std::map<std::string, json>& files) {
  const coho::test::temporary_directory folder;
  for (const auto& [name, content] : files) write_json(folder / name, content);
  return read_tokenizer_files(folder.path());
}

std::string added_text(const tokenizer_files& files) {
  std::string out;
  for (const auto& each : files.added) out += each.text + "=" + std::to_string(each.id) + (each.special ? "! " : " ");
  return out;
}

json decoder_entry(const std::string& text, bool special = true) { return {{"content", text}, {"special", special}}; }

}  // namespace

TEST_CASE("tokenizer_files: a folder without them says nothing") {
  const auto files = files_from({});
  CHECK(files.added.empty());
  CHECK_FALSE((files.begin.given || files.end.given || files.add_begin || files.has_config || files.has_json));
}

TEST_CASE("tokenizer_files: tokens are named by text, object, null, or an empty text that says nothing") {
  const auto files = files_from({{"tokenizer_config.json",
                                  {{"bos_token", nullptr},
                                   {"eos_token", {{"__type", "AddedToken"}, {"content", "</s>"}}},
                                   {"add_bos_token", false},
                                   {"add_eos_token", true}}}});
  CHECK((files.begin.given && files.begin.text.empty()));
  CHECK((files.end.text == "</s>" && files.end.file == "tokenizer_config.json"));
  CHECK((files.add_begin == false && files.add_end == true && files.has_config));
  CHECK_FALSE(files_from({{"tokenizer_config.json", {{"bos_token", ""}}}}).begin.given);
  CHECK_THROWS_WITH(files_from({{"tokenizer_config.json", {{"eos_token", 2}}}}),
                    ContainsSubstring("tokenizer_config.json: eos_token: must be a token's text"));
  CHECK_THROWS_WITH(files_from({{"tokenizer_config.json", {{"add_bos_token", "yes"}}}}),
                    ContainsSubstring("add_bos_token: must be true or false"));
  CHECK_THROWS_WITH(files_from({{"generation_config.json", {1}}}), ContainsSubstring("is not a JSON object"));
}

// As transformers 5.23 reads them.
TEST_CASE("tokenizer_files: special_tokens_map.json holds only where no added_tokens_decoder is given") {
  const json map{{"eos_token", "<other>"}}, config{{"eos_token", "</s>"}};
  CHECK(files_from({{"tokenizer_config.json", config}, {"special_tokens_map.json", map}}).end.text == "<other>");
  auto newer = config;
  newer["added_tokens_decoder"] = {{"2", decoder_entry("</s>")}};
  CHECK(files_from({{"tokenizer_config.json", newer}, {"special_tokens_map.json", map}}).end.text == "</s>");
}

TEST_CASE("tokenizer_files: added tokens of all three files, each once") {
  const auto files = files_from(
      {{"tokenizer_config.json",
        {{"added_tokens_decoder", {{"33", decoder_entry("<b>")}, {"32", decoder_entry("<a>", false)}}}}},
       {"added_tokens.json", {{"<b>", 33}, {"<c>", 34}}},
       {"tokenizer.json",
        {{"added_tokens", {{{"id", 34}, {"content", "<c>"}, {"special", true}}, {{"id", 40}, {"content", "<d>"}}}}}}});
  CHECK(added_text(files) == "<a>=32 <b>=33! <c>=34! <d>=40 ");
  CHECK(files.contradictions.empty());
  // A token with a role is special without being called so.
  CHECK(added_text(files_from({{"tokenizer_config.json", {{"eos_token", "<e>"}, {"extra_special_tokens", {"<f>"}}}},
                               {"added_tokens.json", {{"<e>", 5}, {"<f>", 6}, {"<g>", 7}}}})) ==
        "<e>=5! <f>=6! <g>=7 ");

  const auto torn = files_from({{"tokenizer_config.json", {{"added_tokens_decoder", {{"33", decoder_entry("<b>")}}}}},
                                {"added_tokens.json", {{"<b>", 35}}}});
  CHECK(added_text(torn) == "<b>=33! ");
  REQUIRE(torn.contradictions.size() == 1);
  CHECK_THAT(torn.contradictions.front(),
             ContainsSubstring("\"<b>\" as 35") && ContainsSubstring("as 33, which is used"));
  CHECK_THROWS_WITH(files_from({{"added_tokens.json", {{"<b>", -1}}}}),
                    ContainsSubstring("added_tokens.json: <b>: must be the id of a token"));
  CHECK_THROWS_WITH(files_from({{"tokenizer_config.json", {{"added_tokens_decoder", {{"x", decoder_entry("b")}}}}}}),
                    ContainsSubstring("added_tokens_decoder.x: is not the id of a token"));
}

TEST_CASE("tokenizer_files: tokenizer.json's template says what stands before a text") {
  const json marked{
      {"type", "TemplateProcessing"},
      {"single",
       {{{"SpecialToken", {{"id", "<s>"}}}}, {{"Sequence", {{"id", "A"}}}}, {{"SpecialToken", {{"id", "</s>"}}}}}},
      {"special_tokens", {{"<s>", {{"ids", {1}}}}, {"</s>", {{"ids", {2}}}}}}};
  CHECK(files_from({{"tokenizer.json", {{"post_processor", marked}}}}).json_begin == std::vector<coho::token>{1});
  CHECK(files_from({{"tokenizer.json", {{"post_processor", marked}}}}).json_end == std::vector<coho::token>{2});
  const json nested{{"type", "Sequence"}, {"processors", {{{"type", "ByteLevel"}}, marked}}};
  CHECK(files_from({{"tokenizer.json", {{"post_processor", nested}}}}).json_begin == std::vector<coho::token>{1});
  const auto none = files_from({{"tokenizer.json", {{"post_processor", nullptr}}}});
  CHECK((none.has_json && none.json_begin.empty()));
  auto broken = marked;
  broken["special_tokens"].erase("<s>");
  CHECK_THROWS_WITH(files_from({{"tokenizer.json", {{"post_processor", broken}}}}),
                    ContainsSubstring("post_processor"));
}

TEST_CASE("tokenizer_files: ids of generation_config.json and config.json") {
  CHECK(files_from({{"generation_config.json", {{"eos_token_id", {2, 13}}}}}).generation_ends ==
        std::vector<coho::token>{2, 13});
  CHECK(files_from({{"generation_config.json", {{"eos_token_id", 7}}}}).generation_ends == std::vector<coho::token>{7});
  CHECK(files_from({{"generation_config.json", {{"eos_token_id", nullptr}}}}).generation_ends.empty());
  CHECK_THROWS_WITH(files_from({{"generation_config.json", {{"eos_token_id", {2, "x"}}}}}),
                    ContainsSubstring("generation_config.json: eos_token_id[1]: must be the id of a token"));
  CHECK(files_from({{"config.json", {{"bos_token_id", 0}}}}).model_begin == 0);
  CHECK_FALSE(files_from({{"config.json", {{"bos_token_id", -1}}}}).model_begin);
}
