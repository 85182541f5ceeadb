#include "resources/chat_format_file.hpp"

#include <coho/error.hpp>
#include <coho/prompt/chat_prompt.hpp>

#include "support/catch.hpp"
#include "support/shared_data.hpp"
#include "support/temporary_directory.hpp"
#include "tokenizer/sentencepiece.hpp"

using Catch::Matchers::ContainsSubstring;
using namespace coho;
using namespace coho::trainer;
using namespace coho::test;

namespace {

chat_format load_text(std::string_view text) {
  const temporary_directory folder;
  write_bytes(folder / "mine.json", text);
  return load_chat_format(folder / "mine.json");
}

const std::vector<chat_message> conversation{
    {chat_role::system, "S"}, {chat_role::user, "u1"}, {chat_role::assistant, "a1"}, {chat_role::user, "u2"}};

std::vector<token> joined(std::initializer_list<std::vector<token>> parts) {
  std::vector<token> out;
  for (const auto& part : parts) out.insert(out.end(), part.begin(), part.end());
  return out;
}

}  // namespace

TEST_CASE("a chat format file gives every part of a format") {
  const auto format = load_text(R"({
    "system": {"default": "D", "prefix": "<sys>", "suffix": "</sys>", "place": "inside_user"},
    "user": {"prefix": "<u>", "suffix": "</u>"},
    "assistant": {"prefix": "<a>", "response_prefix": "\n", "history_gap": "_", "suffix": "</a>"},
    "begin_token": "each_exchange", "end_token": "each_reply", "trim": true, "stop": ["<u>", "</a>"]})");
  CHECK(format.name == "mine");
  CHECK(format.stop == std::vector<std::string>{"<u>", "</a>"});
  const chat_prompt prompt(format);
  CHECK(prompt(conversation).text("[B]", "[E]") == "[B]<u><sys>S</sys>u1</u><a>\n_a1</a>[E][B]<u>u2</u><a>\n");
  CHECK(prompt(" q ").text() == "<u><sys>D</sys> q</u><a>\n");  // system text and question are one message
}

TEST_CASE("what a chat format file leaves out is empty, tokens stand in front of all only") {
  const chat_prompt prompt(load_text(R"({"name": "short", "user": {"suffix": "\n"}})"));
  CHECK(prompt.format().name == "short");
  CHECK(prompt(conversation).text("[B]", "[E]") == "[B]Su1\na1u2\n");
  CHECK(prompt(" q ").text() == " q \n");
}

TEST_CASE("a file can say what the built-in formats say") {
  const auto llama =
      load_text(R"({"system": {"prefix": "<<SYS>>\n", "suffix": "\n<</SYS>>\n\n", "place": "inside_user"},
    "user": {"prefix": "[INST] ", "suffix": " "}, "assistant": {"prefix": "[/INST]", "history_gap": " ", "suffix": " "},
    "begin_token": "each_exchange", "end_token": "each_reply", "trim": true})");
  const auto vicuna = load_text(R"({"system": {"suffix": " "}, "user": {"prefix": "USER: ", "suffix": " "},
    "assistant": {"prefix": "ASSISTANT:", "history_gap": " "}, "end_token": "each_reply"})");
  CHECK((chat_prompt(llama)(conversation).pieces == chat_prompt(chat_formats::llama2_chat())(conversation).pieces));
  CHECK((chat_prompt(vicuna)(conversation).pieces == chat_prompt(chat_formats::vicuna())(conversation).pieces));
}

TEST_CASE("errors of a chat format file name file and field") {
  const auto refuses = [](std::string_view text, const std::string& what) {
    CHECK_THROWS_WITH(load_text(text), ContainsSubstring("mine.json") && ContainsSubstring(what));
  };
  refuses("[]", "not a JSON object");
  refuses("{", "not a JSON document");
  refuses(R"({"user": 3})", "\"user\": is of type number");
  refuses(R"({"user": {"prefix": 3}})", "\"user.prefix\": is of type number");
  refuses(R"({"user": {"prefx": "a", "suffix": "b"}})", "\"user.prefx\": is unknown");
  refuses(R"({"users": {}, "user": {"suffix": "b"}})", "\"users\": is unknown");
  refuses(R"({"user": {"suffix": "b"}, "assistant": {"suffix": "</s>"}})", "\"assistant.suffix\": holds \"</s>\"");
  refuses(R"({"user": {"suffix": "b"}, "end_token": "always"})", "\"end_token\": is \"always\"");
  refuses(R"({"user": {"suffix": "b"}, "begin_token": "each_exchange"})", "\"begin_token\"");
  refuses(R"({"user": {"suffix": "b"}, "trim": "yes"})", "\"trim\": is of type string");
  refuses(R"({"user": {"suffix": "b"}, "stop": [""]})", "\"stop\"");
  refuses(R"({"user": {"suffix": "b"}, "stop": "x"})", "\"stop\"");
  refuses(R"({"user": {"prefix": "b"}})", "\"assistant.prefix\": is empty");
  CHECK_THROWS_AS(load_chat_format("/nowhere/format.json"), file_error);
}

// What the published programs feed their models, in tokens: each stretch between begin and end token encoded by itself.
TEST_CASE("conversations have the ids of the models' own programs") {
  const auto data = shared_data();
  if (!data) {
    WARN("shared data absent: skipped");
    return;
  }
  const auto llama = sentencepiece_tokenizer::from_file(*data / "tokenizers" / "llama2.model");
  const auto mistral = sentencepiece_tokenizer::from_file(*data / "tokenizers" / "mistral-v1.model");
  const std::vector<token> begin{1}, end{2};
  const std::vector<chat_message> talk{{chat_role::system, "Be brief."},
                                       {chat_role::user, "Who are you?"},
                                       {chat_role::assistant, "A model."},
                                       {chat_role::user, "Whose?"}};
  const auto tokens = [&](const chat_format& format, const sentencepiece_tokenizer& tokenizer) {
    return chat_prompt(format)(talk).tokens(tokenizer, tokenizer.bos());
  };
  CHECK(tokens(chat_formats::llama2_chat(), llama) ==
        joined({begin, llama.encode("[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\nWho are you? [/INST] A model. "), end,
                begin, llama.encode("[INST] Whose? [/INST]")}));
  // Mistral's encodes a reply by itself: the word's own leading blank is the gap.
  CHECK(tokens(chat_formats::mistral(), mistral) ==
        joined({begin, mistral.encode("[INST] Be brief.\n\nWho are you? [/INST]"), mistral.encode("A model."), end,
                mistral.encode("[INST] Whose? [/INST]")}));
  CHECK(tokens(chat_formats::vicuna(), llama) ==
        joined({begin, llama.encode("Be brief. USER: Who are you? ASSISTANT: A model."), end,
                llama.encode("USER: Whose? ASSISTANT:")}));
  CHECK(tokens(chat_formats::dromedary(), llama) ==
        joined({begin, llama.encode("Be brief.\n\n### User\nWho are you?\n\n### Dromedary\nA model.\n\n"
                                    "### User\nWhose?\n\n### Dromedary\n")}));
}
