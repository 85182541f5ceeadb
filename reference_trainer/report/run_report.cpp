#include "report/run_report.hpp"

#include <algorithm>
#include <map>

#include <coho/error.hpp>
#include <coho/version.hpp>

#include "observe/format.hpp"
#include "observe/progress.hpp"
#include "report/run_charts.hpp"

namespace coho::trainer {
namespace {

using run_list = std::vector<const run_folder*>;

// A stage's name for readers.
std::string stage_title(const std::string& stage) {
  if (stage == "ppo") return "PPO";
  if (stage == "dpo") return "Direct preference optimisation";
  if (stage == "sft") return "Supervised fine-tuning";
  if (stage == "reward") return "Reward model";
  if (stage == "preference_pretraining") return "Preference pre-training";
  if (stage == "run") return "Other runs";
  return stage;
}

// The sum of all steps' times; a dash if they were not logged.
std::string time_in_steps(const run_folder& run) {
  double sum = 0;
  for (const auto& [step, value] : run.find("seconds")) sum += value;
  return sum > 0 ? format_duration(sum) : "–";
}

// The table of runs, with their progress.
report_table run_table(const std::vector<run_folder>& runs) {
  report_table out{.title = "", .columns = {"run", "stage", "steps", "state", "time in steps", "seed", "folder"}};
  for (const auto& run : runs) {
    const auto planned = run.setting(run.stage + ".steps"), seed = run.setting("seed");
    out.rows.push_back(
        {run.name, stage_title(run.stage), std::to_string(run.steps()) + (planned.empty() ? "" : " of " + planned),
         run.ended ? "ended" : "not ended", time_in_steps(run), seed.empty() ? "–" : seed, run.path.string()});
  }
  return out;
}

// The response to a prompt; null if the step has none.
const training_sample* find_sample(const std::optional<step_samples>& step, const std::string& prompt) {
  if (!step) return nullptr;
  const auto found = std::ranges::find(step->samples, prompt, &training_sample::prompt);
  return found == step->samples.end() ? nullptr : &*found;
}

// Score and flaws of a response, for the line below it.
std::string sample_caption(const training_sample* sample) {
  if (sample == nullptr) return {};
  std::string out;
  const auto add = [&](const std::string& text) { out += (out.empty() ? "" : " · ") + text; };
  if (sample->score) add("score " + format_number(*sample->score));
  if (sample->finished && !*sample->finished) add("unfinished");
  if (sample->language_match && !*sample->language_match) add("other language");
  return out;
}

// Chooses samples of all types: the first of each type, then the second of each, and so on.
std::vector<const training_sample*> choose_samples(const std::vector<training_sample>& samples, std::size_t count) {
  std::map<std::string, std::size_t> seen;
  std::vector<std::pair<std::size_t, const training_sample*>> order;
  for (const auto& sample : samples) order.emplace_back(seen[sample.type]++, &sample);
  std::ranges::stable_sort(order, {}, &std::pair<std::size_t, const training_sample*>::first);
  std::vector<const training_sample*> out;
  for (std::size_t i = 0; i < order.size() && i < count; ++i) out.push_back(order[i].second);
  return out;
}

// Whether the first evaluations of all runs are of one step and have equal responses to these prompts.
bool begin_with_same_responses(const run_list& runs, const std::vector<const training_sample*>& chosen) {
  return std::ranges::all_of(runs, [&](const run_folder* run) {
    return run->first->step == runs.front()->first->step && std::ranges::all_of(chosen, [&](const auto* sample) {
             const auto* own = find_sample(run->first, sample->prompt);
             return own != nullptr && own->response == sample->response;
           });
  });
}

// The runs of a stage; its sections carry its name if there are others.
void add_stage_sections(report& page, const run_list& runs, const std::string& stage, bool only_stage,
                        const run_report_options& options) {
  const std::string prefix = only_stage ? "" : stage_title(stage) + ": ";
  report::section figures{.heading = only_stage ? "Figures" : stage_title(stage)};
  for (auto& table : final_figures(runs)) figures.parts.emplace_back(std::move(table));
  if (runs.size() > 1) {
    if (auto different = differing_settings(runs); !different.rows.empty()) figures.parts.emplace_back(different);
  }
  if (auto shared = shared_settings(runs); !shared.rows.empty()) figures.parts.emplace_back(shared);
  page.sections.push_back(std::move(figures));
  for (auto& section : run_charts(runs, options.smoothing)) {
    section.heading = prefix + section.heading;
    page.sections.push_back(std::move(section));
  }
  if (auto samples = sample_table(runs, options.samples); !samples.rows.empty()) {
    report::section shown{.heading = prefix + "Responses"};
    shown.parts.emplace_back(std::move(samples));
    page.sections.push_back(std::move(shown));
  }
}

// The settings that are equal in all runs, or those that are not.
report_table setting_table(const run_list& runs, bool same) {
  // The output path of a run always differs and is not informative.
  std::vector<std::string> keys;
  for (const auto* run : runs)
    for (const auto& [key, value] : run->settings)
      if (key != "out" && std::ranges::find(keys, key) == keys.end()) keys.push_back(key);
  std::ranges::sort(keys);
  report_table out{.title = runs.size() == 1 ? "Settings"
                            : same           ? "Settings that all runs share"
                                             : "Settings that differ",
                   .columns = {"key"},
                   .folded = same};
  if (same) {
    out.columns.emplace_back("value");
  } else {
    for (const auto* run : runs) out.columns.push_back(run->name);
  }
  for (const auto& key : keys) {
    std::vector<std::string> values;
    for (const auto* run : runs) values.push_back(run->setting(key));
    const bool equal = std::ranges::all_of(values, [&](const auto& value) { return value == values.front(); });
    if (equal != same) continue;
    if (equal) values.resize(1);
    for (auto& value : values)
      if (value.empty()) value = "–";
    values.insert(values.begin(), key);
    out.rows.push_back(std::move(values));
  }
  return out;
}

}  // namespace

report_table shared_settings(const run_list& runs) { return setting_table(runs, /*same=*/true); }
report_table differing_settings(const run_list& runs) { return setting_table(runs, /*same=*/false); }

report_samples sample_table(const run_list& all, std::size_t prompts) {
  report_samples out;
  run_list runs;
  for (const auto* run : all)
    if (run->first && !run->first->samples.empty()) runs.push_back(run);
  if (runs.empty()) return out;
  const auto chosen = choose_samples(runs.front()->first->samples, prompts);
  // Runs from one policy and seed begin alike: their first responses are shown once.
  const bool shared = begin_with_same_responses(runs, chosen);
  struct source {
    const std::optional<step_samples>* step;
    std::size_t compared_with;
  };
  std::vector<source> sources;
  for (const auto* run : runs) {
    if (sources.empty() || !shared) {
      out.columns.push_back((shared ? "" : run->name + ", ") + "step " + std::to_string(run->first->step));
      sources.push_back({&run->first, sources.size()});
    }
    if (!run->last) continue;
    const std::size_t before = shared ? 0 : sources.size() - 1;
    out.columns.push_back((all.size() == 1 ? "" : run->name + ", ") + "step " + std::to_string(run->last->step));
    sources.push_back({&run->last, before});
  }
  for (const auto& each : sources) out.compared_with.push_back(each.compared_with);
  for (const auto* sample : chosen) {
    auto& row =
        out.rows.emplace_back(report_samples::row{.prompt = sample->prompt, .responses = {}, .caption = sample->type});
    for (const auto& each : sources) {
      const auto* found = find_sample(*each.step, sample->prompt);
      row.responses.push_back(found == nullptr ? "" : found->response);
      row.captions.push_back(found == nullptr ? "no response yet" : sample_caption(found));
    }
  }
  const std::size_t held = runs.front()->first->samples.size();
  out.note = "Marked: words that the other response lacks.";
  if (held > chosen.size())
    out.note += " " + std::to_string(chosen.size()) + " of " + std::to_string(held) + " prompts of samples.jsonl.";
  return out;
}

report make_run_report(const std::vector<run_folder>& runs, const run_report_options& options) {
  require_argument(!runs.empty(), "a report needs a run");
  report page{.title = options.title};
  std::vector<std::string> stages;
  for (const auto& run : runs)
    if (std::ranges::find(stages, run.stage) == stages.end()) stages.push_back(run.stage);
  page.sections.push_back({.heading = runs.size() == 1 ? "The run" : "Runs", .text = {}, .parts = {run_table(runs)}});
  for (const auto& stage : stages) {
    run_list members;
    for (const auto& run : runs)
      if (run.stage == stage) members.push_back(&run);
    add_stage_sections(page, members, stage, stages.size() == 1, options);
  }
  if (options.smoothing > 0)
    page.subtitle = "Curves are moving averages (weight " + format_short(options.smoothing) +
                    ") of the values, which are drawn faintly in the background.";
  page.footer = std::string("coho ") + coho::version;
  return page;
}

}  // namespace coho::trainer
