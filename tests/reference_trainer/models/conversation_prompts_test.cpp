#include <nlohmann/json.hpp>

#include <coho/error.hpp>

#include "jsonl/dropped_parts.hpp"
#include "models/prompter.hpp"
#include "models/supervised_examples.hpp"
#include "records/records.hpp"
#include "support/catch.hpp"
#include "support/demo_model.hpp"
#include "support/recipe_models.hpp"
#include "support/stage_runs.hpp"
#include "support/temporary_directory.hpp"
#include "tokenizer/sentencepiece.hpp"

using namespace coho;
using namespace coho::trainer;
using namespace coho::test;
using Catch::Matchers::ContainsSubstring;

namespace {

// The tokenizer is other people's; of the model only the end token matters.
loaded_model model_with_pieces_of(const std::filesystem::path& file) {
  loaded_model out = load_model(demo_base());
  out.tokenizer = std::make_shared<const sentencepiece_tokenizer>(sentencepiece_tokenizer::from_file(file));
  return out;
}

struct invented_talk {
  std::string system;
  std::vector<std::pair<std::string, std::string>> exchanges;
  std::vector<double> weights;  // empty: all 1
};

// Thirty: without and with a system text, of one to three exchanges, every fifth with weights.
std::vector<invented_talk> invented_talks() {
  const std::vector<std::string> things{"fox", "owl", "hat", "box", "hay"}, colours{"red", "gray", "blue"};
  std::vector<invented_talk> out;
  for (std::size_t i = 0; i < 30; ++i) {
    invented_talk talk{
        .system = i % 2 == 1 ? "be kind to the " + things[i % 5] + "." : "", .exchanges = {}, .weights = {}};
    for (std::size_t k = 0; k <= i % 3; ++k) {
      talk.exchanges.emplace_back("what is the " + things[(i + k) % 5] + " " + std::to_string(i) + "?",
                                  "the " + things[(i + k) % 5] + " is " + colours[(i / 2 + k) % 3] + ".");
      if (i % 5 == 4) talk.weights.push_back(k == 1 ? 0 : k == 2 ? 0.5 : 1);
    }
    out.push_back(std::move(talk));
  }
  return out;
}

json message_of(bool hub, const char* role, const char* share, const std::string& text) {
  return hub ? json{{"role", role}, {"content", text}} : json{{"from", share}, {"value", text}};
}

json list_of(const invented_talk& talk, bool hub, bool system, std::size_t turns) {
  json out = json::array();
  if (system && !talk.system.empty()) out.push_back(message_of(hub, "system", "system", talk.system));
  for (std::size_t i = 0; i < turns; ++i) {
    const auto& [question, answer] = talk.exchanges[i / 2];
    out.push_back(i % 2 == 0 ? message_of(hub, "user", "human", question)
                             : message_of(hub, "assistant", "gpt", answer));
    if (i % 2 == 1 && !talk.weights.empty()) out.back()["weight"] = talk.weights[i / 2];
  }
  return out;
}

// The conversation in every form that can say all of it.
std::vector<json> forms_of(const invented_talk& talk) {
  const std::size_t turns = 2 * talk.exchanges.size();
  const auto& [question, answer] = talk.exchanges.back();
  const auto with_system = [&](json record, const char* name = "system") {
    if (!talk.system.empty()) record[name] = talk.system;
    return record;
  };
  json pairs = json::array(), weights = json::array();
  for (std::size_t k = 0; k + 1 < talk.exchanges.size(); ++k) {
    pairs.push_back({talk.exchanges[k].first, talk.exchanges[k].second});
    weights.push_back(talk.weights.empty() ? 1.0 : talk.weights[k]);
  }
  std::vector<json> out;
  for (const bool hub : {true, false}) {
    out.push_back({{"messages", list_of(talk, hub, true, turns)}});
    out.push_back({{"conversations", list_of(talk, hub, true, turns)}});
    out.push_back(with_system({{"messages", list_of(talk, hub, false, turns)}}));
    out.push_back(with_system({{"conversations", list_of(talk, hub, false, turns)}}, "system_prompt"));
  }
  out.push_back({{"prompt", list_of(talk, true, true, turns - 1)},
                 {"completion", json::array({list_of(talk, true, false, turns).back()})}});
  out.push_back(with_system(
      {{"prompt", list_of(talk, false, false, turns - 1)}, {"completion", list_of(talk, true, false, turns).back()}}));
  out.push_back(with_system({{"instruction", question},
                             {"input", ""},
                             {"output", answer},
                             {"history", pairs},
                             {"history_weights", weights},
                             {"weight", talk.weights.empty() ? 1.0 : talk.weights.back()}}));
  if (!talk.weights.empty()) return out;
  out.push_back(with_system({{"prompt", list_of(talk, true, false, turns - 1)}, {"completion", answer}}));
  out.push_back(with_system(
      {{"instruction", question}, {"response", answer}, {"history", list_of(talk, true, false, turns - 2)}}));
  out.push_back(with_system({{"question", question}, {"response", answer}, {"history", pairs}}, "system_prompt"));
  out.push_back(with_system({{"prompt", question}, {"completion", answer}, {"history", pairs}}));
  if (turns == 2) return out;
  std::string transcript;
  for (std::size_t i = 0; i + 1 < turns; ++i)
    transcript +=
        (i % 2 == 0 ? "\n\nHuman: " + talk.exchanges[i / 2].first : "\n\nAssistant: " + talk.exchanges[i / 2].second);
  out.push_back(with_system({{"prompt", transcript + "\n\nAssistant:"}, {"completion", answer}}));
  return out;
}

sft_record read_talk(const json& form) {
  const temporary_directory folder;
  write_bytes(folder / "talk.jsonl", form.dump() + "\n");
  return read_records<sft_record>(folder / "talk.jsonl").front();
}

struct golden_talk {
  std::string format;
  std::size_t talk;
  std::vector<token> ids;
  std::vector<std::size_t> trained;
};

std::vector<std::size_t> trained_positions(const supervised_example& example) {
  std::vector<std::size_t> out;
  for (std::size_t i = 0; i < example.response.size(); ++i)
    if (example.token_weights.empty() || example.token_weights[i] > 0) out.push_back(example.prompt.size() + i);
  return out;
}

std::vector<token> all_tokens(const supervised_example& example) {
  auto out = example.prompt;
  out.insert(out.end(), example.response.begin(), example.response.end());
  return out;
}

sft_record golden_record(std::size_t talk) {
  const json lists[] = {
      json::parse(R"([{"role":"user","content":"Name a river."},{"role":"assistant","content":"The Elbe."}])"),
      json::parse(
          R"([{"role":"system","content":"Answer in one word."},{"role":"user","content":"Name a river."},{"role":"assistant","content":"Elbe."}])"),
      json::parse(
          R"([{"role":"system","content":"You count sheep."},{"role":"user","content":"How many are in the field?"},{"role":"assistant","content":"Seven, I think."},{"role":"user","content":"And behind the barn?"},{"role":"assistant","content":"Two more:\na ram and a lamb."}])")};
  return read_talk({{"messages", lists[talk]}});
}

void check_golden(const loaded_model& model, const golden_talk& golden) {
  CAPTURE(golden.format, golden.talk);
  const prompter prompts = make_prompter(config(settings{"prompt.format=" + golden.format}), model);
  const auto example = make_supervised_example(golden_record(golden.talk), prompts, 0);
  CHECK(all_tokens(example) == golden.ids);
  CHECK(trained_positions(example) == golden.trained);
}

}  // namespace

TEST_CASE("conversations: thirty in every accepted form give the same tokens and the same trained positions") {
  const auto& model = demo_model();
  for (const std::string format : {"plain", "dromedary", "llama2_chat", "vicuna", "mistral"}) {
    const prompter prompts = make_prompter(config(settings{"prompt.format=" + format}), model);
    for (const auto& talk : invented_talks()) {
      std::optional<supervised_example> first;
      for (const auto& form : forms_of(talk)) {
        CAPTURE(format, form.dump());
        const auto record = read_talk(form);
        const auto example = make_supervised_example(record, prompts, 0);
        if (!first) first = example;
        CHECK(example.prompt == first->prompt);
        CHECK(example.response == first->response);
        CHECK(example.token_weights == first->token_weights);
        // What is written out is read back as the same conversation.
        CHECK((read_talk(to_json(record)).messages() == record.messages()));
        // The prompt of each form is what a policy is asked.
        CHECK(prompts.tokens(record.prompt.messages()) ==
              prompts.tokens(read_talk(forms_of(talk)[0]).prompt.messages()));
      }
      // The words that are trained on are those of the replies, by their weights.
      std::string wanted, trained;
      for (std::size_t k = 0; k < talk.exchanges.size(); ++k)
        if (talk.weights.empty() || talk.weights[k] > 0) wanted += talk.exchanges[k].second;
      const auto ids = all_tokens(*first);
      for (const auto i : trained_positions(*first)) trained += model.tokenizer->token_bytes(ids[i]);
      const auto without_spaces = [](std::string text) { return std::erase(text, ' '), text; };
      CHECK(without_spaces(trained) == without_spaces(wanted));
      if (talk.weights.empty() || talk.weights.back() > 0) CHECK(ids.back() == model.tokenizer->eos());
    }
  }
}

TEST_CASE("conversations: token ids and trained positions are those of transformers' chat templates") {
  const auto data = shared_data();
  if (!data) {
    WARN("shared data absent: skipped");
    return;
  }
  const auto llama = model_with_pieces_of(*data / "tokenizers" / "llama2.model");
  const auto mistral = model_with_pieces_of(*data / "tokenizers" / "mistral-v1.model");
  // transformers 5.23, the text of the whole conversation tokenised at once, and the mask of its assistant tokens.
  const golden_talk of_llama[] = {
      {"llama2_chat",
       0,
       {1, 518, 25580, 29962, 4408, 263, 8580, 29889, 518, 29914, 25580, 29962, 450, 1260, 915, 29889, 29871, 2},
       {12, 13, 14, 15, 16, 17}},
      {"llama2_chat",
       1,
       {1,    518,   25580, 29962, 3532,  14816, 29903, 6778, 13,    22550, 297,  697,
        1734, 29889, 13,    29966, 829,   14816, 29903, 6778, 13,    13,    1170, 263,
        8580, 29889, 518,   29914, 25580, 29962, 1260,  915,  29889, 29871, 2},
       {30, 31, 32, 33, 34}},
      {"llama2_chat",
       2,
       {1,     518,   25580, 29962, 3532,  14816, 29903, 6778,  13,    3492,  2302,  29735, 29889, 13,
        29966, 829,   14816, 29903, 6778,  13,    13,    5328,  1784,  526,   297,   278,   1746,  29973,
        518,   29914, 25580, 29962, 26647, 29892, 306,   1348,  29889, 29871, 2,     1,     518,   25580,
        29962, 1126,  5742,  278,   2594,  29876, 29973, 518,   29914, 25580, 29962, 7803,  901,   29901,
        13,    29874, 13472, 322,   263,   301,   1117,  29889, 29871, 2},
       {32, 33, 34, 35, 36, 37, 38, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63, 64, 65}},
      {"vicuna",
       0,
       {1, 3148, 1001, 29901, 4408, 263, 8580, 29889, 319, 1799, 9047, 13566, 29901, 450, 1260, 915, 29889, 2},
       {13, 14, 15, 16, 17}},
      {"vicuna",
       1,
       {1,    673,   297, 697,  1734, 29889, 3148,  1001, 29901, 4408,  263,
        8580, 29889, 319, 1799, 9047, 13566, 29901, 1260, 915,   29889, 2},
       {18, 19, 20, 21}},
      {"vicuna",
       2,
       {1,     887,   2302,  29735, 29889, 3148,  1001,  29901, 1128,  1784, 526,  297,   278,
        1746,  29973, 319,   1799,  9047,  13566, 29901, 26647, 29892, 306,  1348, 29889, 2,
        3148,  1001,  29901, 1126,  5742,  278,   2594,  29876, 29973, 319,  1799, 9047,  13566,
        29901, 7803,  901,   29901, 13,    29874, 13472, 322,   263,   301,  1117, 29889, 2},
       {20, 21, 22, 23, 24, 25, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51}},
  };
  const golden_talk of_mistral[] = {
      {"mistral",
       0,
       {1, 733, 16289, 28793, 6620, 264, 7782, 28723, 733, 28748, 16289, 28793, 415, 1744, 1105, 28723, 2},
       {12, 13, 14, 15, 16}},
      {"mistral",
       1,
       {1,   733,  16289, 28793, 26307, 297,   624,   1707, 28723, 13,    13, 952,
        264, 7782, 28723, 733,   28748, 16289, 28793, 1744, 1105,  28723, 2},
       {19, 20, 21, 22}},
      {"mistral",
       2,
       {1,    733, 16289, 28793, 995,   2113,  19583, 28723, 13,    13,    5660,  1287,  460,
        297,  272, 1834,  28804, 733,   28748, 16289, 28793, 21283, 28725, 315,   1073,  28723,
        2,    733, 16289, 28793, 1015,  2910,  272,   18581, 28804, 733,   28748, 16289, 28793,
        6005, 680, 28747, 13,    28708, 15355, 304,   264,   305,   1379,  28723, 2},
       {21, 22, 23, 24, 25, 26, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50}},
  };
  for (const auto& golden : of_llama) check_golden(llama, golden);
  for (const auto& golden : of_mistral) check_golden(mistral, golden);
}

TEST_CASE("conversations: prompt and response meet as one text, in the plain format and in files") {
  const auto data = shared_data();
  if (!data) {
    WARN("shared data absent: skipped");
    return;
  }
  const auto model = model_with_pieces_of(*data / "tokenizers" / "llama2.model");
  const temporary_directory folder;
  write_bytes(folder / "ends_in_space.json",
              R"({"user":{"prefix":"USER: ","suffix":"\n"},"assistant":{"prefix":"ASSISTANT: "}})");
  write_bytes(folder / "gap.json",
              R"({"user":{"prefix":"USER: ","suffix":"\n"},"assistant":{"prefix":"ASSISTANT:","history_gap":" "}})");
  write_bytes(folder / "chatml.json",
              R"({"user":{"prefix":"<|u|>\n","suffix":"\n"},"assistant":{"prefix":"<|a|>\n"}})");
  write_bytes(folder / "t.txt", "Q: {Input} A:");
  const auto check = [&](const settings& form, const std::string& question, const std::string& answer,
                         const std::string& text, const std::string& learned) {
    CAPTURE(form, question, answer);
    const prompter prompts = make_prompter(config(form), model);
    const sft_record record{{.instruction = question}, answer};
    const auto example = make_supervised_example(record, prompts, 0);
    std::vector<token> whole{model.tokenizer->bos()};
    for (const token id : model.tokenizer->encode(text)) whole.push_back(id);
    whole.push_back(model.end_tokens().front());
    CHECK(all_tokens(example) == whole);
    CHECK(example.prompt == prompts.tokens(question));
    std::string bytes;
    for (const token id : example.response) bytes += model.tokenizer->token_bytes(id);
    CHECK(bytes == learned);
  };
  const settings plain;
  for (const std::string question : {"Was it big? A:", "Was it big? A: ", "Was it big? A:   "})
    for (const std::string answer : {"yes it was", " yes it was"})
      check(plain, question, answer, "Was it big? A: yes it was", " yes it was");
  check(plain, "Was it big?\n", "yes", "Was it big?\nyes", "yes");
  check(plain, "Was it big?", "\nyes", "Was it big?\nyes", "\nyes");
  check({"prompt.template=" + (folder / "t.txt").string()}, "Was it big?", "yes", "Q: Was it big? A: yes", " yes");
  for (const std::string file : {"ends_in_space.json", "gap.json"})
    check({"prompt.format=" + (folder / file).string()}, "Was it big?", "yes it was",
          "USER: Was it big?\nASSISTANT: yes it was", " yes it was");
  check({"prompt.format=" + (folder / "chatml.json").string()}, "Was it big?", "yes", "<|u|>\nWas it big?\n<|a|>\nyes",
        "yes");
  check({"prompt.format=dromedary"}, "Was it big?", "yes", "### User\nWas it big?\n\n### Dromedary\nyes", "yes");
}

TEST_CASE("conversations: the plain format asks several turns as a transcript, behind the system text") {
  const auto& model = demo_model();
  const prompter prompts = make_prompter(config(settings{}), model);
  const std::vector<chat_message> talk{{chat_role::system, "be kind."},
                                       {chat_role::user, "why?"},
                                       {chat_role::assistant, "the fox is red."},
                                       {chat_role::user, "and?"}};
  const auto with_begin_token = [&](const std::string& text) {
    std::vector<token> out{model.tokenizer->bos()};
    for (const token id : model.tokenizer->encode(text)) out.push_back(id);
    return out;
  };
  CHECK(prompts.tokens(talk) ==
        with_begin_token("be kind.\n\nHuman: why?\n\nAssistant: the fox is red.\n\nHuman: and?\n\nAssistant:"));
  CHECK(prompts.tokens(std::span(talk).first(2)) == with_begin_token("be kind.\n\nwhy?"));
}

TEST_CASE("conversations: a system text of a record's own takes the template's place, and that is said") {
  const temporary_directory folder;
  write_bytes(folder / "t.txt", "be kind.\n\n### User");
  const settings form{"prompt.format=dromedary", "prompt.template=" + (folder / "t.txt").string()};
  const prompter prompts = make_prompter(config(form), demo_model());
  dropped_parts::of_run().clear();
  const std::vector<chat_message> talk{{chat_role::system, "be brief."}, {chat_role::user, "why?"}};
  CHECK(prompts.tokens(talk) == make_prompter(config(settings{"prompt.format=dromedary"}), demo_model()).tokens(talk));
  CHECK(prompts.tokens(talk) != prompts.tokens("why?"));
  REQUIRE(dropped_parts::of_run().report_lines().size() == 1);
  CHECK_THAT(dropped_parts::of_run().report_lines()[0], ContainsSubstring("replaces prompt.template"));
  dropped_parts::of_run().clear();

  // A template of the plain format has one place: the replies before the last are read only.
  write_bytes(folder / "plain.txt", "Q: {Input} A:");
  const prompter plain =
      make_prompter(config(settings{"prompt.template=" + (folder / "plain.txt").string()}), demo_model());
  const auto example = make_supervised_example(read_talk(forms_of(invented_talks()[2])[0]), plain, 0);
  CHECK(example.token_weights.empty());
  CHECK(dropped_parts::of_run().report_lines().size() == 1);
  dropped_parts::of_run().clear();
}
