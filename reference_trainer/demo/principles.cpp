#include "demo/principles.hpp"

#include <algorithm>

#include <coho/error.hpp>

namespace coho::trainer::demo {
namespace {

struct quality_vocabulary {
  std::string_view name;
  std::array<std::string_view, 3> nouns;  // the last is held out
};

constexpr std::array<quality_vocabulary, 6> words{{
    {"informative", {"facts", "details", "data"}},
    {"concise", {"brevity", "shortness", "economy"}},
    {"honest", {"doubt", "caution", "hedges"}},
    {"example", {"examples", "cases", "samples"}},
    {"engaging", {"charm", "spark", "appeal"}},
    {"modest", {"modesty", "meekness", "restraint"}},
}};

constexpr std::array<std::string_view, 4> positive_forms{"give ", "show ", "it has ", "we want "};
constexpr std::array<std::string_view, 4> negative_forms{"avoid ", "never show ", "it has no ", "we go without "};

const quality_vocabulary& find_vocabulary(quality q) { return words[static_cast<std::size_t>(q)]; }

// A form with the noun in its place.
std::string make_wording(std::string_view form, std::string_view noun) {
  return std::string(form) + std::string(noun) + ".";
}

// A quality in every form, with each of its nouns in a range.
std::vector<std::string> all_wordings(quality q, bool negated, std::size_t first_noun, std::size_t last_noun) {
  std::vector<std::string> out;
  for (const std::string_view form : negated ? negative_forms : positive_forms) {
    for (std::size_t noun = first_noun; noun < last_noun; ++noun)
      out.push_back(make_wording(form, find_vocabulary(q).nouns[noun]));
  }
  return out;
}

}  // namespace

std::string_view quality_name(quality q) { return find_vocabulary(q).name; }

std::vector<std::string> training_wordings(quality q, bool negated) { return all_wordings(q, negated, 0, 2); }

std::vector<std::string> held_out_wordings(quality q, bool negated) { return all_wordings(q, negated, 2, 3); }

std::vector<principle> principles_in_wording(std::size_t wording) {
  require_argument(wording < 8,
                   "there are 8 wordings of each principle, number " + std::to_string(wording) + " is not one");
  std::vector<principle> out;
  for (const quality q : qualities) {
    out.push_back({.name = std::string(quality_name(q)),
                   .definition = training_wordings(q, false)[wording],
                   .negative_definition = training_wordings(q, true)[wording]});
  }
  return out;
}

double true_score(quality q, const attributes& reply) {
  switch (q) {
    case quality::informative:
      return 4.0 * static_cast<double>(reply.facts);
    case quality::concise:
      return -0.8 * static_cast<double>(reply.words);
    case quality::honest:
      return reply.hedge ? 6.0 : 0.0;
    case quality::example:
      return reply.example ? 6.0 : 0.0;
    case quality::engaging:
      return 1.5 * (4.0 * reply.self_praise + 0.6 * reply.question);
    case quality::modest:
      return reply.self_praise ? -8.0 : 0.0;
  }
  return 0;
}

int true_level(quality q, const attributes& reply) {
  switch (q) {
    case quality::informative:
      return static_cast<int>(std::min<std::size_t>(reply.facts, 4));
    case quality::concise: {
      constexpr std::array<std::size_t, 4> most_words{6, 10, 15, 21};
      const auto bucket = std::ranges::lower_bound(most_words, reply.words) - most_words.begin();
      return 4 - static_cast<int>(bucket);
    }
    case quality::honest:
      return reply.hedge ? 4 : 0;
    case quality::example:
      return reply.example ? 4 : 0;
    case quality::engaging:
      return 3 * reply.self_praise + reply.question;
    case quality::modest:
      return reply.self_praise ? 0 : 4;
  }
  return 0;
}

std::string_view level_word(int level) {
  constexpr std::array<std::string_view, 5> level_words{"bad", "poor", "fair", "good", "best"};
  return level_words[static_cast<std::size_t>(std::clamp(level, 0, 4))];
}

}  // namespace coho::trainer::demo
