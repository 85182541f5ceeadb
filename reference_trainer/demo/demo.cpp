#include "demo/demo.hpp"

#include <array>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>

#include <ATen/Parallel.h>
#include <nlohmann/json.hpp>

#include <coho/error.hpp>

#include "commands/commands.hpp"
#include "config/read_options.hpp"
#include "demo/base_training.hpp"
#include "demo/demo_options.hpp"
#include "demo/demo_report.hpp"
#include "demo/language.hpp"
#include "demo/principles.hpp"
#include "demo/world.hpp"
#include "files/atomic_file.hpp"
#include "files/data_files.hpp"
#include "observe/process_usage.hpp"
#include "rollouts/symbolic_rewards.hpp"
#include "run/report_error.hpp"
#include "run/stage.hpp"
#include "settings/ppo_settings.hpp"

namespace coho::trainer {
namespace demo {
namespace {

namespace fs = std::filesystem;
using stage_function = void (*)(const config&, stage_context&);

/// A reinforcement-learning run of the demo.
struct run_plan {
  std::string name, title;
  std::vector<std::pair<quality, bool>> principles;  ///< one of them is drawn per prompt; true: negated
  bool intervention = false;
  double language_bonus = 0, length_bonus_a_token = 0;
};

const std::vector<run_plan> plans{
    {"plain", "plain", {{quality::engaging, false}, {quality::informative, false}}},
    {"intervention", "with intervention", {{quality::engaging, false}, {quality::informative, false}}, true},
    {"honest", "honest only", {{quality::honest, false}}},
    {"example", "example only", {{quality::example, false}}},
    {"not_informative", "NOT informative", {{quality::informative, true}}},
    {"language", "+ language bonus", {{quality::engaging, false}, {quality::informative, false}}, true, 2.0, 0},
    {"length", "+ length bonus", {{quality::engaging, false}, {quality::informative, false}}, true, 0, 0.08},
};

principle find(const std::vector<principle>& all, quality q) {
  for (const auto& p : all)
    if (p.name == name_of(q)) return p;
  throw argument_error("no principle " + std::string(name_of(q)));
}

nlohmann::json principle_json(const std::string& name, const std::string& definition, const std::string& negative) {
  nlohmann::json out{{"dimension", name}, {"definition", definition}};
  if (!negative.empty()) out["negative_definition"] = negative;
  return out;
}

/// The demo as a chain of stages over files in one folder.
class chain {
 public:
  chain(const config& options, stage_context& context, const demo_options& read)
      : options_(options),
        context_(context),
        out_(context.out_or("demo-out")),
        work_(out_ / "work"),
        quick_(read.quick),
        from_scratch_(read.from_scratch),
        base_steps_(read.base.base_steps),
        pairs_(read.pairs),
        held_out_(read.evaluation_pairs),
        evaluation_prompts_(read.evaluation_prompts) {
    if (quick_) pairs_ = 120, held_out_ = 40, evaluation_prompts_ = 64;
  }

  void operator()() {
    stopwatch total;
    fs::create_directories(work_);
    prepare();
    timed("base", [&] { make_base(); });
    timed("sample", [&] {
      sample("sample", "train_prompts", "train_samples", "", 2);
      sample("sample held-out", "held_out_prompts", "held_out_samples", "", 2);
      sample("sample before", "evaluation_prompts", "before_samples", "", 1);
    });
    timed("judge", [&] {
      judge("judge", "train");
      judge("judge held-out", "held_out");
    });
    timed("aggregate", [&] { aggregate_all(); });
    timed("reward", [&] {
      run("reward model", run_reward, work_ / "reward",
          {"model.path=" + quoted(base_), "reward.data=" + quoted(work_ / "preferences.jsonl"),
           "reward_prompt.template=" + quoted(shipped_file("demo/prompts/reward.txt"))});
    });
    timed("ppo", [&] { train_policies(); });
    timed("evaluate", [&] { measure(); });
    figures_.set("seconds.total", total.seconds());
    finish();
  }

 private:
  static std::string quoted(const fs::path& path) { return nlohmann::json(path.string()).dump(); }

  template <class Work>
  void timed(const std::string& name, const Work& work) {
    stopwatch watch;
    work();
    seconds_.emplace_back(name, watch.seconds());
  }

  void run(const std::string& name, stage_function what, const fs::path& out, std::vector<std::string> overrides,
           std::size_t threads = 0) {
    std::vector<std::string> all{"prompt.template=" + quoted(shipped_file("demo/prompts/inference.txt"))};
    if (quick_)
      all.insert(all.end(), {"aggregate.repeats=4", "ppo.steps=3", "ppo.rollouts=16", "ppo.minibatch_size=8",
                             "ppo.normalization.samples=32"});
    all.insert(all.end(), overrides.begin(), overrides.end());
    config settings = options_.clone();
    for (const auto& entry : all) settings.set(entry);
    static const std::vector<std::string> sections{"demo",          "model", "adapter",   "generation",
                                                   "sample",        "judge", "aggregate", "reward",
                                                   "reward_prompt", "ppo",   "prompt"};
    settings.allow_sections(sections);
    stage_context context(name, settings, false, false, context_.quiet);
    context.terminal = context_.terminal;
    context.seed = context_.seed;
    context.threads = threads > 0 ? threads : context_.threads;
    context.out = out;
    what(settings, context);
  }

  void write_lines(const std::string& name, const std::vector<nlohmann::json>& records) const {
    std::string text;
    for (const auto& record : records) text += record.dump() + "\n";
    write_file(work_ / (name + ".jsonl"), text);
  }

  void prepare() {
    const rng random = rng(context_.seed).split(stream_key("demo prompts"));
    const auto prompts = [&](const std::string& name, std::size_t count) {
      rng stream = random.split(stream_key(name));
      std::vector<nlohmann::json> records;
      for (std::size_t i = 0; i < count; ++i) records.push_back({{"instruction", text_of(sample_prompt(stream))}});
      write_lines(name, records);
    };
    prompts("train_prompts", pairs_);
    prompts("held_out_prompts", held_out_);
    prompts("evaluation_prompts", evaluation_prompts_);
    std::vector<nlohmann::json> all;
    for (const auto& p : all_prompts()) all.push_back({{"instruction", text_of(p)}});
    write_lines("rl_prompts", all);

    for (std::size_t w = 0; w < wordings; ++w) {
      nlohmann::json list = nlohmann::json::array();
      for (const auto& p : principles_in_wording(w))
        list.push_back(principle_json(p.name, p.definition, p.negative_definition));
      write_file(wording_file(w), list.dump(1) + "\n");
    }
    const auto first = principles_in_wording(0);
    for (const auto& plan : plans) {
      nlohmann::json list = nlohmann::json::array();
      for (const auto& [q, negated] : plan.principles) {
        const principle p = find(first, q);
        list.push_back(negated ? principle_json("not " + p.name, p.negative_definition, "")
                               : principle_json(p.name, p.definition, ""));
      }
      write_file(work_ / ("principles-" + plan.name + ".json"), list.dump(1) + "\n");
    }
    const principle modest = find(first, quality::modest);
    write_file(work_ / "interventions.json",
               nlohmann::json::array({principle_json(modest.name, modest.definition, "")}).dump(1) + "\n");
  }

  void make_base() {
    if (!from_scratch_) {
      base_ = shipped_file("demo/base");
      return;
    }
    base_ = out_ / "base";
    stage_context context(context_);
    context.out = out_ / "base";
    train_base(base_, base_steps_, context);
  }

  void sample(const std::string& label, const std::string& prompts, const std::string& samples, const fs::path& adapter,
              int responses, std::size_t threads = 0) {
    std::vector<std::string> overrides{"model.path=" + quoted(base_),
                                       "sample.prompts=" + quoted(work_ / (prompts + ".jsonl")),
                                       "sample.responses=" + std::to_string(responses)};
    if (!adapter.empty()) overrides.push_back("model.adapter=" + quoted(adapter));
    run(label, run_sample, work_ / (samples + ".jsonl"), overrides, threads);
  }

  void judge(const std::string& label, const std::string& part) {
    run(label, run_judge, work_ / (part + "_judgements.jsonl"),
        {"model.path=" + quoted(base_), "judge.samples=" + quoted(work_ / (part + "_samples.jsonl")),
         "judge.principles=" + quoted(wording_file(0)),
         "judge.template=" + quoted(shipped_file("demo/prompts/judge.txt"))});
  }

  void aggregate(const std::string& label, const std::string& part, const std::string& out,
                 std::vector<std::string> overrides) {
    std::string files;
    for (std::size_t w = 0; w < wordings; ++w) files += (w > 0 ? "," : "") + quoted(wording_file(w));
    overrides.insert(overrides.begin(),
                     {"aggregate.judgements=" + quoted(work_ / (part + "_judgements.jsonl")),
                      "aggregate.principles=" + quoted(wording_file(0)), "aggregate.wordings=[" + files + "]"});
    run(label, run_aggregate, work_ / (out + ".jsonl"), overrides);
  }

  void aggregate_all() {
    aggregate("aggregate", "train", "preferences", {});
    aggregate("aggregate sets of two", "held_out", "sets_of_two",
              {"aggregate.set_sizes=[0.0, 1.0]", "aggregate.repeats=2"});
    aggregate("aggregate sets of three", "held_out", "sets_of_three",
              {"aggregate.set_sizes=[0.0, 0.0, 1.0]", "aggregate.repeats=2"});
  }

  void train_policy(const run_plan& plan) {
    std::vector<std::string> overrides{"model.path=" + quoted(base_),
                                       "ppo.reward_model=" + quoted(work_ / "reward"),
                                       "ppo.prompts=" + quoted(work_ / "rl_prompts.jsonl"),
                                       "ppo.principles=" + quoted(work_ / ("principles-" + plan.name + ".json")),
                                       "reward_prompt.template=" + quoted(shipped_file("demo/prompts/reward.txt")),
                                       "ppo.language_bonus=" + std::to_string(plan.language_bonus)};
    if (plan.intervention) overrides.push_back("ppo.interventions=" + quoted(work_ / "interventions.json"));
    // The bonus is for a response of the full length, so a token is worth 1/48 of it.
    overrides.push_back("ppo.length_bonus.coefficient=" + std::to_string(plan.length_bonus_a_token * 48));
    run("ppo " + plan.title, run_ppo, out_ / "ppo" / plan.name, overrides, 1);
    sample("sample " + plan.title, "evaluation_prompts", plan.name + "_samples", out_ / "ppo" / plan.name, 1, 1);
  }

  // The runs are independent: one thread each, as many at a time as there are threads. Their results do not depend on
  // that number.
  void train_policies() {
    std::atomic<std::size_t> next{0};
    std::mutex mutex;
    std::exception_ptr failure;
    const auto work = [&] {
      at::set_num_threads(1);
      for (std::size_t i = next++; i < plans.size(); i = next++) {
        try {
          train_policy(plans[i]);
        } catch (...) {
          const std::lock_guard lock(mutex);
          if (!failure) failure = std::current_exception();
          next = plans.size();
        }
      }
    };
    std::vector<std::thread> workers;
    for (std::size_t t = 0; t < std::min(context_.threads, plans.size()); ++t) workers.emplace_back(work);
    for (auto& worker : workers) worker.join();
    if (failure) std::rethrow_exception(failure);
  }

  void measure() {
    at::set_num_threads(static_cast<int>(context_.threads));
    loaded_model model = load_model(base_);
    const auto judged = read_records<judgement_record>(work_ / "held_out_judgements.jsonl");
    figures_.set("judge.accuracy", judge_accuracy(judged));
    config settings = options_.clone();
    settings.set("reward_prompt.template=" + quoted(shipped_file("demo/prompts/reward.txt")));
    accuracy_ = measure_reward_model(
        model, work_ / "reward", settings,
        {.pairs = judged, .sets_of_two = work_ / "sets_of_two.jsonl", .sets_of_three = work_ / "sets_of_three.jsonl"},
        context_.seed);
    accuracy_.write(figures_);

    const auto add = [&](const std::string& name, const std::string& title, const std::string& samples) -> demo_run& {
      const fs::path path = work_ / (samples + ".jsonl");
      runs_.push_back(
          {.name = name, .title = title, .replies = measure_replies(path, *model.tokenizer), .samples = path});
      return runs_.back();
    };
    add("before", "before", "before_samples").replies.write(figures_, "before");
    for (const auto& plan : plans) {
      demo_run& made = add(plan.name, plan.title, plan.name + "_samples");
      made.curves = metrics_log::read(out_ / "ppo" / plan.name);
      const std::string prefix = "ppo." + plan.name;
      for (const char* metric : {"reward", "kl"}) figures_.set(prefix + "." + metric, last_mean(made.curves, metric));
      made.replies.write(figures_, prefix);
    }
  }

  static double last_mean(const std::vector<std::pair<std::string, curve>>& curves, const std::string& metric) {
    for (const auto& [name, points] : curves) {
      if (name != metric || points.empty()) continue;
      const std::size_t count = std::min<std::size_t>(5, points.size());
      double sum = 0;
      for (std::size_t i = points.size() - count; i < points.size(); ++i) sum += points[i].second;
      return sum / static_cast<double>(count);
    }
    throw argument_error("a run of the demo logged no " + metric);
  }

  void finish() {
    for (const auto& [name, seconds] : seconds_) figures_.set("seconds." + name, seconds);
    figures_.set("peak_rss_bytes", peak_rss_bytes());
    figures_.set("seed", context_.seed);
    const auto checks =
        quick_ ? std::vector<threshold_check>{} : check_thresholds(shipped_file("demo/thresholds.json"), figures_);
    figures_.write(out_ / "summary.json");
    write_report(out_ / "report.html", make_report(figures_, runs_, accuracy_, checks));
    context_.log("\n" + final_table(figures_, runs_));
    context_.log("judge " + std::to_string(*figures_.number("judge.accuracy")).substr(0, 5) +
                 ", reward model positive " + std::to_string(accuracy_.positive).substr(0, 5) + " negated " +
                 std::to_string(accuracy_.negated).substr(0, 5) + " unseen " +
                 std::to_string(accuracy_.unseen_positive).substr(0, 5) + " / " +
                 std::to_string(accuracy_.unseen_negated).substr(0, 5) + " sets of two " +
                 std::to_string(accuracy_.pairs_of_principles).substr(0, 5) + " of three " +
                 std::to_string(accuracy_.triples_of_principles).substr(0, 5));
    context_.log((out_ / "report.html").string() + "\n" + (out_ / "summary.json").string());
    std::string missed;
    for (const auto& check : checks)
      if (!check.held)
        missed += (missed.empty() ? "" : "; ") + check.key + " = " + std::to_string(check.value).substr(0, 6) +
                  ", must be " + check.bound;
    if (!missed.empty()) throw check_failed_error("the demo misses a threshold: " + missed);
  }

  fs::path wording_file(std::size_t w) const { return work_ / ("wording-" + std::to_string(w) + ".json"); }
  static constexpr std::size_t wordings = 8;

  const config& options_;
  stage_context& context_;
  fs::path out_, work_;
  bool quick_, from_scratch_;
  std::size_t base_steps_, pairs_, held_out_, evaluation_prompts_;
  fs::path base_;
  summary figures_;
  std::vector<demo_run> runs_;
  reward_accuracy accuracy_;
  std::vector<std::pair<std::string, double>> seconds_;
};

class demo_stage : public trainer::stage {
 public:
  demo_stage(const config& options, stage_context& context)
      : chain_(options, context, read_section<demo_options>(options.section("demo"))) {
    options.check(!context.resume, "--resume", "unset: the demo runs in one piece");
  }
  void run(stage_context&) override { chain_(); }

 private:
  chain chain_;
};

class demo_base_stage : public trainer::stage {
 public:
  // Reads all keys of the section, because its recipe is the demo's.
  demo_base_stage(const config& options, stage_context&)
      : steps_(read_section<demo_options>(options.section("demo")).base.base_steps) {}
  void run(stage_context& context) override {
    train_base(context.out.empty() ? shipped_file("demo/prompts").parent_path() / "base" : context.out, steps_,
               context);
  }

 private:
  std::size_t steps_;
};

}  // namespace
}  // namespace demo

subcommand make_demo_command() {
  // Registered here and not in the run, because the demo's recipe names it and is used by every stage.
  register_language_identifier("toy_world", [](std::string_view text) {
    return std::to_string(static_cast<int>(demo::identify_language(text)));
  });
  return {.name = "demo",
          .help = "the whole of SALMON in a toy world, from judge to policy, in minutes",
          .run = run_stage<demo::demo_stage>,
          .flags = {{.name = "--short", .key = "demo.short", .fixed_value = "true"},
                    {.name = "--from-scratch", .key = "demo.from_scratch", .fixed_value = "true"}},
          .options = {section_options("demo", demo::demo_options{})},
          .group = "Demo",
          .recipe = "demo"};
}

subcommand make_demo_base_command() {
  return {.name = "demo-base",
          .help = "train the base model that the demo starts from",
          .run = run_stage<demo::demo_base_stage>,
          .flags = {{"--steps", "demo.base_steps", "training steps"}},
          .options = {section_options("demo", demo::base_options{})},
          .group = "Demo",
          .recipe = "demo"};
}

}  // namespace coho::trainer
