#include "models/prompter.hpp"

#include <algorithm>

#include <coho/error.hpp>

#include "jsonl/bad_records.hpp"
#include "records/records.hpp"
#include "settings/generation_settings.hpp"
#include "settings/prompt_settings.hpp"
#include "support/catch.hpp"
#include "support/demo_model.hpp"
#include "support/heard_notices.hpp"
#include "support/recipe_models.hpp"
#include "support/stage_runs.hpp"
#include "support/temporary_directory.hpp"

using namespace coho;
using namespace coho::trainer;
using namespace coho::test;

namespace {

std::vector<token> with_begin(const std::string& text) {
  std::vector<token> out{demo_model().tokenizer->bos()};
  for (const token id : demo_model().tokenizer->encode(text)) out.push_back(id);
  return out;
}

}  // namespace

TEST_CASE("prompting: plain questions, with and without a template") {
  const temporary_directory folder;
  CHECK(make_prompter(config(settings{}), demo_model()).tokens("why?") == with_begin("why?"));
  write_bytes(folder / "t.txt", "user: {Input}\ncoho:");
  const prompter wrapped =
      make_prompter(config(settings{"prompt.template=" + (folder / "t.txt").string()}), demo_model());
  CHECK(wrapped.tokens("why?") == with_begin("user: why?\ncoho:"));
  const chat_message two[] = {{chat_role::user, "why?"}, {chat_role::assistant, "no."}};
  CHECK_THROWS_AS(wrapped.tokens(two), argument_error);
}

TEST_CASE("prompting: chat formats bring their own words and stops") {
  const prompter plain = make_prompter(config(settings{}), demo_model());
  const prompter vicuna =
      make_prompter(config(settings{"prompt.format=vicuna", "prompt.stop=[\"coho:\"]"}), demo_model());
  CHECK(plain.stop().empty());
  CHECK(vicuna.format_name() == "vicuna");
  CHECK(vicuna.stop().back() == "coho:");
  CHECK(demo_model().tokenizer->decode(vicuna.tokens("why?")).find("why?") != std::string::npos);
  CHECK(vicuna.tokens("why?").size() > plain.tokens("why?").size());
  CHECK_THROWS_AS(make_prompter(config(settings{"prompt.format=vicunna"}), demo_model()), config_error);
  CHECK_THROWS_AS(make_prompter(config(settings{"prompt.stop=[\"\"]"}), demo_model()), option_error);
}

namespace {

// The demo's base with a chat template of its own.
struct model_with_template {
  temporary_directory folder;
  loaded_model model;

  explicit model_with_template(
      const std::string& text =
          "{% for m in messages %}{{ m.role + ': ' + m.content + eos_token + '\n' }}{% endfor %}"
          "{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}",
      const std::string& tokenizer_config = R"({"bos_token": "<s>", "eos_token": "</s>"})")
      : model([&] {
          std::filesystem::copy(demo_base(), folder.path(), std::filesystem::copy_options::recursive);
          write_bytes(folder / "tokenizer_config.json", tokenizer_config);
          write_bytes(folder / "chat_template.jinja", text);
          return load_model(folder.path());
        }()) {}
  config recipe(const settings& more) const { return config(settings{"model.path=" + folder.path().string()} + more); }
};

// Tokens of the parts of a text, between which the end token stands.
std::vector<token> around_ends(const loaded_model& model, const std::vector<std::string>& parts) {
  std::vector<token> out;
  for (const auto& part : parts) {
    if (&part != &parts.front()) out.push_back(model.tokenizer->eos());
    for (const token id : model.tokenizer->encode(part)) out.push_back(id);
  }
  return out;
}

}  // namespace

TEST_CASE(
    "prompting: the model's own chat template is the form where the model brings one and no recipe says otherwise") {
  const model_with_template own;
  const auto expected = around_ends(own.model, {"user: why?", "\nassistant: "});
  const config open = own.recipe({});
  CHECK(make_prompter(open, own.model).format_name() == "model");
  CHECK(make_prompter(open, own.model).tokens("why?") == expected);
  CHECK_THAT(open.resolved(), Catch::Matchers::ContainsSubstring("format = 'model'"));
  CHECK(make_prompter(own.recipe({"prompt.format=model"}), own.model).tokens("why?") == expected);
  CHECK(make_prompter(own.recipe({"prompt.format=plain"}), own.model).tokens("why?") == with_begin("why?"));
  CHECK(make_prompter(own.recipe({"prompt.template=inference"}), own.model).format_name() == "plain");
  CHECK(make_prompter(own.recipe({"prompt.system=be kind"}), own.model).tokens("why?") ==
        around_ends(own.model, {"system: be kind", "\nuser: why?", "\nassistant: "}));
  CHECK(make_prompter(config(settings{"model.path=" + demo_base().string()}), demo_model()).format_name() == "plain");
}

TEST_CASE(
    "prompting: a conversation is learnt in the model's own form, each reply after the tokens that are sampled from") {
  const model_with_template own;
  const auto prompts = make_prompter(own.recipe({}), own.model);
  const std::vector<chat_message> talk{{chat_role::user, "why?"},
                                       {chat_role::assistant, "no reason."},
                                       {chat_role::user, "what next?"},
                                       {chat_role::assistant, "we ask."}};
  const auto learnt = prompts.training_tokens(talk);
  REQUIRE(learnt.replies.size() == 2);
  for (std::size_t i = 0; i < 2; ++i) {
    const auto& reply = learnt.replies[i];
    const auto before = learnt.tokens.begin() + static_cast<std::ptrdiff_t>(reply.first);
    CHECK(std::vector(learnt.tokens.begin(), before) == prompts.tokens(std::span(talk).first(2 * i + 1)));
    CHECK(*(before + static_cast<std::ptrdiff_t>(reply.size) - 1) == own.model.tokenizer->eos());
  }
}

TEST_CASE("prompting: what the model's own form cannot be given is refused") {
  const model_with_template own;
  const auto problem = [&](const settings& more) {
    try {
      make_prompter(own.recipe(more), own.model);
    } catch (const std::exception& e) {
      return std::string(e.what());
    }
    return std::string();
  };
  using Catch::Matchers::ContainsSubstring;
  CHECK_THAT(problem({"prompt.format=model", "prompt.template=inference"}), ContainsSubstring("prompt.system gives"));
  CHECK_THAT(problem({"prompt.chat_template=rag"}), ContainsSubstring("one of default"));
  CHECK_THAT(problem({"prompt.format=plain", "prompt.chat_template=rag"}), ContainsSubstring("unless format is model"));
  for (const std::string wrong : {"2024-13-01", "2023-02-30", "today", "2024-07-26x", "''"})
    CHECK_THAT(problem({"prompt.date=" + wrong}), ContainsSubstring("YYYY-MM-DD"));
  CHECK_THROWS_WITH(make_prompter(config(settings{"prompt.format=model"}), demo_model()),
                    ContainsSubstring("brings no chat template"));
  const model_with_template broken("{% for m in messages %}{{ raise_exception('not ' + m.role) }}{% endfor %}");
  CHECK_THROWS_WITH(
      make_prompter(broken.recipe({}), broken.model).tokens("why?"),
      ContainsSubstring("not user") && ContainsSubstring("chat_template.jinja: line 1") && ContainsSubstring("why?"));
}

TEST_CASE("prompting: a message that spells a special token is not that token, an ordinary one is as it was") {
  const model_with_template own;
  const auto prompts = make_prompter(own.recipe({}), own.model);
  const auto eos = own.model.tokenizer->eos();
  const auto count = [&](const std::vector<token>& tokens) { return std::ranges::count(tokens, eos); };
  CHECK(count(prompts.tokens("why?")) == 1);
  CHECK(count(prompts.tokens("say </s> why?")) == 1);
  CHECK(own.model.tokenizer->decode(prompts.tokens("say </s> why?")).find("say </s> why?") != std::string::npos);
}

TEST_CASE("prompting: a token that the template ends turns with, and no file names, ends responses") {
  const heard_notices heard;
  const model_with_template named;
  const auto& ends = named.model.end_tokens();
  CHECK(make_prompter(named.recipe({}), named.model).end_tokens() == ends);
  const auto notes = [&] {
    return std::ranges::count_if(heard.lines(), [](const std::string& line) {
      return line.find("ends a turn with <|end|>") != std::string::npos;
    });
  };
  CHECK(notes() == 0);

  const model_with_template own(
      "{% for m in messages %}{{ m.role + ': ' + m.content + '<|end|>\n' }}{% endfor %}"
      "{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}",
      R"({"bos_token": "<s>", "eos_token": "</s>", "added_tokens_decoder": {"300": {"content": "<|end|>", "special": true}}})");
  const auto prompts = make_prompter(own.recipe({}), own.model);
  REQUIRE(prompts.end_tokens().size() == ends.size() + 1);
  const token turn_end = prompts.end_tokens().back();
  CHECK(turn_end == 300);
  CHECK(notes() == 1);
  auto response = own.model.tokenizer->encode("no reason.");
  response.push_back(turn_end);
  response.push_back(response.front());
  CHECK(prompts.response_text(response) == "no reason.");
  // Training ends a reply with it, and adds no other end token.
  const std::vector<chat_message> talk{{chat_role::user, "why?"}, {chat_role::assistant, "no reason."}};
  const auto learnt = prompts.training_tokens(talk);
  CHECK(learnt.tokens[learnt.replies.at(0).first + learnt.replies[0].size - 1] == turn_end);
  CHECK(std::ranges::count(learnt.tokens, own.model.tokenizer->eos()) == 0);
}

TEST_CASE("prompting: a record that the model's own template refuses is refused where it is read") {
  const model_with_template own(
      "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system text') }}{% endif %}"
      "{{ m.content }}{{ eos_token }}{% endfor %}");
  const auto prompts = make_prompter(own.recipe({}), own.model);
  const temporary_directory folder;
  write_bytes(folder / "p.jsonl",
              "{\"instruction\": \"why?\", \"input\": \"\"}\n"
              "{\"instruction\": \"what?\", \"input\": \"\", \"system\": \"be kind.\"}\n");
  const auto read = [&] {
    return read_records<prompt_record>(folder / "p.jsonl", all_records, {}, layout_check(prompts));
  };
  using Catch::Matchers::ContainsSubstring;
  CHECK_THROWS_AS(read(), file_error);
  CHECK_THROWS_WITH(read(), ContainsSubstring("p.jsonl: line 2") && ContainsSubstring("no system text") &&
                                ContainsSubstring("--skip-bad"));
  bad_records::setting().skip_bad_records();
  CHECK(read().size() == 1);
  bad_records::setting().refuse_bad_records();
  const auto plain = make_prompter(own.recipe({"prompt.format=plain"}), own.model);
  CHECK(read_records<prompt_record>(folder / "p.jsonl", all_records, {}, layout_check(plain)).size() == 2);
}

TEST_CASE("prompting: a format may be a file") {
  const temporary_directory folder;
  const std::string path = (folder / "mine.json").string();
  write_bytes(path,
              R"({"user": {"prefix": "user: ", "suffix": "\n"}, "assistant": {"prefix": "coho:"}, "stop": ["user:"]})");
  const prompter prompts = make_prompter(config(settings{"prompt.format=" + path}), demo_model());
  CHECK(prompts.tokens("why?") == with_begin("user: why?\ncoho:"));
  CHECK(prompts.stop() == std::vector<std::string>{"user:"});
  const chat_message talk[] = {{chat_role::user, "why?"}, {chat_role::assistant, "no."}, {chat_role::user, "why?"}};
  CHECK(prompts.tokens(talk) == with_begin("user: why?\ncoho:no.user: why?\ncoho:"));

  // A file that is not there yet does not spoil a dry run, which lists it; a name that is none does.
  const config later(settings{"prompt.format=" + (folder / "later.json").string()});
  CHECK_FALSE(read_prompt_settings(later).chat);
  const auto paths = later.read_paths();
  CHECK(std::ranges::find(paths, "prompt.format", [](const auto& entry) { return entry.first; }) != paths.end());
  CHECK_THROWS_AS(make_prompter(later, demo_model()), file_error);
  CHECK_THROWS_WITH(read_prompt_settings(config(settings{"prompt.format=chatml"})),
                    Catch::Matchers::ContainsSubstring("the path of a chat format file"));
}

TEST_CASE("prompting: of a long prompt the begin token and the end are kept") {
  const std::string question = "the fox is red. the owl is gray. why?";
  const prompter prompts = make_prompter(config(settings{"prompt.max_tokens=5"}), demo_model());
  const auto cut = prompts.tokens(question);
  CHECK(cut.size() <= 5);
  REQUIRE(cut.size() >= 4);  // a space in front of the first word left need not be kept
  CHECK(cut.front() == demo_model().tokenizer->bos());
  CHECK(question.ends_with(demo_model().tokenizer->decode(cut)));
  CHECK(prompts.tokens("why?") == with_begin("why?"));
}

TEST_CASE("prompting: a long question is cut, the words around it are not") {
  const auto& model = demo_model();
  const std::string question = "the fox is red. the owl is gray. the owl likes hay. why?";
  const settings form{"prompt.format=dromedary", "prompt.system=be kind."};
  const auto limited = [&](std::size_t limit) {
    return make_prompter(config(form + settings{"prompt.max_tokens=" + std::to_string(limit)}), model);
  };
  const prompter free = make_prompter(config(form), model);
  const std::size_t limit = free.tokens(question).size() - 6;
  const auto cut = limited(limit).tokens(question);
  CHECK(cut.size() <= limit);
  CHECK(cut.size() + 3 >= limit);
  std::string text;
  for (const token id : cut) text += model.tokenizer->token_bytes(id);
  CHECK(text.find("be kind.\n\n### User\n") != std::string::npos);
  CHECK(text.ends_with("likes hay. why?\n\n### Dromedary\n"));
  CHECK(text.find("the fox") == std::string::npos);

  // The oldest exchange goes before the question does.
  const chat_message talk[] = {{chat_role::user, question}, {chat_role::assistant, "no."}, {chat_role::user, "why?"}};
  const auto last = free.tokens("why?");
  CHECK(limited(last.size()).tokens(talk) == last);
  const auto nothing = free.tokens("").size();
  CHECK_THROWS_AS(limited(nothing), option_error);
  CHECK(limited(nothing + 4).tokens(talk).size() <= nothing + 4);
}

TEST_CASE("prompting: a response ends at the end token or a stop, and is trimmed") {
  const prompter prompts = make_prompter(config(settings{"prompt.stop=[\"user:\"]"}), demo_model());
  auto response = demo_model().tokenizer->encode(" the fox is red.");
  CHECK(prompts.response_text(response) == "the fox is red.");
  auto stopped = demo_model().tokenizer->encode(" no. user: why?");
  CHECK(prompts.response_text(stopped) == "no.");
  response.push_back(demo_model().tokenizer->eos());
  for (const token id : demo_model().tokenizer->encode(" more")) response.push_back(id);
  CHECK(prompts.response_text(response) == "the fox is red.");
  CHECK(prompts.response_text({}) == "");
}

TEST_CASE("prompting: generation options are read and their ranges kept") {
  const prompter prompts = make_prompter(config(settings{"prompt.stop=[\"user:\"]"}), demo_model());
  const auto read = [&](const settings& given) {
    return read_generation(config(given), prompts.stop(), {.max_new_tokens = 256, .temperature = 0.7});
  };
  const auto out = read({"generation.max_new_tokens=9", "generation.top_k=3", "generation.top_p=0.5"});
  CHECK(out.max_new_tokens == 9);
  CHECK(out.temperature == 0.7);
  CHECK(out.top_k == 3);
  CHECK(out.top_p == 0.5);
  CHECK(out.stop == std::vector<std::string>{"user:"});
  for (const std::string wrong : {"max_new_tokens=0", "temperature=-0.1", "temperature=nan", "top_p=0", "top_p=1.5"})
    CHECK_THROWS_AS(read({"generation." + wrong}), config_error);
  CHECK_THROWS_AS(read({"generation.max_new_tokens=-1"}), config_error);
}

TEST_CASE("prompting: a system text stands in front where the chat form has a place for one") {
  const auto& model = demo_model();
  const auto text = [&](const settings& given, std::span<const chat_message> messages) {
    std::string out;
    for (const token id : make_prompter(config(given), model).tokens(messages)) out += model.tokenizer->token_bytes(id);
    return out.substr(out.find_first_not_of(' '));
  };
  const chat_message why{chat_role::user, "why?"};
  const std::span<const chat_message> one(&why, 1);
  CHECK(text({"prompt.format=dromedary", "prompt.system=be kind."}, one) ==
        "be kind.\n\n### User\nwhy?\n\n### Dromedary\n");
  CHECK(text({"prompt.format=dromedary"}, one) == "### User\nwhy?\n\n### Dromedary\n");
  CHECK(text({"prompt.format=vicuna", "prompt.system=be kind."}, one) == "be kind. USER: why? ASSISTANT:");
  const chat_message own[] = {{chat_role::system, "be brief."}, why};
  CHECK(text({"prompt.format=dromedary", "prompt.system=be kind."}, own) ==
        "be brief.\n\n### User\nwhy?\n\n### Dromedary\n");

  const temporary_directory folder;
  write_bytes(folder / "t.txt", "be kind.\n\n### User");
  const settings wrapped{"prompt.format=dromedary", "prompt.template=" + (folder / "t.txt").string()};
  CHECK(text(wrapped, one) == "be kind.\n\n### User\nwhy?\n\n### Dromedary\n");
  CHECK_THROWS_AS(make_prompter(config(wrapped + settings{"prompt.system=be kind."}), model), config_error);
  CHECK_THROWS_AS(make_prompter(config(settings{"prompt.system=be kind."}), model), config_error);
}

TEST_CASE("prompting: a template may be named as it is shipped") {
  const auto& model = demo_model();
  std::string text;
  for (const token id :
       make_prompter(config(settings{"prompt.format=dromedary", "prompt.template=inference"}), model).tokens("why?"))
    text += model.tokenizer->token_bytes(id);
  CHECK(text.find("Dromedary is helpful, honest and considerate") != std::string::npos);
  CHECK(text.ends_with("### User\nwhy?\n\n### Dromedary\n"));
  CHECK_THROWS_AS(make_prompter(config(settings{"prompt.template=inferense"}), model), file_error);

  // A conversation's own system text takes its place.
  const prompter prompts =
      make_prompter(config(settings{"prompt.format=dromedary", "prompt.template=inference"}), model);
  const prompter bare = make_prompter(config(settings{"prompt.format=dromedary"}), model);
  const chat_message own[] = {{chat_role::system, "be brief."}, {chat_role::user, "why?"}};
  CHECK(prompts.tokens(own) == bare.tokens(own));
}

TEST_CASE("prompting: training keeps to prompt.max_tokens, generation to a limit of its own") {
  const auto limit = [](const settings& given, const std::string& stage, bool trains) {
    const auto out = read_prompt_settings(config(given), stage, trains);
    return std::pair{out.max_tokens, out.max_tokens_key};
  };
  using pair = std::pair<std::size_t, std::string>;
  CHECK(limit({"prompt.max_tokens=5"}, "sft", true) == pair{5, "prompt.max_tokens"});
  CHECK(limit({"prompt.max_tokens=5", "sft.max_prompt_tokens=9"}, "sft", true) == pair{9, "sft.max_prompt_tokens"});
  CHECK(limit({"prompt.max_tokens=5"}, "generate", false) == pair{0, "generate.max_prompt_tokens"});
  CHECK(limit({"generate.max_prompt_tokens=7"}, "generate", false) == pair{7, "generate.max_prompt_tokens"});
}

TEST_CASE("prompting: prompts that are cut are counted") {
  const auto given = read_prompt_settings(config(settings{"prompt.max_tokens=5"}));
  const prompter prompts(given, demo_model());
  const std::string question = "the fox is red. the owl is gray. why?";
  const chat_message brief[] = {{chat_role::user, "why?"}}, whole[] = {{chat_role::user, question}};
  CHECK(prompts.fits(brief));
  CHECK_FALSE(prompts.fits(whole));
  CHECK(prompts.cut_count() == 0);
  CHECK(prompt_cut_note(prompts.cut_count(), given, 3).empty());
  prompts.tokens("why?");
  prompts.tokens(question);
  prompts.tokens(question);
  CHECK(prompts.cut_count() == 2);
  const auto note = prompt_cut_note(prompts.cut_count(), given, 3);
  CHECK(note.find("2 of 3 prompts") != std::string::npos);
  CHECK(note.find("prompt.max_tokens = 5") != std::string::npos);
}
