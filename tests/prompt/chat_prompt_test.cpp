#include <coho/prompt/chat_format.hpp>
#include <coho/prompt/chat_prompt.hpp>

#include "support/catch.hpp"

using Catch::Matchers::ContainsSubstring;
using coho::chat_message;
using coho::chat_prompt;
using coho::chat_role;
using coho::prompt_template;
using coho::template_kind;
namespace formats = coho::chat_formats;

namespace {

const std::vector<chat_message> conversation{
    {chat_role::system, "S"}, {chat_role::user, "u1"}, {chat_role::assistant, "a1"}, {chat_role::user, "u2"}};

/// One id a byte.
struct byte_tokenizer {
  std::vector<coho::token> encode(std::string_view text) const { return {text.begin(), text.end()}; }
  coho::token eos() const { return 2; }
};

}  // namespace

TEST_CASE("dromedary: headings, response on a new line, the next user heading stops it") {
  const chat_prompt prompt(formats::dromedary("P\n\n### User\n"));
  const auto one = prompt("Hi");
  CHECK(one.text() == "P\n\n### User\nHi\n\n### Dromedary\n");
  CHECK(one.response_prefix == "\n");
  CHECK(one.stop == std::vector<std::string>{"### User"});
  CHECK(prompt(conversation).text() == "S\n\n### User\nu1\n\n### Dromedary\na1\n\n### User\nu2\n\n### Dromedary\n");
  CHECK(chat_prompt(formats::dromedary("", "Helper"))("Hi").text() == "### User\nHi\n\n### Helper\n");
}

TEST_CASE("llama2_chat: system text inside the first instruction, begin and end tokens around exchanges") {
  const auto chat = chat_prompt(formats::llama2_chat())(conversation);
  CHECK(chat.text("<s>", "</s>") == "<s>[INST] <<SYS>>\nS\n<</SYS>>\n\nu1 [/INST] a1 </s><s>[INST] u2 [/INST]");
  REQUIRE(chat.pieces.size() == 2);
  CHECK(chat.pieces[1] == coho::chat_piece{"[INST] u2 [/INST]", true, false, {{7, 9}}});
  CHECK(chat_prompt(formats::llama2_chat())("Hi").text() == "[INST] Hi [/INST]");
}

TEST_CASE("llama2_chat: white space around messages is dropped, the system text's own front aside") {
  const std::vector<chat_message> loose{{chat_role::system, " S "},
                                        {chat_role::user, " u1\n"},
                                        {chat_role::assistant, "\n a1 "},
                                        {chat_role::user, "\tu2 "}};
  CHECK(chat_prompt(formats::llama2_chat())(loose).text("<s>", "</s>") ==
        "<s>[INST] <<SYS>>\n S \n<</SYS>>\n\n u1 [/INST] a1 </s><s>[INST] u2 [/INST]");
  CHECK(chat_prompt(formats::llama2_chat())(" \n ").text() == "[INST]  [/INST]");
  CHECK(chat_prompt(formats::mistral())(" Hi ").text() == "[INST]  Hi  [/INST]");
}

TEST_CASE("llama2_chat: the white space that is dropped is Unicode's, as chat templates have it") {
  const chat_prompt prompt(formats::llama2_chat());
  // No-break, ideographic and hair spaces, a file separator, next line; a zero-width space is none of them.
  CHECK(prompt("\xC2\xA0Hi\xE3\x80\x80 \x1C").text() == "[INST] Hi [/INST]");
  CHECK(prompt("\xE2\x80\x8A\xC2\x85").text() == "[INST]  [/INST]");
  CHECK(prompt("\xE2\x80\x8BHi").text() == "[INST] \xE2\x80\x8BHi [/INST]");
  // Letters and dashes that end in the same bytes stay.
  CHECK(prompt("\xC3\xA0\xE2\x80\x94\xC3\xA0").text() == "[INST] \xC3\xA0\xE2\x80\x94\xC3\xA0 [/INST]");
}

TEST_CASE("vicuna and mistral: one begin token, an end token behind each reply") {
  CHECK(chat_prompt(formats::vicuna())(conversation).text("<s>", "</s>") ==
        "<s>S USER: u1 ASSISTANT: a1</s>USER: u2 ASSISTANT:");
  CHECK(chat_prompt(formats::mistral())(conversation).text("<s>", "</s>") ==
        "<s>[INST] S\n\nu1 [/INST] a1</s>[INST] u2 [/INST]");
}

TEST_CASE("a format can be given by its parts") {
  const coho::chat_format chatml{.name = "mine",
                                 .default_system = "D",
                                 .system_prefix = "<sys>",
                                 .system_suffix = "</sys>",
                                 .user_prefix = "<u>",
                                 .user_suffix = "</u>",
                                 .assistant_prefix = "<a>",
                                 .response_prefix = "Sure",
                                 .history_gap = "",
                                 .assistant_suffix = "</a>",
                                 .stop = {"</a>"}};
  const chat_prompt prompt(chatml);
  CHECK(prompt("q").text() == "<sys>D</sys><u>q</u><a>Sure");
  CHECK(prompt(conversation).text() == "<sys>S</sys><u>u1</u><a>Surea1</a><u>u2</u><a>Sure");
  CHECK(prompt("q").stop == std::vector<std::string>{"</a>"});
  CHECK_THROWS_AS(chat_prompt(coho::chat_format{.name = "bad"}), coho::option_error);
  auto empty_stop = chatml;
  empty_stop.stop = {""};
  CHECK_THROWS_AS(chat_prompt(empty_stop), coho::option_error);
}

TEST_CASE("an inference template supplies the text around the question") {
  const prompt_template bare(template_kind::inference, "P\n\n### User\n", "i.txt");
  CHECK(chat_prompt(formats::dromedary(), bare)("Hi").text() == "P\n\n### User\nHi\n\n### Dromedary\n");
  const prompt_template headless(template_kind::inference, "P", "i.txt");
  CHECK(chat_prompt(formats::dromedary(), headless)("Hi").text() == "P\n\n### User\nHi\n\n### Dromedary\n");

  // A conversation's own system text takes the template's place.
  const std::vector<chat_message> own{{chat_role::system, "S"}, {chat_role::user, "Hi"}};
  CHECK(chat_prompt(formats::dromedary(), bare)(own).text() == "S\n\n### User\nHi\n\n### Dromedary\n");
  CHECK(chat_prompt(formats::llama2_chat(), headless)(own).text() == chat_prompt(formats::llama2_chat())(own).text());
  const std::vector<chat_message> blank{{chat_role::system, ""}, {chat_role::user, "Hi"}};
  CHECK(chat_prompt(formats::dromedary(), bare)(blank).text() == "P\n\n### User\nHi\n\n### Dromedary\n");

  const prompt_template around(template_kind::inference, "P [{Input}] A:", "i.txt");
  const chat_prompt prompt(formats::dromedary(), around);
  CHECK(prompt("{Input}").text() == "P [{Input}] A:\n");
  const std::vector<chat_message> turns(conversation.begin() + 1, conversation.end());
  CHECK(prompt(turns).text() == "P [u1] A:\na1\n\n### User\nu2\n\n### Dromedary\n");
  CHECK(prompt(own).text() == "S\n\n### User\nHi\n\n### Dromedary\n");  // the text after {Input} goes too
  CHECK_THROWS_AS(
      chat_prompt(formats::vicuna(), prompt_template(template_kind::preference_pretraining, "{Input}{Output}", "p")),
      coho::argument_error);
}

TEST_CASE("conversations that cannot be answered are refused") {
  const chat_prompt prompt(formats::vicuna());
  CHECK_THROWS_AS(prompt(std::vector<chat_message>{}), coho::argument_error);
  CHECK_THROWS_AS(prompt(std::vector<chat_message>(conversation.begin(), conversation.end() - 1)),
                  coho::argument_error);
  CHECK_THROWS_WITH(
      prompt(std::vector<chat_message>{{chat_role::user, "a"}, {chat_role::user, "b"}, {chat_role::user, "c"}}),
      ContainsSubstring("message 2"));
  CHECK_THROWS_AS(prompt(std::vector<chat_message>{conversation[0]}), coho::argument_error);
  CHECK_THROWS_AS(formats::by_name("alpaca"), coho::option_error);
  for (const auto* name : {"dromedary", "llama2_chat", "vicuna", "mistral"}) CHECK(formats::by_name(name).name == name);
}

TEST_CASE("tokens have the begin and end ids where the pieces say, and the response prefix last") {
  const auto chat = chat_prompt(formats::llama2_chat())(conversation);
  const auto ids = chat.tokens(byte_tokenizer{}, 1);
  std::string spelled;
  for (const auto id : ids)
    spelled += id == 1 ? std::string("<s>") : id == 2 ? std::string("</s>") : std::string(1, char(id));
  CHECK(spelled == chat.text("<s>", "</s>"));
  const auto dromedary = chat_prompt(formats::dromedary())("Hi").tokens(byte_tokenizer{}, 1);
  CHECK(dromedary.front() == 1);
  CHECK(dromedary.back() == '\n');
}

TEST_CASE("an input stands below its instruction") {
  CHECK(coho::full_instruction("Sum up.", "Text.") == "Sum up.\n\nText.");
  CHECK(coho::full_instruction("Sum up.") == "Sum up.");
}
