#include "demo/corpus.hpp"

#include <cmath>
#include <initializer_list>
#include <span>
#include <utility>

#include <coho/error.hpp>

namespace coho::trainer::demo {
namespace {

struct placeholder_value {
  std::string_view name;
  std::string text;
  // The position of its first occurrence in the rendered text.
  std::size_t begin = std::string::npos, end = std::string::npos;
};

// A template with its {placeholders} filled in; notes where each value first stands. A single pass, so that a value
// that looks like a placeholder stays as it is.
std::string fill_template(std::string_view form, std::span<placeholder_value> values) {
  std::string out;
  while (!form.empty()) {
    const auto open = form.find('{');
    out += form.substr(0, open);
    if (open == std::string_view::npos) break;
    const auto close = form.find('}', open);
    const std::string_view name = form.substr(open + 1, close - open - 1);
    for (placeholder_value& v : values) {
      if (v.name != name) continue;
      if (v.begin == std::string::npos) v.begin = out.size(), v.end = out.size() + v.text.size();
      out += v.text;
    }
    form.remove_prefix(close + 1);
  }
  return out;
}

// argument_error where a template lacks one of the placeholders.
void require_placeholders(std::string_view file, std::string_view text, std::initializer_list<std::string_view> names) {
  for (const std::string_view name : names) {
    const std::string placeholder = "{" + std::string(name) + "}";
    require_argument(text.find(placeholder) != std::string_view::npos,
                     "the demo's " + std::string(file) + " template has no " + placeholder);
  }
}

quality sample_quality(rng& random) { return qualities[random.index(qualities.size())]; }

// Any wording of the base corpus, including those held out from the reward model.
std::string sample_wording(quality q, bool negated, rng& random) {
  const auto training = training_wordings(q, negated), held_out = held_out_wordings(q, negated);
  const std::size_t chosen = random.index(training.size() + held_out.size());
  return chosen < training.size() ? training[chosen] : held_out[chosen - training.size()];
}

// The level of a reply under a principle: 0 (worst) to 4 (best), the other way round where it is negated.
int principle_level(quality q, bool negated, const attributes& seen) {
  const int level = true_level(q, seen);
  return negated ? 4 - level : level;
}

// The form of a review after a fraction `progress` of the steps. A base that has seen only single principles leads to a
// reward model that reads only the last line of a list; lists without shown levels from the start are too hard for
// three layers. So levels are shown first, and less often later.
review_form sample_review_form(double progress, rng& random) {
  const std::size_t several = 1 + random.index(3);
  const double u = random.uniform();
  const double levels = progress < .6 ? .5 : .25, single = progress < .6 ? .25 : .15;
  const bool negations = progress >= .2;
  if (u < levels) return {.principles = several, .negations = negations, .levels = true};
  const bool one = u < levels + single || progress < .2;
  return {.principles = one ? 1 : several, .negations = negations, .levels = false};
}

// Half of the replies are as in the dialogues, half have every attribute about as often as not.
reply_distribution sample_distribution(rng& random) {
  return random.bernoulli(.5) ? reply_distribution::wide() : reply_distribution{};
}

}  // namespace

corpus::corpus(corpus_templates templates, corpus_options options)
    : templates_(std::move(templates)), options_(options) {
  require_option(options_.steps > 0, "steps", options_.steps, "at least 1");
  require_option(options_.documents_per_step > 0, "documents_per_step", options_.documents_per_step, "at least 1");
  require_option(options_.answer_weight > 0, "answer_weight", options_.answer_weight, "above 0");
  require_option(options_.reply_weight >= 0, "reply_weight", options_.reply_weight, "at least 0");
  require_placeholders("judge", templates_.judge, {"UserInstruction", "OutputA", "OutputB", "Dimension", "Definition"});
  require_placeholders("reward", templates_.reward, {"Input", "Output", "Dimensions"});
  require_placeholders("inference", templates_.inference, {"Input"});
}

void corpus::append_answer(document& to, std::string_view answer) const {
  to.spans.push_back({to.text.size(), to.text.size() + answer.size(), options_.answer_weight});
  to.text += answer;
}

document corpus::dialogue(rng& random) const {
  const prompt p = sample_prompt(random);
  std::array<placeholder_value, 1> values{{{.name = "Input", .text = render(p)}}};
  document out;
  out.text = fill_template(templates_.inference, values);
  const std::size_t begin = out.text.size();
  out.text += " " + render(sample_reply(p, {}, random));
  out.spans.push_back({begin, out.text.size(), 1.0});
  out.end_weight = 1.0;
  return out;
}

document corpus::review(const review_form& form, rng& random) const {
  const prompt p = sample_prompt(random);
  const reply r = sample_reply(p, sample_distribution(random), random);
  const attributes seen = measure_attributes(r, p);
  std::array<quality, qualities.size()> order = qualities;
  random.shuffle(order);

  document out;
  std::string list;
  std::vector<weighted_span> shown;  // within the list
  int levels = 0;
  for (std::size_t i = 0; i < form.principles; ++i) {
    const bool negated = form.negations && random.bernoulli(.5);
    const int level = principle_level(order[i], negated, seen);
    levels += level;
    list += (i == 0 ? "- " : "\n- ") + sample_wording(order[i], negated, random);
    if (!form.levels) continue;
    const std::string word = " " + std::string(level_word(level));
    shown.push_back({list.size(), list.size() + word.size(), options_.answer_weight});
    list += word;
  }
  std::array<placeholder_value, 3> values{{{.name = "Output", .text = render(r)},
                                           {.name = "Input", .text = render(p)},
                                           {.name = "Dimensions", .text = std::move(list)}}};
  out.text = fill_template(templates_.reward, values);
  if (options_.reply_weight > 0) out.spans.push_back({values[0].begin, values[0].end, options_.reply_weight});
  for (const weighted_span& span : shown) {
    out.spans.push_back({span.begin + values[2].begin, span.end + values[2].begin, span.weight});
  }
  // The mean level, rounded half up.
  const int count = static_cast<int>(form.principles);
  append_answer(out, " " + std::string(level_word((2 * levels + count) / (2 * count))));
  return out;
}

document corpus::pair(bool with_levels, rng& random) const {
  const prompt p = sample_prompt(random);
  const quality q = sample_quality(random);
  const reply_distribution distribution = sample_distribution(random);
  const bool decisive = random.bernoulli(.9);
  reply a, b;
  attributes of_a, of_b;
  for (int attempt = 0; attempt < 30; ++attempt) {
    a = sample_reply(p, distribution, random);
    b = sample_reply(p, distribution, random);
    of_a = measure_attributes(a, p);
    of_b = measure_attributes(b, p);
    if (!decisive || true_score(q, of_a) != true_score(q, of_b)) break;
  }
  const double log_odds = true_score(q, of_a) - true_score(q, of_b);
  const char letter = random.bernoulli(1.0 / (1.0 + std::exp(-log_odds))) ? 'a' : 'b';

  std::array<placeholder_value, 5> values{{{.name = "Dimension", .text = std::string(quality_name(q))},
                                           {.name = "Definition", .text = sample_wording(q, false, random)},
                                           {.name = "UserInstruction", .text = render(p)},
                                           {.name = "OutputA", .text = render(a)},
                                           {.name = "OutputB", .text = render(b)}}};
  document out;
  out.text = fill_template(templates_.judge, values);
  if (options_.reply_weight > 0) {
    for (const std::size_t i : {3u, 4u}) out.spans.push_back({values[i].begin, values[i].end, options_.reply_weight});
  }
  if (with_levels) {
    // The template puts "=" after each output; the level is written there. The later one first, so that the earlier
    // position stays valid.
    const auto insert_level = [&](std::size_t output_end, int level) {
      const auto place = out.text.find('=', output_end) + 1;
      const std::string word = " " + std::string(level_word(level));
      out.text.insert(place, word);
      for (weighted_span& span : out.spans) {
        if (span.begin >= place) span.begin += word.size(), span.end += word.size();
      }
      out.spans.push_back({place, place + word.size(), options_.answer_weight});
    };
    insert_level(values[4].end, true_level(q, of_b));
    insert_level(values[3].end, true_level(q, of_a));
  }
  append_answer(out, std::string_view(&letter, 1));
  return out;
}

std::vector<document> corpus::batch(std::size_t step, rng& random) const {
  const double progress = static_cast<double>(step) / static_cast<double>(options_.steps);
  const bool first = progress < .2;
  const double pairs = first ? 0.0 : .5, dialogues = first ? .3 : .2;
  std::vector<document> out;
  for (std::size_t i = 0; i < options_.documents_per_step; ++i) {
    const double u = random.uniform();
    if (u < pairs) {
      out.push_back(pair(progress < .6, random));
    } else if (u < pairs + dialogues) {
      out.push_back(dialogue(random));
    } else {
      out.push_back(review(sample_review_form(progress, random), random));
    }
  }
  return out;
}

std::vector<std::string> tokenizer_texts(const corpus& source, std::size_t documents, rng& random) {
  std::vector<std::string> out;
  for (std::size_t i = 0; i < documents; ++i) {
    out.push_back(source.dialogue(random).text);
    out.push_back(source.review({.principles = 2, .negations = true, .levels = true}, random).text);
    out.push_back(source.pair(true, random).text);
  }
  return out;
}

}  // namespace coho::trainer::demo
