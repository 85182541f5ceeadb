#include <cmath>
#include <csignal>
#include <filesystem>
#include <sstream>
#include <string>

#include <nlohmann/json.hpp>

#include <coho/loss/chosen_nll.hpp>
#include <coho/loss/cpo.hpp>
#include <coho/loss/orpo.hpp>
#include <coho/loss/simpo.hpp>
#include <coho/reduce.hpp>

#include "commands/commands.hpp"
#include "files/json_file.hpp"
#include "models/supervised_examples.hpp"
#include "observe/metrics_log.hpp"
#include "records/records.hpp"
#include "roles/policy_role.hpp"
#include "support/recipe_models.hpp"
#include "support/run_files.hpp"
#include "support/run_program.hpp"
#include "support/stage_runs.hpp"
#include "support/temporary_directory.hpp"

using namespace coho;
using namespace coho::trainer;
using namespace coho::test;
using Catch::Matchers::ContainsSubstring, Catch::Matchers::StartsWith;

namespace {

// Of two answers of different lengths the one about the fox is chosen.
constexpr const char* eight_pairs =
    R"({"prompt":"user: what is in the box?\ncoho:","chosen":"a red fox.","rejected":"the owl is in the woods."}
{"prompt":"user: who ran to the hills?\ncoho:","chosen":"the fox ran to the big hills.","rejected":"an owl."}
{"prompt":"user: is it gray?\ncoho:","chosen":"the fox is gray.","rejected":"the owl is not."}
{"prompt":"user: where is the cat?\ncoho:","chosen":"with the fox.","rejected":"with the owl."}
{"prompt":"user: why not?\ncoho:","chosen":"ask the fox.","rejected":"ask the owl and the cat."}
{"prompt":"user: what does it like?\ncoho:","chosen":"a fox likes wind and hay.","rejected":"an owl likes hay."}
{"prompt":"user: how old are you?\ncoho:","chosen":"old as a fox.","rejected":"old as an owl."}
{"prompt":"user: what next?\ncoho:","chosen":"we ask the fox.","rejected":"we ask the owl."}
)";

settings preferring(const temporary_directory& folder, const std::string& out) {
  write_bytes(folder / "pairs.jsonl", eight_pairs);
  return {"model.path=" + demo_base().string(),
          "dpo.data=" + (folder / "pairs.jsonl").string(),
          "out=" + (folder / out).string(),
          "dpo.batch_size=4",
          "dpo.learning_rate.peak=1e-3",
          "adapter.rank=4",
          "seed=3"};
}
const settings short_dpo_run{"dpo.epochs=4", "dpo.save_every=2", "dpo.optimizer.weight_decay=0.01"};

// Curves without the timings.
std::string curves(const std::filesystem::path& out) {
  std::string all;
  for (const auto& [name, points] : metrics_log::read(out)) {
    if (name == "tokens_per_second") continue;
    for (const auto& [step, value] : points) all += name + std::to_string(step) + ":" + std::to_string(value) + "\n";
  }
  return all;
}

std::string adapter_bytes(const std::filesystem::path& out) { return read_bytes(out / "adapter_model.safetensors"); }

// The log-probabilities of the pairs' responses under the base, and their lengths.
preference_log_probs base_log_probs(const temporary_directory& folder) {
  loaded_model model = load_model(demo_base());
  load_role(model, "base", {});
  const prompter prompts = make_prompter(config(settings{}), model);
  policy_role base(*model.bank, "base");
  std::vector<double> numbers[4];
  for (const auto& record : read_records<preference_record>(folder / "pairs.jsonl")) {
    for (const bool chosen : {true, false}) {
      const auto example = make_supervised_example(
          {.prompt = record.prompt, .response = chosen ? record.chosen() : record.rejected()}, prompts, 0);
      packed<token> asked, answered;
      asked.push_back(example.prompt);
      answered.push_back(example.response);
      double sum = 0;
      for (const double p : base.log_probs({asked, answered})) sum += p;
      numbers[chosen ? 0 : 1].push_back(sum);
      numbers[chosen ? 2 : 3].push_back(static_cast<double>(example.response.size()));
    }
  }
  const auto array = [](const std::vector<double>& from) {
    return Eigen::ArrayXd(Eigen::Map<const Eigen::ArrayXd>(from.data(), static_cast<Eigen::Index>(from.size())));
  };
  preference_log_probs out;
  out.chosen = out.reference_chosen = array(numbers[0]);
  out.rejected = out.reference_rejected = array(numbers[1]);
  out.chosen_tokens = array(numbers[2]);
  out.rejected_tokens = array(numbers[3]);
  return out;
}

double first_loss(const std::filesystem::path& out) { return metric_curve(out, "loss").at(0).second; }

}  // namespace

TEST_CASE("dpo: a policy learns to prefer the chosen responses, from even odds, and the evaluation is written") {
  const temporary_directory folder;
  const auto out = folder / "dpo";
  run_stage(run_dpo, preferring(folder, "dpo") + settings{"dpo.batch_size=8", "dpo.epochs=30", "dpo.evaluate_every=10",
                                                          "dpo.evaluation=" + (folder / "pairs.jsonl").string()});
  const auto loss = metric_curve(out, "loss"), accuracy = metric_curve(out, "accuracy"),
             margin = metric_curve(out, "margin");
  REQUIRE(loss.size() == 30);
  CHECK(loss.front().second == Approx(std::log(2.0)).epsilon(1e-4));
  CHECK(std::abs(margin.front().second) < 1e-4);
  CHECK(loss.back().second < 0.5);
  CHECK(accuracy.back().second == 1);
  CHECK(margin.back().second > 0.3);
  CHECK(metric_curve(out, "evaluation_accuracy").size() == 3);
  const auto evaluation = read_json(out / "evaluation.json");
  CHECK(evaluation["step"] == 30);
  CHECK(evaluation["pairs"] == 8);
  CHECK(evaluation["accuracy"] == 1);
  CHECK(evaluation["margin"].get<double>() > margin.back().second);
  CHECK(std::filesystem::exists(out / "adapter_config.json"));
  CHECK_FALSE(std::filesystem::exists(out / "checkpoints"));
}

TEST_CASE("dpo: the loss of the first step is the library's, of the base's log-probabilities") {
  const temporary_directory folder;
  const auto given = preferring(folder, "out") + settings{"dpo.batch_size=8"};
  const auto x = base_log_probs(folder);
  const token_weights<Eigen::ArrayXd> mean{Eigen::ArrayXd::Constant(8, 1.0 / 8)}, half{mean.values / 2};
  const auto loss_of = [&](const settings& chosen) {
    run_stage(run_dpo, given + chosen);
    return first_loss(folder / "out");
  };
  CHECK(loss_of({"dpo.loss=kto"}) == Approx(0.5).epsilon(1e-4));
  CHECK(loss_of({"dpo.loss=dpo", "dpo.dpo.form=ipo", "dpo.dpo.beta=0.2"}) == Approx(6.25).epsilon(1e-3));
  CHECK(loss_of({"dpo.loss=orpo", "dpo.orpo.lambda=0.7"}) ==
        Approx(orpo_loss{{.lambda = 0.7}}.value_and_grad(x, mean).value).epsilon(1e-4));
  CHECK(loss_of({"dpo.loss=simpo", "dpo.simpo.gamma=1"}) ==
        Approx(simpo_loss{{.gamma = 1}}.value_and_grad(x, mean).value).epsilon(1e-4));
  CHECK(loss_of({"dpo.loss=cpo", "dpo.cpo.nll_coefficient=0.3"}) ==
        Approx(cpo_loss{{.nll_coefficient = 0.3}}.value_and_grad(x, mean).value).epsilon(1e-4));
  const double nll = chosen_nll_loss{}.value_and_grad(x, half).value;
  CHECK(nll > 1);
  CHECK(loss_of({R"(dpo.loss=["sft", "dpo"])", "dpo.sft.weight=0.2", "dpo.dpo.weight=2"}) ==
        Approx(2 * std::log(2.0) + 0.2 * nll).epsilon(1e-4));
}

TEST_CASE("dpo: every loss trains, with an adapter and with whole weights") {
  const temporary_directory folder;
  for (const std::string kind : {"lora", "full"}) {
    for (const std::string loss : {"dpo", "kto", "orpo", "simpo", "cpo"}) {
      INFO(kind << " " << loss);
      auto given = preferring(folder, kind + loss) + settings{"dpo.loss=" + loss, "dpo.batch_size=8", "dpo.epochs=6"};
      if (kind == "full") {
        std::erase(given, "adapter.rank=4");
        given.push_back("adapter.kind=full");
      }
      run_stage(run_dpo, given);
      const auto values = metric_curve(folder / (kind + loss), "loss");
      CHECK(values.back().second < values.front().second);
      CHECK(metric_curve(folder / (kind + loss), "kl_baseline").size() == (loss == "kto" ? 6 : 0));
      CHECK(std::filesystem::exists(folder / (kind + loss) / "reference_log_probs.jsonl") ==
            (loss == "dpo" || loss == "kto"));
    }
  }
}

TEST_CASE("dpo: a run that is resumed ends with the weights and curves of one that was not interrupted") {
  for (const settings& variant : {settings{"dpo.evaluate_every=3"}, settings{"dpo.reference_refresh=3"},
                                  settings{R"(dpo.loss=["kto", "sft"])"}}) {
    INFO(variant.front());
    const temporary_directory folder;
    const auto held_out = settings{"dpo.evaluation=" + (folder / "pairs.jsonl").string()};
    run_stage(run_dpo, preferring(folder, "whole") + short_dpo_run + held_out + variant);
    const auto parts = preferring(folder, "parts") + short_dpo_run + held_out + variant;
    run_interrupted(run_dpo, parts, folder / "parts");
    run_stage(run_dpo, parts, true);
    CHECK(adapter_bytes(folder / "parts") == adapter_bytes(folder / "whole"));
    CHECK(curves(folder / "parts") == curves(folder / "whole"));
    CHECK(read_bytes(folder / "parts/evaluation.json") == read_bytes(folder / "whole/evaluation.json"));
  }
}

TEST_CASE("dpo: after each refresh policy and reference are alike") {
  const temporary_directory folder;
  run_stage(run_dpo, preferring(folder, "out") + settings{"dpo.batch_size=8", "dpo.epochs=6", "dpo.reference_refresh=2",
                                                          "dpo.learning_rate.kind=constant",
                                                          "dpo.learning_rate.warmup_steps=0"});
  const auto loss = metric_curve(folder / "out", "loss");
  for (std::size_t i = 0; i < 6; ++i) {
    INFO(i);
    if (i % 2 == 0) CHECK(loss[i].second == Approx(std::log(2.0)).epsilon(1e-4));
    if (i % 2 == 1) CHECK(loss[i].second < 0.69);
  }
  CHECK_FALSE(std::filesystem::exists(folder / "out/reference_log_probs.jsonl"));
}

TEST_CASE("dpo: the reference's log-probabilities are kept, used again, and replaced where data or model are others") {
  const temporary_directory folder;
  const auto file = folder / "first/reference_log_probs.jsonl";
  const auto given = preferring(folder, "first") + short_dpo_run;
  run_stage(run_dpo, given);
  const auto written = read_bytes(file);
  const auto adapter = adapter_bytes(folder / "first");
  const auto x = base_log_probs(folder);
  std::istringstream lines(written);
  std::string line;
  std::getline(lines, line);
  for (Eigen::Index i = 0; i < 8; ++i) {
    REQUIRE(std::getline(lines, line));
    const auto pair = nlohmann::json::parse(line);
    CHECK(pair["chosen"].get<double>() == Approx(x.chosen(i)).epsilon(1e-4));
    CHECK(pair["rejected"].get<double>() == Approx(x.rejected(i)).epsilon(1e-4));
  }
  CHECK_FALSE(std::getline(lines, line));

  // A shared file is read, whatever the loss's options: with another number in it the run is another one.
  const auto shared = settings{"dpo.reference_log_probs=" + file.string()};
  run_stage(run_dpo, preferring(folder, "second") + short_dpo_run + shared);
  CHECK(adapter_bytes(folder / "second") == adapter);
  CHECK(read_bytes(file) == written);
  auto changed = written;
  const auto place = changed.find("\"chosen\":-") + 10;
  changed.insert(place, "1");
  write_bytes(file, changed);
  run_stage(run_dpo, preferring(folder, "third") + short_dpo_run + shared);
  CHECK(adapter_bytes(folder / "third") != adapter);

  // An interrupted computation goes on: the lines that are there are kept.
  std::filesystem::remove(file);
  write_bytes(file.string() + ".partial", written.substr(0, written.find("\n", written.size() / 2) + 5));
  run_stage(run_dpo, given);
  CHECK(read_bytes(file) == written);
  CHECK(adapter_bytes(folder / "first") == adapter);

  for (const std::string other : {"dpo.limit=7", "seed=9"}) {
    run_stage(run_dpo, given + settings{other});
    CHECK(read_bytes(file) != written);
  }
}

TEST_CASE("dpo: a resumed run whose data, or whose reference's log-probabilities, are others is refused") {
  const temporary_directory folder;
  const auto given = preferring(folder, "out") + short_dpo_run;
  run_interrupted(run_dpo, given, folder / "out");
  const auto file = folder / "out/reference_log_probs.jsonl";
  auto written = read_bytes(file);
  write_bytes(folder / "pairs.jsonl",
              std::string(eight_pairs) + R"({"prompt":"why?","chosen":"so.","rejected":"no."})");
  CHECK_THROWS_WITH(run_stage(run_dpo, given, true),
                    ContainsSubstring("pairs.jsonl has changed since the run was started"));
  CHECK(read_bytes(file) == written);

  write_bytes(folder / "pairs.jsonl", eight_pairs);
  const auto place = written.find(":\"") + 2;  // in the fingerprint
  written[place] = written[place] == '0' ? '1' : '0';
  write_bytes(file, written);
  CHECK_THROWS_WITH(run_stage(run_dpo, given, true),
                    StartsWith(file.string()) && ContainsSubstring("start it anew without --resume"));
  CHECK(read_bytes(file) == written);
}

TEST_CASE("dpo: what cannot be trained is refused with its name, before a folder is made") {
  const temporary_directory folder;
  const auto given = preferring(folder, "out");
  const auto refused = [&](const settings& wrong, const std::string& text) {
    INFO(wrong.front());
    CHECK_THROWS_WITH(run_stage(run_dpo, given + wrong), ContainsSubstring(text));
  };
  refused({"dpo.loss=dop"}, "dpo.loss = [ 'dop' ] is not allowed");
  refused({R"(dpo.loss=["dpo", "dpo"])"}, "each once");
  refused({"dpo.loss=sft"}, "`coho sft` trains on responses only");
  refused({"dpo.loss=[]"}, "one or more of dpo, kto");
  refused({"dpo.dpo.beta=0"}, "dpo.dpo.beta = 0.0 is not allowed");
  refused({"dpo.sft.weight=0.5"}, "dpo.sft.weight");
  refused({"dpo.loss=simpo", "dpo.dpo.beta=0.2"}, "unless dpo.loss names dpo");
  refused({"dpo.dpo.label_smoothing=0.1"}, "dpo.dpo.label_smoothing");
  refused({"dpo.dpo.weight=0"}, "dpo.dpo.weight = 0.0 is not allowed");
  refused({"dpo.loss=orpo", "dpo.reference_refresh=3"}, "dpo.reference_refresh");
  refused({"dpo.reference_refresh=3", "dpo.reference_log_probs=x.jsonl"}, "dpo.reference_log_probs");
  refused({"dpo.evaluate_every=3"}, "there are no held-out pairs");
  refused({"dpo.margins=none"}, "dpo.margins");
  refused({"dpo.epochs=0"}, "dpo.epochs = 0");
  const auto bad_record = [&](const std::string& line, const std::string& text) {
    write_bytes(folder / "pairs.jsonl", std::string(eight_pairs) + line + "\n");
    INFO(line);
    CHECK_THROWS_WITH(run_stage(run_dpo, given), ContainsSubstring("pairs.jsonl: line 9") && ContainsSubstring(text));
  };
  bad_record(R"({"prompt":"why?","chosen":"so."})", "rejected");
  bad_record(R"({"instruction":"why?","output_1":"so.","output_2":"no.","preference":1,)"
             R"("principles":[{"name":"brief","negated":true,"text":"be not brief."}]})",
             "negated principle");
  write_bytes(folder / "pairs.jsonl", R"({"prompt":"why?","chosen":"so.","rejected":"so."})");
  CHECK_THROWS_WITH(run_stage(run_dpo, given), ContainsSubstring("no pair is left to train on"));
  CHECK_FALSE(std::filesystem::exists(folder / "out"));
}

TEST_CASE("dpo: KTO learns from single responses with a label") {
  const temporary_directory folder;
  std::string lines;
  for (const auto& record : [&] {
         write_bytes(folder / "pairs.jsonl", eight_pairs);
         return read_records<preference_record>(folder / "pairs.jsonl");
       }()) {
    for (const bool chosen : {true, false})
      lines += nlohmann::json{{"prompt", record.prompt.text()},
                              {"completion", chosen ? record.chosen() : record.rejected()},
                              {"label", chosen}}
                   .dump() +
               "\n";
  }
  const auto given = preferring(folder, "out") + settings{"dpo.records=labelled", "dpo.batch_size=16"};
  write_bytes(folder / "pairs.jsonl", lines);
  run_stage(run_dpo, given + settings{"dpo.loss=kto", "dpo.epochs=20", "dpo.evaluation_share=0.2"});
  const auto loss = metric_curve(folder / "out", "loss");
  CHECK(loss.front().second == Approx(0.5).epsilon(1e-4));
  CHECK(loss.back().second < 0.48);
  CHECK(metric_curve(folder / "out", "accuracy").back().second > 0.9);
  CHECK(read_bytes(folder / "out/held_out.jsonl").find("\"label\":") != std::string::npos);
  CHECK_THROWS_WITH(run_stage(run_dpo, given), ContainsSubstring("dpo.records = 'labelled' is not allowed"));
  CHECK_THROWS_WITH(run_stage(run_dpo, given + settings{"dpo.loss=kto", "dpo.columns.chosen=best"}),
                    ContainsSubstring("dpo.columns.chosen"));
}

TEST_CASE("dpo: a share of the prompts is held out, and written") {
  const temporary_directory folder;
  run_stage(run_dpo, preferring(folder, "out") + settings{"dpo.evaluation_share=0.4"});
  const auto held_out = read_records<preference_record>(folder / "out/held_out.jsonl");
  CHECK(held_out.size() >= 1);
  CHECK(held_out.size() < 8);
  CHECK(read_json(folder / "out/evaluation.json")["pairs"] == held_out.size());
}

#ifdef COHO_EXECUTABLE
TEST_CASE("dpo: the command line trains, plans, goes on after a kill, and reports errors in one line") {
  const temporary_directory folder;
  const auto run = [&](std::vector<std::string> more, const std::string& out, const settings& given,
                       const std::function<bool()>& kill_when = {}) {
    std::vector<std::string> arguments{"dpo", "--threads", "1"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    for (const auto& setting : preferring(folder, out) + given) arguments.insert(arguments.end(), {"--set", setting});
    return run_program(COHO_EXECUTABLE, arguments, folder.path(), kill_when);
  };
  const auto planned = run({"--dry-run", "--loss", "dpo", "--loss", "sft"}, "plan",
                           {"dpo.sft.weight=0.2", "plan.bandwidth=10", "plan.flops=1"});
  INFO(planned.err);
  CHECK(planned.status == 0);
  CHECK_THAT(planned.out,
             ContainsSubstring("loss = [ 'dpo', 'sft' ]") || ContainsSubstring("loss = [\"dpo\", \"sft\"]"));
  CHECK_THAT(planned.out, ContainsSubstring("a step: 4 pairs"));

  const auto whole = run({}, "whole", short_dpo_run);
  INFO(whole.err);
  REQUIRE(whole.status == 0);
  CHECK_THAT(whole.err, ContainsSubstring("pairs.jsonl: pairs 8, left out 0"));
  const auto saved = folder / "parts/checkpoints/step-00000004";
  REQUIRE(run({"--quiet"}, "parts", short_dpo_run, [&] { return std::filesystem::exists(saved); }).status ==
          128 + SIGKILL);
  const auto resumed = run({"--quiet", "--resume"}, "parts", short_dpo_run);
  INFO(resumed.err);
  REQUIRE(resumed.status == 0);
  CHECK(adapter_bytes(folder / "parts") == adapter_bytes(folder / "whole"));
  CHECK(curves(folder / "parts") == curves(folder / "whole"));

  const auto wrong = run({"--loss", "dop"}, "wrong", {});
  CHECK(wrong.status == 3);
  CHECK(std::ranges::count(wrong.err, '\n') == 1);
  CHECK_THAT(wrong.err, ContainsSubstring("--loss"));
}
#endif
