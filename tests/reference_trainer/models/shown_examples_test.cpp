#include "models/shown_examples.hpp"

#include "config/read_options.hpp"
#include "support/catch.hpp"
#include "support/stage_runs.hpp"

using namespace coho;
using namespace coho::trainer;
using namespace coho::test;
using Catch::Matchers::ContainsSubstring;

namespace {

shown_example_options options(const settings& given) {
  const config recipe(given);
  shown_example_options out;
  read_options(recipe.section("sft"), out.sft, {"max_prompt_tokens"});
  out.forms = read_sft_prompts(recipe, out.sft.templates);
  out.reward = read_reward_prompt(recipe, "reward");
  return out;
}

const sft_record talk{
    .prompt = {.instruction = "why?", .history = {{chat_role::user, "who?"}, {chat_role::assistant, "the fox."}}},
    .response = "the owl."};
const preference_record pair{
    .prompt = {.instruction = "why?"}, .response_1 = "no.", .response_2 = "the fox.", .preferred = 2};

}  // namespace

TEST_CASE("shown examples: without a model the messages, with what is learned between marks") {
  const shown_examples show(options({}), nullptr);
  CHECK(show(talk) == "user: who?\nassistant: ⟦the fox.⟧\nuser: why?\nassistant: ⟦the owl.⟧\n");
  CHECK(show(talk.prompt) == "user: who?\nassistant: the fox.\nuser: why?\n");
  CHECK(shown_examples(options({"sft.replies=last"}), nullptr)(talk) ==
        "user: who?\nassistant: the fox.\nuser: why?\nassistant: ⟦the owl.⟧\n");
  CHECK(show(pair) ==
        "prompt: why?\nchosen: the fox.\nrejected: no.\n"
        "learned: the score at the end of chosen above that of rejected\n");
  CHECK(show(sample_record{.prompt = {.instruction = "q"}, .responses = {"a", "b"}, .finished = {true, true}}) ==
        "prompt: q\nresponse: a\nresponse: b\n");
  CHECK_THAT(show(judgement_record{.pair = {{.instruction = "q"}, "a", "b"}, .scores = {{"brief", 1, 0}}}),
             ContainsSubstring("log-odds of response 1, brief: 0.5"));
}

TEST_CASE("shown examples: with a model the tokens that sft trains on") {
  const loaded_model model = load_model_tokens(demo_base());
  CHECK(model.bank == nullptr);
  const settings form{"prompt.format=vicuna"};
  const shown_examples show(options(form), &model);
  const auto text = show(talk);
  const auto example = make_supervised_example(talk, prompter(options(form).forms.front(), model), 512);
  CHECK_THAT(text, ContainsSubstring("⟧ USER: why? ASSISTANT:⟦ the owl."));
  const std::size_t all = example.prompt.size() + example.response.size();
  const auto learned =
      static_cast<std::size_t>(std::ranges::count_if(example.token_weights, [](double w) { return w > 0; }));
  REQUIRE(learned > 0);
  REQUIRE(learned < example.response.size());
  CHECK_THAT(text, ContainsSubstring("(" + std::to_string(all) + " tokens, " + std::to_string(learned) + " learned)"));
  CHECK_THAT(show(talk.prompt), !ContainsSubstring("learned") && !ContainsSubstring("⟦"));
  // A record takes the template of its number.
  const shown_examples cut(options(form + settings{"sft.max_response_tokens=2", "sft.replies=last"}), &model);
  CHECK_THAT(cut(talk), ContainsSubstring(", 2 learned)"));
}

TEST_CASE("shown examples: preferences as the reward model reads them") {
  const loaded_model model = load_model_tokens(demo_base());
  const shown_examples show(options({"reward_prompt.response_tokens=1"}), &model);
  const auto text = show(pair);
  CHECK(text.find("chosen: ") < text.find("rejected: "));
  CHECK_THAT(text, !ContainsSubstring("the fox."));
  CHECK_THAT(shown_examples(options({}), &model)(pair), ContainsSubstring("the fox."));
  preference_record named = pair;
  named.principles = {{.name = "Brief"}};
  CHECK_THAT(show(named), ContainsSubstring("\"Brief\"") && ContainsSubstring("reward.principles"));
}

TEST_CASE("shown examples: of a long text both ends, by characters") {
  auto given = options({});
  given.characters = 4;
  const shown_examples show(given, nullptr);
  CHECK(show(prompt_record{.instruction = "äöüßéèê"}) == "user: äö …[3 characters]… èê\n");
  CHECK(show(prompt_record{.instruction = "äöüß"}) == "user: äöüß\n");
  given.characters = 0;
  CHECK(shown_examples(given, nullptr)(prompt_record{.instruction = std::string(5000, 'x')}).size() > 5000);
}
