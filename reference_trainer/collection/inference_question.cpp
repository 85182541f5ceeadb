#include "collection/inference_question.hpp"

#include <algorithm>
#include <array>
#include <string>

namespace coho::trainer {
namespace {

// ASCII letters in lower case, white space as one space, typographic apostrophes as plain ones.
std::string normalize_wording(std::string_view text) {
  constexpr std::string_view apostrophe = "\xE2\x80\x99";
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
      if (!out.ends_with(' ')) out += ' ';
    } else if (text.substr(i).starts_with(apostrophe)) {
      out += '\'';
      i += apostrophe.size() - 1;
    } else {
      out += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    }
  }
  return out;
}

// Each of these is sufficient.
constexpr std::array<std::string_view, 21> tell_tales{
    "it's not possible to tell",
    "it is not possible to tell",
    "it's impossible to say",
    "it is impossible to say",
    "yes, no, or maybe",
    "yes, no or maybe",
    "true, false, or inconclusive",
    "true, false or inconclusive",
    "true, false, or neither",
    "true, false or neither",
    "always, sometimes, or never",
    "always, sometimes or never",
    "always, never, or sometimes",
    "guaranteed true, possible, or impossible",
    "guaranteed, possible, or impossible",
    "can we infer",
    "draw the following conclusion",
    "does it follow that",
    "textual entailment",
    "the hypothesis is true",
    "if the sentence is true",
};
// Both together are sufficient.
struct tell_tale_pair {
  std::string_view first, second;
};
constexpr std::array<tell_tale_pair, 7> tell_tale_pairs{{{"premise", "hypothesis"},
                                                         {"entail", "contradict"},
                                                         {"entail", "hypothesis"},
                                                         {"entail", "premise"},
                                                         {"sentence 1:", "entail"},
                                                         {"does this next sentence follow", "preceding"},
                                                         {"based on the paragraph above can we conclude", "options:"}}};

}  // namespace

bool is_inference_question(std::string_view text) {
  const std::string wording = normalize_wording(text);
  const auto holds = [&](std::string_view words) { return wording.find(words) != std::string::npos; };
  return std::ranges::any_of(tell_tales, holds) || std::ranges::any_of(tell_tale_pairs, [&](const auto& pair) {
           return holds(pair.first) && holds(pair.second);
         });
}

}  // namespace coho::trainer
