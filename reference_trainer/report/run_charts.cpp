#include "report/run_charts.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>

#include "observe/format.hpp"
#include "report/curves.hpp"

namespace coho::trainer {
namespace {

enum class metric_group { learning, evaluation, speed, diagnostics };

// How a metric that a stage logs is presented.
struct known_metric {
  metric_group group;
  const char *name, *title, *unit, *note = "";
};

// In page order.
constexpr std::array known{
    known_metric{metric_group::learning, "reward", "Reward", "mean of a step's responses",
                 "Normalised score and bonuses, without the KL penalty."},
    known_metric{metric_group::learning, "kl", "KL from the reference", "nats per response"},
    known_metric{metric_group::learning, "loss", "Loss", "mean of a batch"},
    known_metric{metric_group::learning, "accuracy", "Accuracy", "share of pairs", "The chosen answer scores higher."},
    known_metric{metric_group::learning, "margin", "Margin", "score difference", "Chosen minus rejected answer."},
    known_metric{metric_group::learning, "chosen_log_prob", "Chosen responses", "mean log π, nats"},
    known_metric{metric_group::learning, "rejected_log_prob", "Rejected responses", "mean log π, nats"},
    known_metric{metric_group::learning, "length", "Length", "tokens per response"},
    known_metric{metric_group::learning, "entropy", "Entropy", "nats per token"},
    known_metric{metric_group::learning, "clip_fraction", "Clip fraction", "share of tokens"},
    known_metric{metric_group::learning, "explained_variance", "Value model", "explained variance"},
    known_metric{metric_group::learning, "language_match", "Language match", "share of responses",
                 "Answered in the language of the prompt."},
    known_metric{metric_group::learning, "reward/score", "Reward: score", "mean"},
    known_metric{metric_group::learning, "reward/language", "Reward: language bonus", "mean"},
    known_metric{metric_group::learning, "reward/length", "Reward: length bonus", "mean"},
    known_metric{metric_group::learning, "reward/empty", "Reward: empty responses", "mean",
                 "What ppo.empty_responses subtracts from responses without text."},
    known_metric{metric_group::learning, "reward/unfinished", "Reward: unfinished penalty", "mean"},
    known_metric{metric_group::learning, "unfinished", "Unfinished", "share of responses",
                 "Cut at the limit of tokens."},
    known_metric{metric_group::learning, "empty", "Empty", "share of responses", "Only an end token or white space."},
    known_metric{metric_group::learning, "learning_rate", "Learning rate", "step size"},
    known_metric{metric_group::learning, "gradient_norm", "Gradient norm", "before clipping"},
    known_metric{metric_group::evaluation, "eval/reward", "Reward, evaluation", "mean"},
    known_metric{metric_group::evaluation, "eval/kl", "KL, evaluation", "nats per response"},
    known_metric{metric_group::evaluation, "eval/length", "Length, evaluation", "tokens per response"},
    known_metric{metric_group::evaluation, "eval/unfinished", "Unfinished, evaluation", "share of responses"},
    known_metric{metric_group::evaluation, "eval/empty", "Empty, evaluation", "share of responses"},
    known_metric{metric_group::evaluation, "eval/language_match", "Language match, evaluation", "share of responses"},
    known_metric{metric_group::speed, "tokens_per_second", "Speed", "tokens per second"},
    known_metric{metric_group::speed, "generated_tokens_per_second", "Speed of generation", "tokens per second"},
    known_metric{metric_group::speed, "trained_tokens_per_second", "Speed of the update", "tokens per second"},
    known_metric{metric_group::speed, "seconds", "Time of a step", "seconds"},
    known_metric{metric_group::speed, "seconds_generation", "Time of a step: generation", "seconds"},
    known_metric{metric_group::speed, "seconds_update", "Time of a step: update", "seconds"},
    known_metric{metric_group::diagnostics, "score", "Score of the reward model", "mean"},
    known_metric{metric_group::diagnostics, "shaped_reward", "Reward with the KL penalty", "mean"},
    known_metric{metric_group::diagnostics, "kl_token", "KL per token", "nats per token"},
    known_metric{metric_group::diagnostics, "kl_coefficient", "KL coefficient", "β"},
    known_metric{metric_group::diagnostics, "policy_loss", "Policy loss", "loss"},
    known_metric{metric_group::diagnostics, "value_loss", "Value loss", "loss"},
    known_metric{metric_group::diagnostics, "value_clip_fraction", "Value clip fraction", "share of tokens"},
    known_metric{metric_group::diagnostics, "approximate_kl", "KL of the update", "nats per token",
                 "Between the sampling policy and the updated one."},
    known_metric{metric_group::diagnostics, "first_ratio_deviation", "Ratio before the first update",
                 "max |π / π_old − 1|", "0 except for numerical noise."},
    known_metric{metric_group::diagnostics, "sampler_difference_max", "Sampler vs. model", "max |Δ log π|"},
};

constexpr std::string_view principle_prefix = "eval/principle/", part_prefix = "reward/", time_prefix = "seconds_";
constexpr std::size_t lines_together = 12;  // the most that can be told apart in one chart
constexpr std::size_t smoothed_from = 20;   // points; an average of fewer hides more than it shows

using run_list = std::vector<const run_folder*>;

// Null for a metric that this file does not know.
const known_metric* find_known_metric(std::string_view name) {
  const auto found = std::ranges::find(known, name, [](const known_metric& m) { return std::string_view(m.name); });
  return found == known.end() ? nullptr : &*found;
}

// The section of a metric; an unknown one is sorted by its name.
metric_group find_metric_group(const std::string& name) {
  if (const auto* metric = find_known_metric(name)) return metric->group;
  if (name.starts_with("eval/")) return metric_group::evaluation;
  if (name.starts_with(part_prefix)) return metric_group::learning;
  return name.starts_with(time_prefix) || name.ends_with("_per_second") ? metric_group::speed
                                                                        : metric_group::diagnostics;
}

// The metrics that any run logged: known ones in their order, then the others in file order.
std::vector<std::string> logged_metrics(const run_list& runs, metric_group group) {
  std::vector<std::string> logged, out;
  for (const auto* run : runs) {
    for (const auto& [name, points] : run->curves)
      if (!points.empty() && std::ranges::find(logged, name) == logged.end()) logged.push_back(name);
  }
  for (const auto& metric : known)
    if (metric.group == group && std::ranges::find(logged, metric.name) != logged.end()) out.emplace_back(metric.name);
  for (const auto& name : logged)
    if (find_known_metric(name) == nullptr && find_metric_group(name) == group) out.push_back(name);
  return out;
}

// A metric's curve under a title, averaged with `weight` if it is long and noisy.
line_chart::series make_metric_line(const std::string& title, const std::string& metric, const curve& values,
                                    double weight) {
  line_chart::series line{.name = title, .points = {}};
  for (const auto& [step, value] : values) line.points.emplace_back(static_cast<double>(step), value);
  // Evaluations already are averages over many responses, and a learning rate has no noise.
  const bool noisy = !metric.starts_with("eval/") && metric != "learning_rate" && metric != "kl_coefficient";
  if (weight > 0 && noisy && line.points.size() >= smoothed_from) {
    line.raw = line.points;
    line.points = smooth(line.raw, weight);
  }
  return line;
}

// One metric of all runs that logged it.
line_chart make_metric_chart(const run_list& runs, const std::string& metric, double weight) {
  const auto about = describe_metric(metric);
  line_chart out{.title = about.title, .note = about.note, .x_label = "step", .y_label = about.unit};
  for (const auto* run : runs)
    if (const auto& values = run->find(metric); !values.empty())
      out.lines.push_back(make_metric_line(run->name, metric, values, weight));
  return out;
}

// A single run's metrics in one chart, with their common words only in the title.
line_chart make_metric_chart(const run_folder& run, const std::vector<std::string>& metrics, const std::string& title,
                             const std::string& unit, std::string_view prefix, double weight) {
  line_chart out{.title = title, .x_label = "step", .y_label = unit};
  for (const auto& metric : metrics) {
    std::string name = metric.starts_with(prefix) ? metric.substr(prefix.size()) : metric == "seconds" ? "all" : metric;
    std::ranges::replace(name, '_', ' ');
    out.lines.push_back(make_metric_line(name, metric, run.find(metric), weight));
  }
  return out;
}

// Metrics of a single run that share a chart, by the prefix of their names.
struct metric_family {
  metric_group group;
  std::string_view prefix;
  const char *whole, *title, *unit;  // `whole`: the sum that is drawn with its parts, if any
};
constexpr std::array families{
    metric_family{metric_group::learning, part_prefix, "", "Parts of the reward", "mean of a step's responses"},
    metric_family{metric_group::speed, time_prefix, "seconds", "Time of a step by phase", "seconds"}};

// The mean of the last `count` values.
double mean_of_last(const curve& values, std::size_t count) {
  double sum = 0;
  for (std::size_t i = values.size() - count; i < values.size(); ++i) sum += values[i].second;
  return sum / static_cast<double>(count);
}

// The value at the end: of an evaluation the last, otherwise the mean of the last tenth of the steps, because a single
// step is noise.
double final_value(const std::string& metric, const curve& values) {
  return mean_of_last(values, metric.starts_with("eval/") ? 1 : std::max<std::size_t>(1, values.size() / 10));
}

// The value of a metric that is equal at all steps of all runs; nothing if it varies.
std::optional<double> find_constant(const run_list& runs, const std::string& metric) {
  std::optional<double> out;
  for (const auto* run : runs) {
    for (const auto& [step, value] : run->find(metric)) {
      if (out && *out != value) return std::nullopt;
      out = value;
    }
  }
  return out;
}

// The last scores by principle, one bar per run.
bar_chart principle_bars(const run_list& runs, const std::vector<std::string>& principles) {
  bar_chart out{.title = "Principles at the last evaluation", .value_label = "mean score"};
  for (const auto& metric : principles) out.categories.push_back(metric.substr(principle_prefix.size()));
  for (const auto* run : runs) {
    bar_chart::series bars{run->name, {}};
    for (const auto& metric : principles) {
      const auto& values = run->find(metric);
      bars.values.push_back(values.empty() ? std::nan("") : values.back().second);
    }
    out.bars.push_back(std::move(bars));
  }
  return out;
}

// The title of a section.
const char* group_heading(metric_group group) {
  switch (group) {
    case metric_group::learning:
      return "Learning";
    case metric_group::evaluation:
      return "Evaluation";
    case metric_group::speed:
      return "Speed";
    default:
      return "Diagnostics";
  }
}

// The charts of one place in the report; figures that do not change are a line of text.
report::section make_section(const run_list& runs, metric_group group, double weight) {
  report::section out{.heading = group_heading(group)};
  auto metrics = logged_metrics(runs, group);
  const bool single = runs.size() == 1;
  const auto extract = [&](auto belongs) {
    std::vector<std::string> extracted;
    std::erase_if(metrics, [&](const std::string& name) {
      if (belongs(name)) extracted.push_back(name);
      return belongs(name);
    });
    return extracted;
  };
  std::vector<line_chart> together;
  for (const auto& each : families) {
    if (!single || each.group != group) continue;
    auto members = extract([&](const std::string& name) { return name.starts_with(each.prefix); });
    if (members.size() < 2 || members.size() >= lines_together) {
      metrics.insert(metrics.end(), members.begin(), members.end());
      continue;
    }
    if (const auto whole = extract([&](const std::string& name) { return name == each.whole; }); !whole.empty())
      members.insert(members.begin(), whole.front());
    together.push_back(make_metric_chart(*runs.front(), members, each.title, each.unit, each.prefix, weight));
  }
  const auto principles = extract([](const std::string& name) { return name.starts_with(principle_prefix); });
  if (group == metric_group::diagnostics) {
    std::string constants;
    for (const auto& name : extract([&](const std::string& each) { return find_constant(runs, each).has_value(); }))
      constants += (constants.empty() ? "" : ", ") + name + " = " + format_short(*find_constant(runs, name));
    if (!constants.empty()) out.text = "The same at every step: " + constants + ".";
  }
  for (const auto& name : metrics) out.parts.emplace_back(make_metric_chart(runs, name, weight));
  for (auto& chart : together) out.parts.emplace_back(std::move(chart));
  if (!principles.empty()) {
    if (runs.size() <= lines_together) out.parts.emplace_back(principle_bars(runs, principles));
    if (single && principles.size() <= lines_together) {
      out.parts.emplace_back(
          make_metric_chart(*runs.front(), principles, "Scores by principle", "mean score", principle_prefix, weight));
    } else {
      for (const auto& name : principles) out.parts.emplace_back(make_metric_chart(runs, name, weight));
    }
  }
  return out;
}

// A row of the table of final figures.
std::vector<std::string> figure_row(const run_list& runs, const std::string& metric) {
  std::vector<std::string> row{describe_metric(metric).title};
  for (const auto* run : runs) {
    const auto& values = run->find(metric);
    row.push_back(values.empty() ? "–" : format_short(final_value(metric, values)));
    if (runs.size() > 1) continue;
    const auto [low, high] = std::ranges::minmax_element(values, {}, &std::pair<std::int64_t, double>::second);
    row.insert(row.begin() + 1, format_short(values.front().second));
    row.insert(row.end(), {format_short(low->second), format_short(high->second)});
  }
  return row;
}

}  // namespace

metric_description describe_metric(const std::string& name) {
  if (const auto* metric = find_known_metric(name)) return {name, metric->title, metric->unit, metric->note};
  if (name.starts_with(principle_prefix))
    return {name, "Principle: " + name.substr(principle_prefix.size()), "mean score"};
  return {name, name, ""};
}

std::vector<report::section> run_charts(const run_list& runs, double weight) {
  std::vector<report::section> out;
  for (const auto group :
       {metric_group::learning, metric_group::evaluation, metric_group::speed, metric_group::diagnostics}) {
    auto section = make_section(runs, group, weight);
    if (!section.parts.empty() || !section.text.empty()) out.push_back(std::move(section));
  }
  return out;
}

std::vector<report_table> final_figures(const run_list& runs) {
  const bool single = runs.size() == 1;
  report_table out{.title = "Final figures", .columns = {"figure"}};
  if (single) {
    out.columns.insert(out.columns.end(), {"first step", "end", "lowest", "highest"});
  } else {
    for (const auto* run : runs) out.columns.push_back(run->name);
  }
  out.note = "At the end: the mean over the last tenth of the steps; for evaluations, the last one.";
  report_table others{.title = "Speed and diagnostics at the end", .columns = out.columns, .folded = true};
  for (const auto group :
       {metric_group::learning, metric_group::evaluation, metric_group::speed, metric_group::diagnostics}) {
    auto& table = group == metric_group::learning || group == metric_group::evaluation ? out : others;
    for (const auto& metric : logged_metrics(runs, group)) table.rows.push_back(figure_row(runs, metric));
  }
  std::vector<std::string> keys;
  for (const auto* run : runs)
    for (const auto& [key, value] : run->evaluation)
      if (std::ranges::find(keys, key) == keys.end()) keys.push_back(key);
  for (const auto& key : keys) {
    auto& row = out.rows.emplace_back();
    row.push_back("evaluation.json: " + key);
    for (const auto* run : runs) {
      const auto found = std::ranges::find(run->evaluation, key, &std::pair<std::string, double>::first);
      if (single) row.emplace_back("");
      row.push_back(found == run->evaluation.end() ? "–" : format_short(found->second));
    }
  }
  std::vector<report_table> tables;
  for (auto* table : {&out, &others})
    if (!table->rows.empty()) tables.push_back(std::move(*table));
  return tables;
}

}  // namespace coho::trainer
