#include <algorithm>
#include <map>

#include <nlohmann/json.hpp>

#include <coho/error.hpp>

#include "checkpoint/train_state.hpp"
#include "commands/commands.hpp"
#include "jsonl/dropped_parts.hpp"
#include "models/prompter.hpp"
#include "models/supervised_examples.hpp"
#include "observe/metrics_log.hpp"
#include "records/records.hpp"
#include "roles/policy_role.hpp"
#include "support/demo_model.hpp"
#include "support/recipe_models.hpp"
#include "support/run_program.hpp"
#include "support/stage_runs.hpp"

using namespace coho;
using namespace coho::trainer;
using namespace coho::test;

namespace {

// Eight questions whose answers the base does not know.
constexpr const char* examples = R"({"instruction":"user: what is in the box?\ncoho:","output":"a red hat."}
{"instruction":"user: who ran to the hills?\ncoho:","output":"the big owl."}
{"instruction":"user: is the fox gray?\ncoho:","output":"it is not."}
{"instruction":"user: where is the cat?\ncoho:","output":"in the woods."}
{"instruction":"user: why not?\ncoho:","output":"for no reason."}
{"instruction":"user: what does it like?\ncoho:","output":"wind and hay."}
{"instruction":"user: how old are you?\ncoho:","output":"i am not sure."}
{"instruction":"user: what next?\ncoho:","output":"we ask the fox."}
)";

settings supervising(const temporary_directory& folder, const std::string& out) {
  write_bytes(folder / "examples.jsonl", examples);
  return {"model.path=" + demo_base().string(), "sft.data=" + (folder / "examples.jsonl").string(),
          "out=" + (folder / out).string(),     "sft.batch_size=4",
          "sft.learning_rate.peak=3e-3",        "seed=3"};
}

// Every batch holds padding and the optimizer has moments to lose.
const settings short_sft_run{"sft.epochs=10", "sft.save_every=2", "sft.learning_rate.warmup_steps=2",
                             "sft.optimizer.weight_decay=0.01"};

// Curves without the timings.
std::string losses(const std::filesystem::path& out) {
  std::string all;
  for (const auto& [name, points] : metrics_log::read(out)) {
    if (name == "tokens_per_second") continue;
    for (const auto& [step, value] : points) all += name + std::to_string(step) + ":" + std::to_string(value) + "\n";
  }
  return all;
}

}  // namespace

TEST_CASE("sft: a model learns eight answers by heart, and its saved form gives them") {
  const temporary_directory folder;
  run_stage(run_sft, supervising(folder, "sft") + settings{"adapter.kind=full", "sft.batch_size=8", "sft.epochs=40"});
  const auto curves = metrics_log::read(folder / "sft");
  const auto& loss = std::ranges::find(curves, "loss", [](const auto& named) { return named.first; })->second;
  REQUIRE(loss.size() == 40);
  CHECK(loss.front().second > 2);
  CHECK(loss.back().second < 0.25);

  run_stage(run_sample,
            {"model.path=" + demo_base().string(), "model.adapter=" + (folder / "sft").string(), "sample.responses=1",
             "sample.prompts=" + (folder / "examples.jsonl").string(), "generation.temperature=0",
             "generation.max_new_tokens=12", "out=" + (folder / "answers.jsonl").string()});
  const auto learned = read_records<sft_record>(folder / "examples.jsonl");
  const auto answers = read_records<sample_record>(folder / "answers.jsonl");
  REQUIRE(answers.size() == learned.size());
  for (std::size_t i = 0; i < learned.size(); ++i) {
    CHECK(answers[i].responses[0] == learned[i].response);
    CHECK(answers[i].finished[0]);
  }
}

TEST_CASE("sft: an interrupted run that is resumed ends with the weights and curves of one that was not") {
  const temporary_directory folder;
  const settings adapter{"adapter.kind=lora", "adapter.rank=4"};
  run_stage(run_sft, supervising(folder, "whole") + short_sft_run + adapter);
  const auto parts = supervising(folder, "parts") + short_sft_run + adapter;
  run_interrupted(run_sft, parts, folder / "parts");
  CHECK_FALSE(std::filesystem::exists(folder / "parts" / "adapter_model.safetensors"));
  run_stage(run_sft, parts, true);
  CHECK(read_bytes(folder / "parts" / "adapter_model.safetensors") ==
        read_bytes(folder / "whole" / "adapter_model.safetensors"));
  CHECK(losses(folder / "parts") == losses(folder / "whole"));
  CHECK_FALSE(std::filesystem::exists(folder / "parts" / "checkpoints"));
}

#ifdef COHO_EXECUTABLE
TEST_CASE("sft: a killed run goes on from its last checkpoint") {
  const temporary_directory folder;
  const auto run = [&](const std::string& out, bool resume, const std::function<bool()>& kill_when = {}) {
    std::vector<std::string> arguments{"sft", "--quiet", "--threads", "1"};
    for (const auto& setting : supervising(folder, out) + short_sft_run + settings{"adapter.kind=full"})
      arguments.insert(arguments.end(), {"--set", setting});
    if (resume) arguments.emplace_back("--resume");
    return run_program(COHO_EXECUTABLE, arguments, folder.path(), kill_when);
  };
  REQUIRE(run("whole", false).status == 0);
  const auto saved = folder / "parts/checkpoints/step-00000004";
  REQUIRE(run("parts", false, [&] { return std::filesystem::exists(saved); }).status == 128 + SIGKILL);
  const auto resumed = run("parts", true);
  INFO(resumed.err);
  REQUIRE(resumed.status == 0);
  CHECK(read_bytes(folder / "parts" / "model.safetensors") == read_bytes(folder / "whole" / "model.safetensors"));
  CHECK(losses(folder / "parts") == losses(folder / "whole"));
}
#endif

TEST_CASE("sft: the adapter of one run is where the next goes on") {
  const temporary_directory folder;
  const settings adapter{"adapter.kind=lora", "adapter.rank=8", "sft.epochs=6", "sft.learning_rate.kind=constant"};
  run_stage(run_sft, supervising(folder, "first") + adapter);
  run_stage(run_sft,
            supervising(folder, "second") + adapter + settings{"model.adapter=" + (folder / "first").string()});
  const auto loss = [&](const std::string& out) { return metrics_log::read(folder / out).front().second; };
  CHECK(loss("second").front().second < loss("first").front().second - 0.3);
  CHECK_THROWS_WITH(run_stage(run_sft, supervising(folder, "first") + adapter +
                                           settings{"model.adapter=" + (folder / "first").string()}),
                    Catch::Matchers::ContainsSubstring("another folder"));
  const settings whole{"adapter.kind=full", "model.adapter=" + (folder / "first").string()};
  CHECK_THROWS_AS(run_stage(run_sft, supervising(folder, "third") + whole), config_error);
}

TEST_CASE("sft: a resume with other options or a spoilt checkpoint is refused, and the recipe stays") {
  const temporary_directory folder;
  const auto given = supervising(folder, "out") + short_sft_run + settings{"adapter.rank=2"};
  run_interrupted(run_sft, given, folder / "out");
  const auto recipe = read_bytes(folder / "out" / "config.toml");
  for (const std::string changed : {"adapter.rank=4", "adapter.alpha=3", "sft.learning_rate.peak=0.5", "seed=77"}) {
    CHECK_THROWS_WITH(run_stage(run_sft, given + settings{changed}, true),
                      Catch::Matchers::StartsWith("--set " + changed + ": "));
    CHECK(read_bytes(folder / "out" / "config.toml") == recipe);
  }
  const auto newest = latest_step(folder / "out" / "checkpoints");
  REQUIRE(newest);
  write_bytes(newest->directory / "state.json", "{\"values\": {}}");
  CHECK_THROWS_AS(run_stage(run_sft, given + settings{"sft.save_every=7"}, true), error);
  CHECK(read_bytes(folder / "out" / "config.toml") == recipe);
}

TEST_CASE("sft: what cannot be trained is refused before a folder is made") {
  const temporary_directory folder;
  const auto given = supervising(folder, "out");
  CHECK_THROWS_AS(run_stage(run_sft, given + settings{"sft.batch_size=0"}), config_error);
  CHECK_THROWS_AS(run_stage(run_sft, given + settings{"sft.learnin_rate=1"}), config_error);
  CHECK_THROWS_AS(run_stage(run_sft, given + settings{"sft.learning_rate.peak=-1"}), config_error);
  CHECK_THROWS_AS(run_stage(run_sft, given + settings{"sft.epochs=0"}), config_error);
  CHECK_THROWS_AS(run_stage(run_sft, given + settings{"adapter.rank=0"}), config_error);
  CHECK_THROWS_AS(run_stage(run_sft, given + settings{"adapter.targets=k_prj"}), config_error);
  write_bytes(folder / "examples.jsonl", "\n");
  CHECK_THROWS_AS(run_stage(run_sft, given), file_error);
  CHECK_FALSE(std::filesystem::exists(folder / "out"));
}

TEST_CASE("sft: resuming a run that had ended changes nothing") {
  const temporary_directory folder;
  const auto given = supervising(folder, "done") + short_sft_run;
  run_stage(run_sft, given);
  const auto written = [&] {
    std::map<std::string, std::filesystem::file_time_type> out;
    for (const auto& entry : std::filesystem::directory_iterator(folder / "done"))
      if (entry.path().filename() != "config.toml") out[entry.path().filename()] = entry.last_write_time();
    return out;
  };
  const auto before = written();
  CHECK(before.size() > 1);
  run_stage(run_sft, given, true);
  CHECK((written() == before));
  // Other options would seem to have been used.
  CHECK_THROWS_WITH(run_stage(run_sft, given + settings{"sft.learning_rate.peak=1e-2"}, true),
                    Catch::Matchers::ContainsSubstring("but the run was started with"));
  CHECK((written() == before));
}

TEST_CASE("sft: a run that is not resumed does not go on from what an abandoned one left") {
  const temporary_directory folder;
  const auto given = supervising(folder, "again") + short_sft_run;
  run_interrupted(run_sft, given + settings{"sft.learning_rate.peak=1e-2"}, folder / "again");
  run_interrupted(run_sft, given, folder / "again");
  run_stage(run_sft, given, true);
  run_stage(run_sft, supervising(folder, "once") + short_sft_run);
  CHECK(losses(folder / "again") == losses(folder / "once"));
}

TEST_CASE("sft: in the dromedary form the loss is that of the response and the end token, and of nothing else") {
  const temporary_directory folder;
  write_bytes(folder / "one.jsonl", R"({"instruction":"what is in the box?","output":"a red hat."})"
                                    "\n");
  const settings form{"prompt.format=dromedary", "prompt.system=be kind."};
  run_stage(run_sft, settings{"model.path=" + demo_base().string(), "sft.data=" + (folder / "one.jsonl").string(),
                              "out=" + (folder / "out").string(), "sft.batch_size=1"} +
                         form);

  loaded_model model = load_model(demo_base());
  load_role(model, "policy", {});
  const auto record = read_records<sft_record>(folder / "one.jsonl").front();
  const prompter prompts = make_prompter(config(form), model);
  const auto example = make_supervised_example(record, prompts, 512);
  const auto text = [&](std::span<const token> ids) {
    std::string out;
    for (const token id : ids) out += model.tokenizer->token_bytes(id);
    return out;
  };
  CHECK(text(example.prompt).ends_with("be kind.\n\n### User\nwhat is in the box?\n\n### Dromedary\n"));
  CHECK(text(example.response) == "a red hat.");
  CHECK(example.response.back() == model.tokenizer->eos());
  CHECK(example.prompt.front() == model.tokenizer->bos());
  CHECK(example.token_weights.empty());

  packed<token> asked, answered;
  asked.push_back(example.prompt);
  answered.push_back(example.response);
  double nll = 0;
  for (const double p : policy_role(*model.bank, "policy").log_probs({asked, answered})) nll -= p;
  const auto loss = metric_curve(folder / "out", "loss");
  REQUIRE(loss.size() == 1);
  CHECK_THAT(loss.front().second, Catch::Matchers::WithinRel(nll / static_cast<double>(example.response.size()), 1e-4));
}

TEST_CASE("sft: a response that is cut has no end token") {
  const auto& model = demo_model();
  const prompter prompts = make_prompter(config(settings{"prompt.format=dromedary"}), model);
  const sft_record record{{.instruction = "why?"}, "the fox is red and the owl is gray."};
  const auto whole = make_supervised_example(record, prompts, 0);
  const auto length = whole.response.size() - 1;
  CHECK(make_supervised_example(record, prompts, length + 1).response == whole.response);
  const auto cut = make_supervised_example(record, prompts, length).response;
  CHECK(cut == std::vector<token>(whole.response.begin(), whole.response.end() - 1));
}

TEST_CASE("sft: all replies of a conversation are trained on, or the last, or the first") {
  const auto& model = demo_model();
  const prompter prompts = make_prompter(config(settings{"prompt.format=vicuna"}), model);
  prompt_record prompt{.instruction = "and the owl?"};
  prompt.history = {{chat_role::user, "what is the fox?"}, {chat_role::assistant, "the fox is red."}};
  const sft_record record{prompt, "the owl is gray."};
  const auto trained = [&](const sft_record& given, trained_replies which, std::size_t most = 0) {
    const auto example = make_supervised_example(given, prompts, most, which);
    std::string out;
    for (std::size_t i = 0; i < example.response.size(); ++i) {
      if (!example.token_weights.empty() && example.token_weights[i] == 0) continue;
      const token id = example.response[i];
      out += id == model.tokenizer->eos() ? "|" : std::string(model.tokenizer->token_bytes(id));
    }
    return out;
  };
  CHECK(trained(record, trained_replies::all) == " the fox is red.| the owl is gray.|");
  CHECK(trained(record, trained_replies::last) == " the owl is gray.|");
  CHECK(trained(record, trained_replies::first) == " the fox is red.|");
  CHECK(make_supervised_example(record, prompts, 0, trained_replies::last).prompt == prompts.tokens(prompt.messages()));

  auto weighted = record;
  weighted.prompt.history[1].weight = 0;
  CHECK(trained(weighted, trained_replies::all) == " the owl is gray.|");
  weighted.weight = 0;
  CHECK(make_supervised_example(weighted, prompts, 0).response.empty());
  auto cut = record;
  cut.finished = false;
  CHECK(trained(cut, trained_replies::all) == " the fox is red.| the owl is gray.");

  // Each reply has the limit of its own.
  dropped_parts::of_run().clear();
  CHECK(trained(record, trained_replies::all, 1) == " the the");
  REQUIRE(dropped_parts::of_run().report_lines().size() == 1);
  CHECK_THAT(dropped_parts::of_run().report_lines()[0], Catch::Matchers::ContainsSubstring("sft.max_response_tokens"));
  dropped_parts::of_run().clear();
}

TEST_CASE("sft: conversations without a reply to train on are left out, and one that has a weight counts") {
  const temporary_directory folder;
  const std::string read_only =
      R"({"messages":[{"role":"user","content":"why?"},{"role":"assistant","content":"no.","weight":0}]})"
      "\n";
  const auto run = [&](const std::string& name, const std::string& lines, const settings& more = {}) {
    write_bytes(folder / (name + ".jsonl"), lines);
    run_stage(run_sft,
              settings{"model.path=" + demo_base().string(), "sft.data=" + (folder / (name + ".jsonl")).string(),
                       "out=" + (folder / name).string(), "sft.batch_size=4", "adapter.rank=2"} +
                  more);
    return metric_curve(folder / name, "loss").front().second;
  };
  const std::string talk =
      R"({"messages":[{"role":"user","content":"why?"},{"role":"assistant","content":"no."},{"role":"user","content":"and?"},{"role":"assistant","content":"the fox is red."}]})"
      "\n";
  CHECK_THROWS_WITH(run("none", read_only), Catch::Matchers::ContainsSubstring("holds no reply with a weight above 0"));
  const double all = run("all", talk);
  CHECK(run("some", read_only + talk) == Approx(all).epsilon(1e-6));
  CHECK(run("last", talk, {"sft.replies=last"}) != Approx(all).epsilon(1e-3));
  CHECK_THROWS_AS(run("odd", talk, {"sft.replies=none"}), config_error);
}
