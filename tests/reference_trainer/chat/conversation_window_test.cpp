#include "chat/conversation_window.hpp"

#include <nlohmann/json.hpp>

#include "models/prompter.hpp"
#include "records/records.hpp"
#include "support/catch.hpp"
#include "support/demo_model.hpp"
#include "support/recipe_models.hpp"
#include "support/stage_runs.hpp"
#include "support/temporary_directory.hpp"

using namespace coho;
using namespace coho::trainer;
using namespace coho::test;

namespace {

std::vector<chat_message> talk(std::size_t exchanges, const std::string& system = {}) {
  std::vector<chat_message> out;
  if (!system.empty()) out.push_back({chat_role::system, system});
  for (std::size_t i = 0; i < exchanges; ++i) {
    out.push_back({chat_role::user, "what is the fox?"});
    out.push_back({chat_role::assistant, "the fox is red."});
  }
  out.push_back({chat_role::user, "why?"});
  return out;
}

}  // namespace

TEST_CASE("chat: the oldest exchanges go first, the system text and the question stay") {
  const prompter prompts = make_prompter(config(settings{"prompt.format=vicuna"}), demo_model());
  const auto length = [&](std::size_t exchanges) { return prompts.tokens(talk(exchanges, "be kind.")).size(); };
  auto messages = talk(3, "be kind.");
  CHECK(fit_conversation(prompts, messages, length(3)).size() == length(3));
  CHECK(messages.size() == 8);
  CHECK(fit_conversation(prompts, messages, length(3) - 1).size() == length(2));
  REQUIRE(messages.size() == 6);
  CHECK(messages.front().role == chat_role::system);
  CHECK(messages.back().text == "why?");
  CHECK(fit_conversation(prompts, messages, 1).size() == length(0));
  CHECK(messages.size() == 2);
}

TEST_CASE("chat: a saved conversation is a record that sft reads") {
  const auto messages = talk(1, "be kind.");
  const temporary_directory folder;
  write_bytes(folder / "talk.jsonl", conversation_json(std::span(messages).first(3)).dump() + "\n");
  const auto records = read_records<sft_record>(folder / "talk.jsonl");
  REQUIRE(records.size() == 1);
  CHECK(records[0].response == "the fox is red.");
  CHECK(records[0].prompt.question() == "what is the fox?");
  CHECK(records[0].prompt.system == "be kind.");
  CHECK((records[0].prompt.messages() == std::vector<chat_message>(messages.begin(), messages.begin() + 2)));
}
