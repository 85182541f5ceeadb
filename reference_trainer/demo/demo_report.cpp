#include "demo/demo_report.hpp"

#include <nlohmann/json.hpp>

#include <coho/error.hpp>

#include "demo/language.hpp"
#include "demo/principles.hpp"
#include "files/json_file.hpp"
#include "observe/format.hpp"
#include "observe/table.hpp"

namespace coho::trainer::demo {
namespace {

// A curve of each run that logged the metric.
line_chart make_demo_run_chart(const std::vector<demo_run>& runs, const std::string& metric, std::string title,
                               std::string y_label, std::string note = {}) {
  line_chart out{
      .title = std::move(title), .note = std::move(note), .x_label = "PPO step", .y_label = std::move(y_label)};
  for (const auto& run : runs) {
    for (const auto& [name, points] : run.curves) {
      if (name != metric) continue;
      line_chart::series line{.name = run.title, .points = {}};
      for (const auto& [step, value] : points) line.points.emplace_back(static_cast<double>(step), value);
      out.lines.push_back(std::move(line));
    }
  }
  return out;
}

// The attributes of the named runs' replies, in that order.
bar_chart make_demo_attribute_chart(const std::vector<demo_run>& runs, const std::vector<std::string>& names,
                                    std::string title, std::string note) {
  bar_chart out{.title = std::move(title),
                .note = std::move(note),
                .value_label = "share of replies",
                .categories = {"self-praise", "hedge", "example", "prompt's language", "on topic", "valid sentences"}};
  out.value_min = 0;
  out.value_max = 1;
  for (const auto& name : names) {
    for (const auto& run : runs) {
      if (run.name != name) continue;
      const auto& r = run.replies;
      out.bars.push_back(
          {run.title,
           {r.self_praise_rate, r.hedge_rate, r.example_rate, r.same_language_rate, r.on_topic_rate, r.valid_rate}});
    }
  }
  return out;
}

// Replies of the runs before, plain and intervention to the same prompts, so many of language a and b. Prompts of the
// language that resembles English come first, because readers can follow them.
report_samples make_demo_reply_table(const std::vector<demo_run>& runs, std::size_t readable, std::size_t others) {
  report_samples out{.title = "Replies to the same prompts"};
  std::vector<std::size_t> chosen;
  for (const auto& run : runs) {
    if (run.name != "before" && run.name != "plain" && run.name != "intervention") continue;
    out.columns.push_back(run.title);
    const auto records = read_records<sample_record>(run.samples);
    if (out.rows.empty()) {
      for (const auto& [wanted, count] : {std::pair(language::a, readable), std::pair(language::b, others)}) {
        std::size_t left = count;
        for (std::size_t i = 0; i < records.size() && left > 0; ++i) {
          if (identify_demo_language(records[i].prompt.text()) != wanted) continue;
          chosen.push_back(i);
          out.rows.push_back({records[i].prompt.text(), {}});
          --left;
        }
      }
    }
    for (std::size_t i = 0; i < out.rows.size(); ++i)
      out.rows[i].responses.push_back(records.at(chosen[i]).responses.front());
  }
  return out;
}

}  // namespace

std::vector<threshold_check> check_demo_thresholds(const std::filesystem::path& path, const summary& figures) {
  std::vector<threshold_check> out;
  const auto value_of = [&](const std::string& key) {
    const auto found = figures.number(key);
    require_argument(found.has_value(), path.string() + ": the summary has no figure " + key);
    return *found;
  };
  const auto file = read_json(path);
  for (const auto& entry : file.at("thresholds")) {
    threshold_check check{.key = entry.at("key").get<std::string>(), .bound = {}};
    check.value = value_of(check.key);
    const auto& than = entry.at("than");
    double bound = 0;
    if (than.is_object()) {
      const auto other = than.at("key").get<std::string>();
      const double factor = than.value("factor", 1.0);
      bound = factor * value_of(other);
      check.bound = (factor == 1.0 ? "" : format_short(factor) + " × ") + other + " (" + format_number(bound, 3) + ")";
    } else {
      bound = than.get<double>();
      check.bound = format_number(bound, 2);
    }
    const bool least = entry.at("is").get<std::string>() == "at_least";
    check.held = least ? check.value >= bound : check.value <= bound;
    check.bound = (least ? "at least " : "at most ") + check.bound;
    out.push_back(std::move(check));
  }
  return out;
}

namespace {

// The accuracies of the reward model, by principle and by what is asked.
report::section make_demo_reward_section(const reward_accuracy& accuracy) {
  report::section reward{.heading = "The reward model"};
  bar_chart by_principle{.title = "Accuracy on held-out pairs, one principle at a time",
                         .note = "Against the grammar, in the training wordings.",
                         .value_label = "accuracy"};
  for (const quality q : qualities) by_principle.categories.emplace_back(quality_name(q));
  by_principle.bars = {{"positive", accuracy.positive_by_quality}, {"negated", accuracy.negated_by_quality}};
  by_principle.value_min = 0;
  by_principle.value_max = 1;
  by_principle.references = {{0.5, "chance"}};
  reward.parts.emplace_back(by_principle);
  bar_chart whole{
      .title = "Accuracy by what is asked",
      .note = "Sets of principles against their aggregated labels, a tenth of which was flipped on purpose.",
      .value_label = "accuracy"};
  whole.categories = {"positive", "negated", "unseen wording", "unseen, negated", "sets of two", "sets of three"};
  whole.bars = {{"accuracy",
                 {accuracy.positive, accuracy.negated, accuracy.unseen_positive, accuracy.unseen_negated,
                  accuracy.pairs_of_principles, accuracy.triples_of_principles}}};
  whole.value_min = 0;
  whole.value_max = 1;
  whole.references = {{0.5, "chance"}};
  reward.parts.emplace_back(whole);
  return reward;
}

}  // namespace

report make_demo_report(const summary& figures, const std::vector<demo_run>& runs, const reward_accuracy& accuracy,
                        const std::vector<threshold_check>& checks) {
  report page{.title = "SALMON in a toy world"};
  page.subtitle =
      "A language model of a quarter of a million weights judges its own replies under principles; a reward model "
      "learns to "
      "read principles; reinforcement learning follows it. One reward model serves all runs below.";
  const auto number = [&](const char* key, int digits) {
    return format_number(figures.number(key).value_or(0), digits);
  };
  page.figures = {{"judge's accuracy", number("judge.accuracy", 2)},
                  {"reward model, positive / negated",
                   number("rm.accuracy.positive", 2) + " / " + number("rm.accuracy.negated", 2)},
                  {"self-praise, plain", number("ppo.plain.self_praise_rate", 2)},
                  {"self-praise, with intervention", number("ppo.intervention.self_praise_rate", 2)}};

  report::section hack{.heading = "The hack and the intervention"};
  hack.text =
      "The judge mistakes self-praise for engagement, so a policy rewarded for being engaging learns to praise "
      "itself. One more "
      "principle in the reward model's guideline, at reinforcement-learning time and without any new data, forbids it.";
  hack.parts.emplace_back(make_demo_attribute_chart(runs, {"before", "plain", "intervention"}, "Attributes of replies",
                                                    "The same frozen reward model in both runs."));
  const std::vector<std::string> steering_names{"before", "honest", "example", "not_informative", "language", "length"};
  bar_chart amounts{.title = "Facts per reply",
                    .note = "Distinct true facts, which the intervention must not reduce.",
                    .value_label = "facts"};
  bar_chart lengths{.title = "Length of replies",
                    .note = "Tokens, including the end token; the limit is 48.",
                    .value_label = "tokens",
                    .digits = 1};
  bar_chart::series facts{"facts", {}}, tokens{"tokens", {}};
  for (const auto& run : runs) {
    amounts.categories.push_back(run.title);
    lengths.categories.push_back(run.title);
    facts.values.push_back(run.replies.facts);
    tokens.values.push_back(run.replies.length);
  }
  amounts.bars.push_back(facts);
  lengths.bars.push_back(tokens);
  hack.parts.emplace_back(amounts);
  hack.parts.emplace_back(make_demo_reply_table(runs, 5, 1));
  page.sections.push_back(std::move(hack));

  report::section steering{.heading = "Steering by principles"};
  steering.text = "Changing the list of principles, or adding a symbolic reward, changes what the policy improves.";
  steering.parts.emplace_back(make_demo_attribute_chart(
      runs, steering_names, "Attributes of replies in the steering runs", "Attributes that are not rewarded drift."));
  steering.parts.emplace_back(lengths);
  page.sections.push_back(std::move(steering));

  report::section training{.heading = "Training"};
  training.parts.emplace_back(
      make_demo_run_chart(runs, "reward", "Reward", "mean reward of a rollout",
                          "Standardised on the initial policy; runs with different guidelines are not comparable."));
  training.parts.emplace_back(make_demo_run_chart(runs, "kl", "KL from the initial policy", "nats per reply"));
  training.parts.emplace_back(make_demo_run_chart(runs, "length", "Length", "tokens per reply"));
  training.parts.emplace_back(make_demo_run_chart(runs, "explained_variance", "Value model", "explained variance"));
  page.sections.push_back(std::move(training));

  page.sections.push_back(make_demo_reward_section(accuracy));

  report::section bounds{.heading = "Thresholds"};
  report_checks table{.title = checks.empty() ? "Not checked in the short form" : "What this demo must show"};
  for (const auto& check : checks)
    table.rows.push_back({check.key, format_number(check.value, 3), check.bound, check.held});
  bounds.parts.emplace_back(table);
  page.sections.push_back(std::move(bounds));
  return page;
}

std::string final_table(const summary& figures, const std::vector<demo_run>& runs) {
  text_table table(
      {"run", "self-praise", "facts", "hedge", "example", "same language", "length", "KL", "valid", "empty", "cap"});
  for (const auto& run : runs) {
    const auto& r = run.replies;
    const auto kl = figures.number("ppo." + run.name + ".kl");
    table.add_row({run.title, format_number(r.self_praise_rate), format_number(r.facts), format_number(r.hedge_rate),
                   format_number(r.example_rate), format_number(r.same_language_rate), format_number(r.length, 1),
                   kl ? format_number(*kl, 1) : "", format_number(r.valid_rate), format_number(r.empty_rate),
                   format_number(r.cap_rate)});
  }
  return table.text();
}

}  // namespace coho::trainer::demo
