#include "models/template_layout.hpp"

#include <coho/error.hpp>

#include "jsonl/dropped_parts.hpp"
#include "support/catch.hpp"

using namespace coho;
using namespace coho::trainer;
using Catch::Matchers::ContainsSubstring;

namespace {

constexpr const char* chatml =
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content | trim + '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

constexpr const char* marked =
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' }}{% if m.role == 'assistant' %}{% generation %}"
    "{{ m.content + '<|im_end|>' }}{% endgeneration %}{{ '\\n' }}{% else %}{{ m.content + '<|im_end|>\\n' }}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

// As Qwen 3: what an earlier turn thought is dropped.
constexpr const char* forgetful =
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' }}"
    "{{ m.content if loop.last else m.content.split('</think>')[-1] }}{{ '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

template_layout layout(const std::string& text) {
  std::tm day{};
  day.tm_year = 124, day.tm_mon = 6, day.tm_mday = 26;
  return {{chat_template(text, "t.jinja"), {{"bos_token", "<s>"}}},
          {"<|im_start|>", "<|im_end|>", "<s>"},
          {"<|im_end|>"},
          day};
}

const chat_message ask{chat_role::user, "Why?"}, tell{chat_role::assistant, "So."}, again{chat_role::user, "And?"},
    end{chat_role::assistant, "No."};

// The parts of the text that are learnt.
std::vector<std::string> learnt(const chat_text& text) {
  std::vector<std::string> out;
  for (const auto& reply : text.pieces.at(0).replies)
    out.push_back(text.pieces[0].text.substr(reply.begin, reply.end - reply.begin));
  return out;
}

}  // namespace

TEST_CASE("template_layout: a prompt is the template's text with the generation prompt") {
  const std::vector<chat_message> talk{{chat_role::system, "Be brief."}, ask};
  const auto text = layout(chatml)(talk, false);
  CHECK(text.text() ==
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nWhy?<|im_end|>\n<|im_start|>assistant\n");
  CHECK(text.pieces.at(0).verbatim);
  CHECK(text.pieces[0].replies.empty());
  const auto second = layout(chatml)(std::vector{ask, tell, again}, false);
  CHECK(learnt(second) == std::vector<std::string>{"So.<|im_end|>"});
  CHECK_FALSE(text.pieces[0].begin);
  CHECK_THROWS_AS(layout(chatml)(std::vector{ask, tell}, false), argument_error);
  CHECK_THROWS_AS(layout(chatml)(std::vector{ask}, true), argument_error);
}

TEST_CASE("template_layout: without marks replies follow from prefixes, up to the end of the turn") {
  const auto text = layout(chatml)(std::vector{ask, tell, again, end}, true);
  CHECK(learnt(text) == std::vector<std::string>{"So.<|im_end|>", "No.<|im_end|>"});
  CHECK_FALSE(text.pieces[0].end);
  auto cut = end;
  cut.finished = false;
  CHECK(learnt(layout(chatml)(std::vector{ask, cut}, true)) == std::vector<std::string>{"No."});
}

TEST_CASE("template_layout: generation marks say what is learnt") {
  auto unweighted = tell;
  unweighted.weight = 0;
  const auto text = layout(marked)(std::vector{ask, unweighted, again, end}, true);
  CHECK(learnt(text) == std::vector<std::string>{"So.<|im_end|>", "No.<|im_end|>"});
  CHECK(text.pieces[0].replies[0].weight == 0);
  CHECK_THROWS_WITH(
      layout("{% for m in messages %}{% if loop.last %}{% generation %}{{ m.content }}{% endgeneration %}{% endif %}"
             "{% endfor %}")(std::vector{ask, tell, again, end}, true),
      ContainsSubstring("marks 1 replies"));
}

TEST_CASE("template_layout: turns that the template changes later are read, not learnt, and counted") {
  dropped_parts::of_run().clear();
  auto thought = tell;
  thought.text = "hm</think>So.";
  const auto text = layout(forgetful)(std::vector{ask, thought, again, end}, true);
  CHECK(learnt(text) == std::vector<std::string>{"No.<|im_end|>"});
  const auto notes = dropped_parts::of_run().drain_lines();
  REQUIRE(notes.size() == 1);
  CHECK_THAT(notes[0], ContainsSubstring("1 record") && ContainsSubstring("changes earlier turns"));
  CHECK(learnt(layout(forgetful)(std::vector{ask, tell, again, end}, true)).size() == 2);
  // A prompt that is no beginning of the whole leaves nothing to learn.
  CHECK_THROWS_WITH(layout("{{ messages | length }}{{ messages[-1].content }}")(std::vector{ask, tell}, true),
                    ContainsSubstring("t.jinja") && ContainsSubstring("prompt.format"));
}

TEST_CASE("template_layout: a template that writes no end of turn leaves it to the end token") {
  const auto text = layout(
      "{% for m in messages %}{{ m.role + ': ' + m.content }}\n{% endfor %}"
      "{% if add_generation_prompt %}assistant: {% endif %}")(std::vector{ask, tell}, true);
  CHECK(learnt(text) == std::vector<std::string>{"So.\n"});
  CHECK(text.pieces[0].end);
}

namespace {

// The parts of the text that are a message's own spelling of a special token, and what stands before each.
std::vector<std::string> spelled(const chat_text& text) {
  std::vector<std::string> out;
  for (const auto& at : text.pieces.at(0).messages)
    out.push_back(text.pieces[0].text.substr(0, at.end).substr(text.pieces[0].text.rfind('\n', at.begin) + 1));
  return out;
}

}  // namespace

TEST_CASE("template_layout: words of a message that spell a special token are told from the template's") {
  const chat_message sly{chat_role::user, " Say <|im_end|> <|im_end|>twice. "};
  const auto text = layout(chatml)(std::vector{sly}, false);
  CHECK(spelled(text) == std::vector<std::string>{"Say <|im_end|>", "Say <|im_end|> <|im_end|>"});
  CHECK(layout(chatml)(std::vector{ask}, false).pieces[0].messages.empty());
  // The longest token that begins at a place, and a mark of the layout's own as a message's words.
  const auto odd = layout(chatml)(std::vector<chat_message>{{chat_role::user, "<s><|im_start|>\ue0000\ue000"}}, false);
  CHECK(spelled(odd) == std::vector<std::string>{"<s>", "<s><|im_start|>"});
  CHECK_THROWS_WITH(layout("{% for m in messages %}{{ m.content | upper }}{% endfor %}{{ bos_token }}")(
                        std::vector{chat_message{chat_role::user, "a <s> b"}}, false),
                    ContainsSubstring("spells a special token"));
}

TEST_CASE("template_layout: a template may cut a message that spells a special token") {
  auto thought = tell;
  thought.text = "hm <s></think>So <|im_end|>.";
  const auto text = layout(forgetful)(std::vector{ask, thought, again}, false);
  CHECK(spelled(text) == std::vector<std::string>{"So <|im_end|>"});
  CHECK(text.text().find("hm") == std::string::npos);
}

TEST_CASE("template_layout: a reply that spells the end of its turn goes on to the template's own") {
  const chat_message sly{chat_role::assistant, "<|im_end|> ends a turn, as in x<|im_end|>"};
  for (const char* form : {chatml, marked}) {
    const auto text = layout(form)(std::vector{ask, sly}, true);
    CHECK(learnt(text) == std::vector<std::string>{sly.text + "<|im_end|>"});
    CHECK_FALSE(text.pieces[0].end);
  }
  // Without an end of turn by the template, a reply's own words are none either.
  const auto open = layout("{% for m in messages %}{{ m.content }}{% endfor %}")(std::vector{ask, sly}, true);
  CHECK(open.pieces[0].end);
}

TEST_CASE("template_layout: what a template writes after the last reply") {
  std::tm day{};
  const auto after = [&](const std::string& text) {
    return text_after_reply({chat_template(text, "t.jinja"), {{"bos_token", "<s>"}}}, day);
  };
  CHECK(after(chatml) == "<|im_end|>");
  CHECK(after("{% for m in messages %}{{ m.content }} {% endfor %}") == "");
  CHECK(after("{{ messages[0].content }}") == "");
  CHECK(after("{% if messages | length < 3 %}{{ raise_exception('more') }}{% endif %}") == "");
}

TEST_CASE("template_layout: a refusal of the template names template, place, cause and conversation") {
  CHECK_THROWS_WITH(layout("{% if messages[0].role == 'system' %}\n{{ raise_exception('no system text') }}{% endif %}")(
                        std::vector<chat_message>{{chat_role::system, "Be brief."}, ask}, false),
                    ContainsSubstring("t.jinja: line 2") && ContainsSubstring("no system text") &&
                        ContainsSubstring("begins \"Be brief. Why?\""));
}

TEST_CASE("template_layout: a template that asks for the day gets the given one") {
  CHECK(layout("{{ strftime_now('%d %b %Y') }}")(std::vector{ask}, false).text() == "26 Jul 2024");
}
