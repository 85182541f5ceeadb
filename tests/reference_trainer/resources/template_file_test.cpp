#include "resources/template_file.hpp"

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <unistd.h>
#include <vector>

#include <coho/prompt/chat_prompt.hpp>
#include <coho/prompt/judge_prompt.hpp>
#include <coho/prompt/reward_prompt.hpp>

#include "support/catch.hpp"
#include "support/shared_data.hpp"

using Catch::Matchers::ContainsSubstring;
using coho::template_kind;
using coho::trainer::load_template;

namespace {

coho::prompt_template load_text(template_kind kind, std::string_view content) {
  const auto path =
      std::filesystem::temp_directory_path() / ("coho_template_file_" + std::to_string(::getpid()) + ".txt");
  std::ofstream(path, std::ios::binary) << content;
  struct remover {
    const std::filesystem::path& path;
    ~remover() { std::filesystem::remove(path); }
  } const at_end{path};
  return load_template(kind, path);
}

std::filesystem::path shipped_prompt(const std::string& name) {
  return coho::test::source_dir() / "reference_trainer" / "prompts" / (name + ".txt");
}

std::string content_of(const std::filesystem::path& path) {
  std::ostringstream out;
  out << std::ifstream(path, std::ios::binary).rdbuf();
  return out.str();
}

/// `text` with each `{name}` replaced: the plain way, for files whose values hold no braces.
std::string replaced(std::string text, const std::vector<coho::placeholder_value>& values) {
  for (const auto& [name, value] : values) {
    const std::string mark = "{" + std::string(name) + "}";
    for (auto at = text.find(mark); at != std::string::npos; at = text.find(mark, at + value.size())) {
      text.replace(at, mark.size(), value);
    }
  }
  return text;
}

}  // namespace

TEST_CASE("byte order mark, Windows line ends and the last line break make no difference") {
  const auto plain = load_text(template_kind::inference, "One\nTwo {Input}\nThree");
  const auto windows = load_text(template_kind::inference, "\xEF\xBB\xBFOne\r\nTwo {Input}\r\nThree\r\n");
  CHECK(plain.render({{"Input", "\r\n"}}) == "One\nTwo \r\n\nThree");
  CHECK(windows.render({{"Input", "x"}}) == plain.render({{"Input", "x"}}));
}

TEST_CASE("errors name the file and the placeholder") {
  CHECK_THROWS_WITH(load_text(template_kind::reward, "{Input}\n{Ouput}"),
                    ContainsSubstring("coho_template_file_") && ContainsSubstring("line 2, placeholder {Ouput}"));
  CHECK_THROWS_WITH(load_text(template_kind::reward, "{Input}{Output}"),
                    ContainsSubstring("placeholder {Dimensions}: missing"));
  CHECK_THROWS_WITH(load_text(template_kind::inference, "caf\xE9"), ContainsSubstring("not UTF-8"));
  CHECK_THROWS_AS(load_template(template_kind::judge, "/nowhere/judge.txt"), coho::file_error);
}

TEST_CASE("the shipped templates serve their purposes") {
  const coho::judge_prompt judge(load_template(template_kind::judge, shipped_prompt("judge")));
  const auto asked = judge("ASKED", "FIRST", "SECOND", "Concise", "DEFINED");
  CHECK(asked.ends_with("Output ("));
  CHECK(asked.find("ASKED") < asked.find("FIRST"));
  CHECK(asked.find("FIRST") < asked.find("SECOND"));
  CHECK(asked.find("SECOND") < asked.find("Concise: DEFINED"));

  const coho::reward_prompt reward(load_template(template_kind::reward, shipped_prompt("reward")));
  const auto scored = reward("ASKED", "ANSWERED", std::vector<std::string>{"P1", "P2"});
  CHECK(scored.find("ANSWERED") < scored.find("ASKED"));  // the response comes before the instruction
  CHECK(scored.find("ASKED") < scored.find("- P1\n- P2\n"));
  CHECK_FALSE(scored.ends_with('\n'));

  const coho::reward_prompt pretraining(
      load_template(template_kind::preference_pretraining, shipped_prompt("preference_pretraining")));
  CHECK_FALSE(pretraining.takes_principles());
  const auto before = pretraining("ASKED", "ANSWERED");
  CHECK(before.find("ANSWERED") < before.find("ASKED"));
  CHECK(before.substr(before.rfind('\n')) == scored.substr(scored.rfind('\n')));

  const coho::chat_prompt chat(coho::chat_formats::dromedary(),
                               load_template(template_kind::inference, shipped_prompt("inference")));
  CHECK(chat("ASKED").text().ends_with("\n\n### User\nASKED\n\n### Dromedary\n"));
}

TEST_CASE("templates that others published load unchanged") {
  const auto data = coho::test::shared_data();
  if (!data) {
    WARN("shared data absent: skipped");
    return;
  }
  const auto folder = *data / "principles";
  const std::vector<coho::placeholder_value> reward{{"Input", "I\n?"}, {"Output", "O"}, {"Dimensions", "- D\n- E"}};
  for (const auto* name : {"salmon_reward_model_prompt_v0.txt", "salmon_reward_model_prompt_v1.txt"}) {
    CHECK(load_template(template_kind::reward, folder / name).render(reward) ==
          replaced(content_of(folder / name), reward));
  }
  const std::vector<coho::placeholder_value> pretraining{{"Input", "I"}, {"Output", "O"}};
  const auto pmp = folder / "pmp_reward_model_prompt.txt";
  CHECK(load_template(template_kind::preference_pretraining, pmp).render(pretraining) ==
        replaced(content_of(pmp), pretraining));

  const auto judge = folder / "synthetic_preference_prompt.txt";
  const std::vector<coho::placeholder_value> judged{
      {"UserInstruction", "U"}, {"OutputA", "A"}, {"OutputB", "B"}, {"Dimension", "D"}, {"Definition", "F"}};
  CHECK(coho::judge_prompt(load_template(template_kind::judge, judge))("U", "A", "B", "D", "F") ==
        replaced(content_of(judge), judged));

  const auto inference = folder / "dromedary_inference_prompt.txt";
  const coho::chat_prompt chat(coho::chat_formats::dromedary(), load_template(template_kind::inference, inference));
  CHECK(chat("Q").text() == content_of(inference) + "\nQ\n\n### Dromedary\n");
}
