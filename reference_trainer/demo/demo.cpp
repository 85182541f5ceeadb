#include "demo/demo.hpp"

#include <array>
#include <atomic>
#include <exception>
#include <map>
#include <mutex>
#include <thread>

#include <ATen/Parallel.h>
#include <nlohmann/json.hpp>

#include <coho/error.hpp>

#include "commands/commands.hpp"
#include "config/read_options.hpp"
#include "demo/base_training.hpp"
#include "demo/demo_files.hpp"
#include "demo/demo_options.hpp"
#include "demo/demo_report.hpp"
#include "demo/language.hpp"
#include "files/atomic_file.hpp"
#include "files/data_files.hpp"
#include "files/json_file.hpp"
#include "observe/process_usage.hpp"
#include "program/stage_options.hpp"
#include "run/report_error.hpp"
#include "run/stage.hpp"
#include "settings/ppo_settings.hpp"
#include "text/language.hpp"

namespace coho::trainer {
namespace demo {
namespace {

namespace fs = std::filesystem;
using stage_function = void (*)(const config&, stage_context&);

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
        evaluation_prompts_(read.evaluation_prompts),
        base_(from_scratch_ ? out_ / "base" : shipped_file("demo/base")),
        shared_keys_(shared_keys(stage_commands())) {}

  /// Has each stage read its sections, as --dry-run does: a wrong key of the last one is refused before the first one
  /// starts.
  void check_sections() {
    dry_run_ = true;
    sample_all();
    judge_all();
    aggregate_all();
    train_reward_model();
    for (const auto& plan : policy_runs()) train_policy(plan);
    dry_run_ = false;
  }

  void operator()() {
    stopwatch total;
    fs::create_directories(work_);
    write_demo_files(work_, {.pairs = pairs_, .evaluation_pairs = held_out_, .evaluation_prompts = evaluation_prompts_},
                     context_.seed);
    run_timed("base", [&] { make_base(); });
    run_timed("sample", [&] { sample_all(); });
    run_timed("judge", [&] { judge_all(); });
    run_timed("aggregate", [&] { aggregate_all(); });
    run_timed("reward", [&] { train_reward_model(); });
    run_timed("ppo", [&] { train_policies(); });
    run_timed("evaluate", [&] { measure(); });
    figures_.set("seconds.total", total.seconds());
    finish();
  }

 private:
  static std::string quoted(const fs::path& path) { return nlohmann::json(path.string()).dump(); }

  // Does the work, and notes its seconds for the summary.
  template <class Work>
  void run_timed(const std::string& name, const Work& work) {
    stopwatch watch;
    work();
    seconds_.emplace_back(name, watch.seconds());
  }

  // Runs a stage with the demo's recipe and these overrides, or only has it read its sections. `threads` 0: the demo's.
  void run(const std::string& name, stage_function what, const fs::path& out, std::vector<std::string> overrides,
           std::size_t threads = 0) {
    std::vector<std::string> all{"prompt.template=" + quoted(shipped_file("demo/prompts/inference.txt"))};
    if (quick_)
      for (const std::string entry : {"aggregate.repeats=4", "ppo.steps=3", "ppo.rollouts=16", "ppo.minibatch_size=8",
                                      "ppo.normalization.samples=32"})
        if (!options_.place(entry.substr(0, entry.find('='))).starts_with("--")) all.push_back(entry);
    all.insert(all.end(), overrides.begin(), overrides.end());
    all.push_back("out=" + quoted(out));
    config settings = options_.clone();
    for (const auto& entry : all) settings.set(entry);
    static const std::vector<std::string> sections{"demo",          "model", "adapter",   "generation",
                                                   "sample",        "judge", "aggregate", "reward",
                                                   "reward_prompt", "ppo",   "prompt"};
    settings.allow_sections(sections);
    settings.allow_keys(shared_keys_);
    settings.share_overrides();
    stage_context context(name, settings, false, dry_run_, context_.quiet);
    if (dry_run_) context.on_dry_run = [](const config&, const auto&) {};
    context.terminal = context_.terminal;
    context.seed = context_.seed;
    context.threads = threads > 0 ? threads : context_.threads;
    context.out = out;
    what(settings, context);
  }

  // Without --from-scratch the base is the shipped one.
  void make_base() {
    if (!from_scratch_) return;
    stage_context context(context_);
    context.out = base_;
    train_base(base_, base_steps_, context);
  }

  void sample_all() {
    sample("sample", "train_prompts", "train_samples", "", 2);
    sample("sample held-out", "held_out_prompts", "held_out_samples", "", 2);
    sample("sample before", "evaluation_prompts", "before_samples", "", 1);
  }

  void judge_all() {
    judge("judge", "train");
    judge("judge held-out", "held_out");
  }

  void train_reward_model() {
    run("reward model", run_reward, work_ / "reward",
        {"model.path=" + quoted(base_), "reward.data=" + quoted(work_ / "preferences.jsonl"),
         "reward_prompt.template=" + quoted(shipped_file("demo/prompts/reward.txt"))});
  }

  // Responses of the base, or of the policy in `adapter`, to a file of prompts.
  void sample(const std::string& label, const std::string& prompts, const std::string& samples, const fs::path& adapter,
              int responses, std::size_t threads = 0) {
    std::vector<std::string> overrides{"model.path=" + quoted(base_),
                                       "sample.prompts=" + quoted(work_ / (prompts + ".jsonl")),
                                       "sample.responses=" + std::to_string(responses)};
    if (!adapter.empty()) overrides.push_back("model.adapter=" + quoted(adapter));
    run(label, run_sample, work_ / (samples + ".jsonl"), overrides, threads);
  }

  // Judges the samples of a part, "train" or "held_out", in the first wording.
  void judge(const std::string& label, const std::string& part) {
    run(label, run_judge, work_ / (part + "_judgements.jsonl"),
        {"model.path=" + quoted(base_), "judge.samples=" + quoted(work_ / (part + "_samples.jsonl")),
         "judge.principles=" + quoted(wording_file(work_, 0)),
         "judge.template=" + quoted(shipped_file("demo/prompts/judge.txt"))});
  }

  // Preferences from the judgements of a part, in all wordings.
  void aggregate(const std::string& label, const std::string& part, const std::string& out,
                 std::vector<std::string> overrides) {
    std::string files;
    for (std::size_t w = 0; w < wording_count; ++w) files += (w > 0 ? "," : "") + quoted(wording_file(work_, w));
    overrides.insert(overrides.begin(),
                     {"aggregate.judgements=" + quoted(work_ / (part + "_judgements.jsonl")),
                      "aggregate.principles=" + quoted(wording_file(work_, 0)), "aggregate.wordings=[" + files + "]"});
    run(label, run_aggregate, work_ / (out + ".jsonl"), overrides);
  }

  void aggregate_all() {
    aggregate("aggregate", "train", "preferences", {});
    aggregate("aggregate sets of two", "held_out", "sets_of_two",
              {"aggregate.set_sizes=[0.0, 1.0]", "aggregate.repeats=2"});
    aggregate("aggregate sets of three", "held_out", "sets_of_three",
              {"aggregate.set_sizes=[0.0, 0.0, 1.0]", "aggregate.repeats=2"});
  }

  // One run of PPO, and the responses of its policy.
  void train_policy(const policy_run& plan) {
    std::vector<std::string> overrides{"model.path=" + quoted(base_),
                                       "ppo.reward_model=" + quoted(work_ / "reward"),
                                       "ppo.prompts=" + quoted(work_ / "rl_prompts.jsonl"),
                                       "ppo.principles=" + quoted(work_ / ("principles-" + plan.name + ".json")),
                                       "reward_prompt.template=" + quoted(shipped_file("demo/prompts/reward.txt")),
                                       "ppo.language_bonus=" + std::to_string(plan.language_bonus)};
    if (plan.intervention) {
      overrides.push_back("ppo.interventions=" + quoted(work_ / "interventions.json"));
    } else {
      overrides.emplace_back("ppo.intervention_position=first");  // where there is none, another place is refused
    }
    // The bonus is for a response of the full length, so a token is worth 1/48 of it.
    overrides.push_back("ppo.length_bonus.coefficient=" + std::to_string(plan.length_bonus_per_token * 48));
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
      for (std::size_t i = next++; i < policy_runs().size(); i = next++) {
        try {
          train_policy(policy_runs()[i]);
        } catch (...) {
          const std::lock_guard lock(mutex);
          if (!failure) failure = std::current_exception();
          next = policy_runs().size();
        }
      }
    };
    std::vector<std::thread> workers;
    for (std::size_t t = 0; t < std::min(context_.threads, policy_runs().size()); ++t) workers.emplace_back(work);
    for (auto& worker : workers) worker.join();
    if (failure) std::rethrow_exception(failure);
  }

  // The accuracies of judge and reward model, and the attributes of each policy's replies.
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
          {.name = name, .title = title, .replies = measure_demo_replies(path, *model.tokenizer), .samples = path});
      return runs_.back();
    };
    add("before", "before", "before_samples").replies.write(figures_, "before");
    for (const auto& plan : policy_runs()) {
      demo_run& made = add(plan.name, plan.title, plan.name + "_samples");
      made.curves = metrics_log::read(out_ / "ppo" / plan.name);
      const std::string prefix = "ppo." + plan.name;
      for (const char* metric : {"reward", "kl"}) figures_.set(prefix + "." + metric, final_mean(made.curves, metric));
      made.replies.write(figures_, prefix);
    }
  }

  // The mean of a metric's last five points.
  static double final_mean(const std::vector<std::pair<std::string, curve>>& curves, const std::string& metric) {
    for (const auto& [name, points] : curves) {
      if (name != metric || points.empty()) continue;
      const std::size_t count = std::min<std::size_t>(5, points.size());
      double sum = 0;
      for (std::size_t i = points.size() - count; i < points.size(); ++i) sum += points[i].second;
      return sum / static_cast<double>(count);
    }
    throw argument_error("a run of the demo logged no " + metric);
  }

  // Writes summary and report. check_failed_error where a threshold is missed; a short run has none.
  void finish() {
    for (const auto& [name, seconds] : seconds_) figures_.set("seconds." + name, seconds);
    figures_.set("peak_rss_bytes", peak_rss_bytes());
    figures_.set("seed", context_.seed);
    const auto checks =
        quick_ ? std::vector<threshold_check>{} : check_demo_thresholds(shipped_file("demo/thresholds.json"), figures_);
    figures_.write(out_ / "summary.json");
    write_report(out_ / "report.html", make_demo_report(figures_, runs_, accuracy_, checks));
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

  const config& options_;
  stage_context& context_;
  fs::path out_, work_;
  bool quick_, from_scratch_;
  bool dry_run_ = false;
  std::size_t base_steps_, pairs_, held_out_, evaluation_prompts_;
  fs::path base_;
  std::map<std::string, shared_key> shared_keys_;
  summary figures_;
  std::vector<demo_run> runs_;
  reward_accuracy accuracy_;
  std::vector<std::pair<std::string, double>> seconds_;
};

class demo_stage : public trainer::stage {
 public:
  demo_stage(const config& options, stage_context& context)
      : chain_(options, context, read_demo(options.section("demo"))) {
    options.check(!context.resume, "--resume", "unset: the demo runs in one piece");
  }
  void check(const config&, stage_context&) override { chain_.check_sections(); }
  void run(stage_context&) override { chain_(); }

 private:
  // The keys left out have the defaults of a short run or of a whole one.
  static demo_options read_demo(const config& section) {
    demo_options length;
    read_only(section, length, {"short"});
    return read_section(section, demo_options::of_length(length.quick));
  }

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
    return std::to_string(static_cast<int>(demo::identify_demo_language(text)));
  });
  return {.name = "demo",
          .help = "the whole of SALMON in a toy world, from judge to policy, in minutes",
          .run = run_stage<demo::demo_stage>,
          .flags = {{.name = "--short", .key = "demo.short", .fixed_value = "true"},
                    {.name = "--from-scratch", .key = "demo.from_scratch", .fixed_value = "true"}},
          .options = {section_options("demo", demo::demo_options{})},
          .group = "Demo",
          .recipe = "demo",
          .shares_overrides = true};
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
