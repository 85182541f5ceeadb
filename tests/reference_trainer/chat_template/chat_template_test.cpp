// Texts are those of transformers 5.24 with Jinja 3.1.6.
#include "chat_template/chat_template.hpp"

#include <string>
#include <thread>
#include <vector>

#include "reference_trainer/chat_template/rendering.hpp"
#include "support/catch.hpp"

using namespace coho::test;
using namespace coho::trainer;
using nlohmann::ordered_json;

namespace {

ordered_json conversation() {
  const auto messages = ordered_json::parse(R"([
      {"role": "system", "content": "Be brief."}, {"role": "user", "content": " Hi\n"},
      {"role": "assistant", "content": "Grüße!"}, {"role": "user", "content": "Bye"}])");
  return {{"messages", messages},
          {"tools", nullptr},
          {"add_generation_prompt", true},
          {"bos_token", "<s>"},
          {"eos_token", "</s>"}};
}

constexpr const char* chatml =
    "{% for message in messages %}\n"
    "    {{- '<|im_start|>' + message['role'] + '\\n' + message.content | trim + '<|im_end|>\\n' }}\n"
    "{%- endfor %}\n"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}\n";

constexpr const char* marked =
    "{%- for m in messages %}\n"
    "{%- if m.role == 'assistant' %}[A]{% generation %}{{ m.content }}{{ eos_token }}{% endgeneration %}\n"
    "{%- else %}[{{ m.role[0] | upper }}]{{ m.content }}{% endif %}\n"
    "{%- endfor %}";

}  // namespace

TEST_CASE("chat template: a conversation") {
  const auto out = rendered(chatml, conversation());
  CHECK(out.text ==
        "<|im_start|>system\nBe "
        "brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nGrüße!<|im_end|>\n"
        "<|im_start|>user\nBye<|im_end|>\n<|im_start|>assistant\n");
  CHECK(out.generated.empty());
}

TEST_CASE("chat template: spans of generation are bytes of the text") {
  const chat_template form(marked);
  CHECK(form.marks_generation());
  CHECK_FALSE(chat_template(chatml).marks_generation());
  CHECK(chat_template("{% macro f() %}{% if x %}{% generation %}{% endgeneration %}{% endif %}{% endmacro %}")
            .marks_generation());
  const auto out = form.render(conversation());
  CHECK(out.text == "[S]Be brief.[U] Hi\n[A]Grüße!</s>[U]Bye");
  REQUIRE(out.generated.size() == 1);
  CHECK(out.generated[0] == text_span{22, 34});
  CHECK(out.text.substr(22, 12) == "Grüße!</s>");
}

TEST_CASE("chat template: a generation block is a scope of its own, and its text can be empty") {
  const auto out = rendered(
      "{% set a = 1 %}ab{% generation %}{% set a = 2 %}{% endgeneration %}{{ a }}{% generation %}c{% endgeneration %}");
  CHECK(out.text == "ab1c");
  CHECK((out.generated == std::vector<text_span>{{2, 2}, {3, 4}}));
}

TEST_CASE("chat template: objects keep their order") {
  const ordered_json tool{{"name", "f"}, {"description", "d"}, {"arguments", {{"b", 1}, {"a", 2}}}};
  CHECK(rendered("{{ tool | tojson }}", {{"tool", tool}}).text ==
        "{\"name\": \"f\", \"description\": \"d\", \"arguments\": {\"b\": 1, \"a\": 2}}");
}

TEST_CASE("chat template: the time is that of the clock given") {
  CHECK(rendered("{{ strftime_now('%d %b %Y, %H:%M:%S %j %A') }}").text == "26 Jul 2024, 08:05:09 208 Friday");
  CHECK(rendered("{{ strftime_now('') }}|{{ strftime_now('%%') }}").text == "|%");
  CHECK(chat_template("{{ strftime_now('%Y') | int > 2000 }}").render(ordered_json::object()).text == "True");
}

TEST_CASE("chat template: variables hide functions, and null is none") {
  CHECK(rendered("{{ range }}{{ tools is none }}{{ tools is defined }}", {{"range", 3}, {"tools", nullptr}}).text ==
        "3TrueTrue");
}

TEST_CASE("chat template: one template renders in several threads") {
  const chat_template form(chatml);
  const auto expected = form.render(conversation()).text;
  std::vector<std::string> texts(4);
  std::vector<std::thread> threads;
  for (auto& text : texts)
    threads.emplace_back([&] {
      for (int i = 0; i < 50; ++i) text = form.render(conversation()).text;
    });
  for (auto& thread : threads) thread.join();
  for (const auto& text : texts) CHECK(text == expected);
}
