#include "records/conversation.hpp"

#include <nlohmann/json.hpp>

#include <coho/error.hpp>

#include "jsonl/dropped_parts.hpp"
#include "records/records.hpp"
#include "support/catch.hpp"
#include "support/temporary_directory.hpp"

using namespace coho::trainer;
using namespace coho::test;
using Catch::Matchers::ContainsSubstring;
using coho::chat_message;
using coho::chat_role;
using coho::prompt_type;

namespace {

template <class Record>
Record record_of(const std::string& line) {
  const temporary_directory folder;
  write_bytes(folder / "talk.jsonl", line + "\n");
  return read_records<Record>(folder / "talk.jsonl").front();
}

template <class Record>
std::string refusal_of(const std::string& line) {
  try {
    record_of<Record>(line);
  } catch (const coho::file_error& problem) {
    return problem.what();
  }
  return "no error";
}

const chat_message asks_first{chat_role::user, "Who?"}, says_first{chat_role::assistant, "I."},
    asks_second{chat_role::user, "And she?"};

}  // namespace

TEST_CASE("conversation: the last question is the prompt, what came before goes with it") {
  for (
      const std::string line :
      {R"({"messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"Who?"},{"role":"assistant","content":"I."},{"role":"user","content":"And she?"}]})",
       R"({"conversations":[{"from":"system","value":"Be brief."},{"from":"human","value":"Who?"},{"from":"gpt","value":"I."},{"from":"human","value":"And she?"}]})",
       R"({"prompt":[{"role":"developer","content":"Be brief."},{"role":"user","content":[{"type":"text","text":"Who?"}]},{"role":"assistant","content":"I."},{"role":"user","content":"And she?"}]})",
       R"({"system":"Be brief.","history":[["Who?","I."]],"instruction":"And she?","input":""})",
       R"({"system_prompt":"Be brief.","history":[["Who?","I."]],"question":"And she?","response":"She too."})",
       R"({"system":"Be brief.","prompt":"\n\nHuman: Who?\n\nAssistant: I.\n\nHuman: And she?\n\nAssistant:"})",
       R"({"system":"Be brief.","messages":[{"role":"user","content":"Who?"},{"role":"assistant","content":"I."},{"role":"user","content":"And she?"},{"role":"assistant","content":"She too."}]})",
       R"({"system":"Be brief.","history":[{"role":"user","content":"Who?"},{"role":"assistant","content":"I."}],"prompt":"And she?"})",
       R"({"history":[{"role":"system","content":"Be brief."},{"role":"user","content":"Who?"},{"role":"assistant","content":"I."}],"prompt":{"role":"user","content":"And she?"}})",
       R"({"history":[{"role":"system","content":"Be brief."},{"role":"user","content":"Who?"},{"role":"assistant","content":"I."}],"instruction":"And she?"})",
       R"({"instruction":"Who?","messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"Who?"},{"role":"assistant","content":"I."},{"role":"user","content":"And she?"}]})",
       R"({"instruction":null,"conversations":null,"messages":null,"question":null,"system":"Be brief.","prompt":"Human: Who?\n\nAssistant: I.\n\nHuman: And she?\n\nAssistant:"})",
       R"({"system":"Be brief.","question":"Human: Who?\n\nAssistant: I.\n\nHuman: And she?\n\nAssistant:"})"}) {
    CAPTURE(line);
    const auto prompt = record_of<prompt_record>(line);
    CHECK(prompt.system == "Be brief.");
    CHECK((prompt.history == std::vector<chat_message>{asks_first, says_first}));
    CHECK(prompt.question() == "And she?");
    CHECK(prompt.text() == "Be brief.\n\nHuman: Who?\n\nAssistant: I.\n\nHuman: And she?");
    CHECK((prompt.messages() ==
           std::vector<chat_message>{{chat_role::system, "Be brief."}, asks_first, says_first, asks_second}));
  }
}

TEST_CASE("conversation: weights, an unfinished answer, an unanswered question at the end") {
  const auto weighted = record_of<sft_record>(
      R"({"messages":[{"role":"user","content":"Who?"},{"role":"assistant","content":"I.","weight":0},{"role":"user","content":"And she?"},{"role":"assistant","content":"She too.","weight":1}],"finished":false})");
  CHECK(weighted.prompt.history[1].weight == 0);
  CHECK(weighted.weight == 1);
  CHECK_FALSE(weighted.finished);
  CHECK((weighted.messages().back() == chat_message{chat_role::assistant, "She too.", 1, false}));

  dropped_parts::of_run().clear();
  const auto open = record_of<sft_record>(
      R"({"messages":[{"role":"user","content":"Who?"},{"role":"assistant","content":"I.","weight":0.5},{"role":"user","content":"And she?"}]})");
  CHECK(open.prompt.text() == "Who?");
  CHECK(open.response == "I.");
  CHECK(open.weight == 0.5);
  REQUIRE(dropped_parts::of_run().report_lines().size() == 1);
  CHECK_THAT(dropped_parts::of_run().report_lines()[0], ContainsSubstring("unanswered question"));
  dropped_parts::of_run().clear();
}

TEST_CASE("conversation: a weight next to a response is the response's, in every form") {
  for (
      const std::string line :
      {R"({"instruction":"Who?","output":"I.","weight":0.5})", R"({"prompt":"Who?","completion":"I.","weight":0.5})",
       R"({"question":"Who?","answer":"I.","weight":0.5})",
       R"({"messages":[{"role":"user","content":"Who?"},{"role":"assistant","content":"I.","weight":0.5}],"weight":1})"}) {
    CAPTURE(line);
    CHECK(record_of<sft_record>(line).weight == 0.5);
  }
  CHECK_THAT(refusal_of<sft_record>(R"({"prompt":"Who?","completion":"I.","weight":-1})"),
             ContainsSubstring("field \"weight\" is negative"));
}

TEST_CASE("conversation: columns that a conversation leaves no place for are counted") {
  const std::string talk = R"("messages":[{"role":"user","content":"Who?"},{"role":"assistant","content":"I.")";
  const auto lost = [&](const std::string& more_of_message, const std::string& more) {
    dropped_parts::of_run().clear();
    record_of<sft_record>("{" + talk + more_of_message + "}]" + more + "}");
    const auto lines = dropped_parts::of_run().report_lines();
    dropped_parts::of_run().clear();
    return lines.empty() ? "nothing" : lines.front();
  };
  CHECK(lost("", R"(,"prompt":"Who?","tools":[],"weight":1)") == "nothing");
  CHECK_THAT(lost("", R"(,"prompt":"What else?")"),
             ContainsSubstring("a \"prompt\" that its \"messages\" does not have"));
  CHECK_THAT(lost("", R"(,"instruction":"What else?")"), ContainsSubstring("a \"instruction\" that"));
  CHECK_THAT(lost("", R"(,"weight":0.5)"), ContainsSubstring("a \"weight\" next to its messages"));
  CHECK_THAT(lost("", R"(,"tools":[{"name":"clock"}])"), ContainsSubstring("a list of \"tools\""));
  CHECK_THAT(lost(R"(,"reasoning_content":"Hm.")", ""), ContainsSubstring("\"reasoning_content\" next to its answer"));
}

TEST_CASE("conversation: a completion may be several turns, and all of it is the conversation's") {
  const auto record = record_of<sft_record>(
      R"({"prompt":[{"role":"user","content":"Who?"}],"completion":[{"role":"assistant","content":"I."},{"role":"user","content":"And she?"},{"role":"assistant","content":"She too."}]})");
  CHECK((record.prompt.history == std::vector<chat_message>{asks_first, says_first}));
  CHECK(record.prompt.instruction == "And she?");
  CHECK(record.response == "She too.");
}

TEST_CASE("conversation: what cannot be used is refused with its place and the mend") {
  const auto messages = [](const std::string& list) { return refusal_of<sft_record>("{\"messages\":[" + list + "]}"); };
  const std::string ask = R"({"role":"user","content":"Who?"},)", say = R"({"role":"assistant","content":"I."})";
  CHECK_THAT(messages(ask + R"({"role":"tool","content":"4"},)" + say),
             ContainsSubstring("line 1: field \"messages\", message 2 is a tool's (\"tool\"); remove conversations"));
  CHECK_THAT(messages(ask + R"({"role":"assistant","content":null,"tool_calls":[{"id":"1"}]})"),
             ContainsSubstring("message 2 calls a tool (\"tool_calls\")"));
  CHECK_THAT(messages(R"({"role":"user","content":[{"type":"image_url","image_url":{}}]},)" + say),
             ContainsSubstring("message 1 has a part that is not text (\"image_url\")"));
  CHECK_THAT(messages(R"({"role":"user","content":" \n"},)" + say), ContainsSubstring("message 1 is empty"));
  CHECK_THAT(messages(R"({"role":"user","content":null},)" + say), ContainsSubstring("message 1 has no text"));
  CHECK_THAT(messages(say + "," + ask + say),
             ContainsSubstring("message 1 is the assistant's where the user's is expected"));
  CHECK_THAT(messages(ask + ask + say), ContainsSubstring("message 2 is the user's where the assistant's is expected"));
  CHECK_THAT(messages(ask + say + R"(,{"role":"system","content":"S"})"),
             ContainsSubstring("message 3 is the system's, but follows other messages"));
  CHECK_THAT(messages(ask + R"({"role":"assistant","content":"I.","weight":-1})"),
             ContainsSubstring("message 2 has a weight"));
  CHECK_THAT(messages(R"({"role":"system","content":"S"})"), ContainsSubstring("has no message of a user"));
  CHECK_THAT(refusal_of<sft_record>(
                 R"({"system":"A","messages":[{"role":"system","content":"B"},{"role":"user","content":"Who?"},)" +
                 say + "]}"),
             ContainsSubstring("has a system message and the record has another system text"));
  CHECK_THAT(refusal_of<prompt_record>(R"({"instruction":"Who?","history":"no"})"),
             ContainsSubstring("expected a list of [question, answer] pairs"));
  CHECK_THAT(refusal_of<prompt_record>(R"({"instruction":"Who?","history":[["a",""]]})"),
             ContainsSubstring("\"history\" has an empty message"));
  CHECK_THAT(refusal_of<sft_record>(R"({"messages":[)" + ask + say + R"(],"output":"Another."})"),
             ContainsSubstring("ends with an answer, but field \"output\" is another"));
  CHECK_THAT(refusal_of<sft_record>(R"({"prompt":"Who?","completion":" \n"})"), ContainsSubstring("no response"));
}

TEST_CASE("conversation: transcripts part at blank lines, also of Windows, or else at line breaks") {
  const std::vector<chat_message> wanted{asks_first, says_first, asks_second};
  for (const std::string text : {"\n\nHuman: Who?\n\nAssistant: I.\n\nHuman: And she?\n\nAssistant:",
                                 "Human: Who?\n\nAssistant: I.\n\nHuman: And she?",
                                 "\r\n\r\nHuman: Who?\r\n\r\nAssistant: I.\r\n\r\nHuman: And she?\r\n\r\nAssistant:",
                                 "Human: Who?\nAssistant: I.\nHuman: And she?\nAssistant:"}) {
    CAPTURE(text);
    CHECK(is_transcript(text));
    CHECK((read_transcript(text) == wanted));
  }
  CHECK_FALSE(is_transcript("Human: who said \"Assistant: no\"?"));
  CHECK_FALSE(is_transcript("Who?\n\nAssistant: I."));
  // A line of its own does not part turns where blank lines do; turns of one speaker are one.
  CHECK((read_transcript("\n\nHuman: a\nHuman: b\n\nHuman: c\n\nAssistant: d") ==
         std::vector<chat_message>{{chat_role::user, "a\nHuman: b\n\nc"}, {chat_role::assistant, "d"}}));
}

TEST_CASE("conversation: preferences are compared on everything behind the last common question") {
  const std::string u = R"({"role":"user","content":"Who?"})", a = R"({"role":"assistant","content":"I."})",
                    u2 = R"({"role":"user","content":"And she?"})", x = R"({"role":"assistant","content":"She too."})",
                    y = R"({"role":"assistant","content":"No."})", z = R"({"role":"user","content":"Why?"})";
  const auto check = [](const std::string& line, const std::string& prompt, const std::string& chosen,
                        const std::string& rejected) {
    CAPTURE(line);
    const auto record = record_of<preference_record>(line);
    CHECK(record.prompt.text() == prompt);
    CHECK(record.chosen() == chosen);
    CHECK(record.rejected() == rejected);
  };
  const std::string both = "Human: Who?\n\nAssistant: I.\n\nHuman: And she?";
  check("{\"prompt\":[" + u + "," + a + "," + u2 + "],\"chosen\":[" + x + "],\"rejected\":[" + y + "]}", both,
        "She too.", "No.");
  check(
      "{\"chosen\":[" + u + "," + a + "," + u2 + "," + x + "],\"rejected\":[" + u + "," + a + "," + u2 + "," + y + "]}",
      both, "She too.", "No.");
  check("{\"prompt\":[" + u + "],\"chosen\":[" + a + "," + u2 + "," + x + "],\"rejected\":[" + a + "," + u2 + "," + y +
            "]}",
        both, "She too.", "No.");
  check(
      "{\"prompt\":\"Who?\",\"chosen\":[" + u + "," + a + "," + u2 + "," + x + "],\"rejected\":[" + u + "," + y + "]}",
      "Who?", "I.\n\nHuman: And she?\n\nAssistant: She too.", "No.");
  // They part at a question: the answer before it is compared too, being the same.
  check(
      "{\"chosen\":[" + u + "," + a + "," + u2 + "," + x + "],\"rejected\":[" + u + "," + a + "," + z + "," + x + "]}",
      "Who?", "I.\n\nHuman: And she?\n\nAssistant: She too.", "I.\n\nHuman: Why?\n\nAssistant: She too.");
  check(
      R"({"chosen":"\n\nHuman: Who?\n\nAssistant: I.\n\nHuman: And she?\n\nAssistant: She too.","rejected":"\n\nHuman: Who?\n\nAssistant: No."})",
      "Who?", "I.\n\nHuman: And she?\n\nAssistant: She too.", "No.");
  // People prefer an empty answer now and then.
  check(R"({"chosen":"\n\nHuman: Who?\n\nAssistant: ","rejected":"\n\nHuman: Who?\n\nAssistant: No."})", "Who?", "",
        "No.");
  check(R"({"system":"Be brief.","question":"Who?","chosen":"I.","rejected":"No."})", "Be brief.\n\nWho?", "I.", "No.");
  check(R"({"system":"Be brief.","history":[["Who?","I."]],"instruction":"And she?","chosen":"a","rejected":"b"})",
        "Be brief.\n\n" + both, "a", "b");
  // Both sides may be whole transcripts next to the prompt that they begin with.
  check(
      R"({"prompt":"Human: Who?\n\nAssistant:","chosen":"\n\nHuman: Who?\n\nAssistant: I.","rejected":"\n\nHuman: Who?\n\nAssistant: No."})",
      "Who?", "I.", "No.");
  check(R"({"prompt":"Who?","chosen":"Human: \"Me?\"\n\nAssistant: \"You.\"","rejected":"No."})", "Who?",
        "Human: \"Me?\"\n\nAssistant: \"You.\"", "No.");
  // A weight is not a difference.
  check("{\"chosen\":[" + u + R"(,{"role":"assistant","content":"I.","weight":0},)" + u2 + "," + x +
            "],\"rejected\":[" + u + "," + a + "," + u2 + "," + y + "]}",
        both, "She too.", "No.");
  // The answer at the end of the question is the chosen one's: it is taken off.
  check("{\"messages\":[" + u + "," + a + "],\"chosen\":\"I.\",\"rejected\":\"No.\"}", "Who?", "I.", "No.");
  check("{\"messages\":[" + u + "," + a + "],\"chosen\":[" + u + "," + a + "],\"rejected\":[" + u + "," + y + "]}",
        "Who?", "I.", "No.");

  CHECK_THAT(refusal_of<preference_record>("{\"conversations\":[" + u + "," + a +
                                           "],\"chosen\":\"She.\",\"rejected\":\"No.\"}"),
             ContainsSubstring("\"conversations\" ends with an assistant's message that is not \"chosen\""));
  CHECK_THAT(refusal_of<preference_record>(
                 "{\"system\":\"A\",\"chosen\":[" + std::string(R"({"role":"system","content":"B"},)") + u + "," + a +
                 "],\"rejected\":[" + R"({"role":"system","content":"B"},)" + u + "," + y + "]}"),
             ContainsSubstring("a different system text than the record"));
  CHECK_THAT(refusal_of<preference_record>("{\"history\":[[\"a\",\"b\"]],\"chosen\":[" + u + "," + a +
                                           "],\"rejected\":[" + u + "," + y + "]}"),
             ContainsSubstring("also has a \"history\""));
  CHECK_THAT(refusal_of<preference_record>(R"({"prompt":" ","chosen":"I.","rejected":"No."})"),
             ContainsSubstring("line 1: the prompt is empty"));
  CHECK_THAT(refusal_of<preference_record>("{\"prompt\":\"Else?\",\"chosen\":[" + u + "," + a + "],\"rejected\":[" + u +
                                           "," + y + "]}"),
             ContainsSubstring("the prompt is not a question of the conversations"));
  CHECK_THAT(refusal_of<preference_record>("{\"chosen\":[" + u + "," + a + "],\"rejected\":[" + u2 + "," + y + "]}"),
             ContainsSubstring("must share their first messages"));
}

TEST_CASE("conversation: a question with a system text or answers to compare is not a reasoning problem") {
  const auto type = [](const std::string& line) { return record_of<prompt_record>(line).type; };
  CHECK(type(R"({"question":"1+1?","answer":"2"})") == prompt_type::reasoning);
  CHECK(type(R"({"system":"S","question":"Who?","chosen":"a","rejected":"b"})") == prompt_type::general);
  CHECK(type(R"({"system":"","question":"Who?"})") == prompt_type::general);
  CHECK(type(R"({"system_prompt":"","question":"Who?","response":"I."})") == prompt_type::general);
}
