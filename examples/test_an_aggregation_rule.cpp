// Testing a custom rule. A judge scores two responses under several principles; a rule turns the scores into one label.
// The library's rule lets the most pronounced principle decide. This one takes a vote, and the usual question about new
// data code is: is it right, before a large model spends a day judging with it? A scripted judge makes that a unit
// test: it answers in microseconds, and the right answers are known.
#include <cstdio>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <coho/principle/aggregation.hpp>
#include <coho/principle/judging.hpp>
#include <coho/prompt/judge_prompt.hpp>
#include <coho/toy/scripted_judge.hpp>

// ---- the rule: each drawn principle has one vote, if both orders of the responses gave it to the same response. 0: A
// is preferred, 1: B; nothing for a draw.
std::optional<int> vote(const coho::pair_judgement& judgement, const std::vector<coho::drawn_principle>& drawn) {
  int for_a = 0;
  for (const auto& principle : drawn) {
    const coho::judge_score& score = judgement.scores.at(principle.index);
    if (!score.agrees()) continue;
    for_a += (score.mean() > 0) != principle.negated ? 1 : -1;
  }
  if (for_a == 0) return std::nullopt;
  return for_a > 0 ? 0 : 1;
}

// ---- the toy world: responses list their virtues, and the judge reads them.
const std::vector<coho::principle> principles{
    {"Concise", "It is short."}, {"Kind", "It is kind."}, {"Honest", "It is true."}};

const coho::judge_prompt prompt(coho::prompt_template(
    coho::template_kind::judge, "{UserInstruction}|{OutputA}|{OutputB}|{Dimension}|{Definition} (", "the test"));

// Log-odds for the first output: `strength` of the dimension, plus `bias` for being first, as in real judges. The
// strengths differ, so a vote and the most pronounced principle can disagree.
auto judge_with(double bias) {
  return coho::toy::scripted_judge([bias](std::string_view text) {
    const auto cut = [&text] {
      const auto part = text.substr(0, text.find('|'));
      text.remove_prefix(part.size() + 1);
      return part;
    };
    cut();  // the instruction
    const auto first = cut(), second = cut(), dimension = cut();
    const double strength = dimension == "Honest" ? 3 : 1;
    const auto has = [&](std::string_view output) { return output.find(dimension) != output.npos ? strength : 0.0; };
    return has(first) - has(second) + bias;
  });
}

std::optional<int> verdict(const std::string& a, const std::string& b, std::vector<coho::drawn_principle> drawn,
                           double bias = 0) {
  auto judge = judge_with(bias);
  const std::vector<coho::response_pair> pairs{{"say something", a, b}};
  return vote(coho::judge_pairs(judge, prompt, pairs, principles)[0], drawn);
}

int failures = 0;
void check(bool ok, const char* what) {
  std::printf("%s: %s\n", ok ? "ok" : "FAILED", what);
  failures += !ok;
}

int main() {
  const std::vector<coho::drawn_principle> all{{0, false}, {1, false}, {2, false}},
      turned{{0, true}, {1, true}, {2, true}};
  const std::string brief_and_kind = "Concise Kind", honest = "Honest", nothing = "";

  // Values by hand. The first is the reason for this rule: the library's rule decides the other way.
  check(verdict(brief_and_kind, honest, all) == 0, "two mild principles outvote a strong one");
  auto judge = judge_with(0);
  const std::vector<coho::response_pair> pair{{"say something", brief_and_kind, honest}};
  const coho::preference_aggregator usual(principles, coho::judgement_statistics(principles.size()),
                                          {.negation_probability = 0});
  const auto scores = usual.scores(coho::judge_pairs(judge, prompt, pair, principles)[0]);
  check(coho::dominant_label(scores, all)->preferred == 1, "the most pronounced principle prefers the other response");
  check(verdict(brief_and_kind, honest, {{2, false}}) == 1, "only principles that were drawn vote");
  check(!verdict(nothing, nothing, all), "equal responses get no label");
  check(!verdict("Kind", honest, all), "one vote each is a draw");

  // Properties, over every pair of responses: they find cases that handpicked examples miss.
  const std::vector<std::string> responses{
      "", "Concise", "Kind", "Honest", brief_and_kind, "Kind Honest", "Concise Kind Honest"};
  bool swapped = true, negated = true, reordered = true, biased = true;
  int labels = 0, pairs = 0;
  const auto other = [](std::optional<int> label) { return label ? std::optional(1 - *label) : label; };
  for (const auto& a : responses) {
    for (const auto& b : responses) {
      const auto label = verdict(a, b, all);
      swapped &= verdict(b, a, all) == other(label);
      negated &= verdict(a, b, turned) == other(label);
      reordered &= verdict(a, b, {all.rbegin(), all.rend()}) == label;
      biased &= !verdict(a, b, all, /* bias */ 10);
      labels += label.has_value();
      ++pairs;
    }
  }
  check(swapped, "turning the responses round turns the label");
  check(negated, "negating every principle turns the label");
  check(reordered, "the order of the principles does not matter");
  check(biased, "a judge that always takes what stands first labels nothing");
  std::printf("%d of %d pairs labelled, %d checks failed\n", labels, pairs, failures);
  return failures == 0 ? 0 : 1;
}
