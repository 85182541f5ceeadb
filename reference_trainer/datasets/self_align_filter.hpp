#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include <coho/options.hpp>
#include <coho/prompt/self_align_prompt.hpp>

#include "config/config.hpp"
#include "config/recipe_option.hpp"

namespace coho::trainer {

/// Why a self-aligned answer is rejected, in the order of the checks: a record counts under the first one that fails.
enum class self_align_fault : std::uint8_t { opening, answer, unfinished, heading, length, repetition, echo, leak };
inline constexpr std::array<std::string_view, 8> self_align_faults{"opening", "answer",     "unfinished", "heading",
                                                                   "length",  "repetition", "echo",       "leak"};
/// The name of a fault in recipes and counts.
constexpr std::string_view fault_name(self_align_fault fault) {
  return self_align_faults[static_cast<std::size_t>(fault)];
}

/// The treatment of an answer that the length limit cut.
enum class unfinished_answer : std::uint8_t {
  keep,  ///< kept unchanged
  trim,  ///< kept without its last word, which may be half of one (the released code)
  drop,  ///< removed as `unfinished`
};
constexpr auto option_names(unfinished_answer) { return std::array{"keep", "trim", "drop"}; }
/// The treatment of an answer that repeats itself.
enum class repeated_answer : std::uint8_t {
  truncate,  ///< kept up to where the repetition begins (the released code)
  remove,    ///< removed as `repetition`
};
constexpr auto option_names(repeated_answer) { return std::array{"truncate", "remove"}; }

/// Words are those of text_units; characters are Unicode's.
struct self_align_filter_options {
  /// One per fault; false disables it. `unfinished` has a separate option below.
  std::array<bool, self_align_faults.size()> on{true, true, true, true, true, true, true, true};
  unfinished_answer unfinished = unfinished_answer::drop;
  repeated_answer repeated = repeated_answer::remove;
  std::string thoughts_opening{};         ///< how the thoughts must begin; empty: unrestricted
  std::string answer_opening{};           ///< how the answer must begin
  std::size_t minimum_characters = 160;   ///< of an answer that ended by itself
  double maximum_repetition = 0.3;        ///< fraction of the answer's runs of 4 words that occurred in it before
  std::size_t maximum_repeated_line = 2;  ///< how often a line of at least 20 characters may occur in an answer
  double maximum_echo = 0.5;              ///< fraction of the answer inside runs of 8 words of the question
  std::size_t leak_words = 12;            ///< a run of this many words of an exemplar is a leak

  static void describe(auto&& visit, auto&... o) {
    visit({"filters.opening", "whether thoughts and answer must begin as thoughts_opening and answer_opening say"},
          o.on[0]...);
    visit({"filters.answer", "whether an answer must follow the thoughts"}, o.on[1]...);
    visit({"filters.heading", "whether an answer with a heading of the prompt's conversations is removed"}, o.on[3]...);
    visit({"filters.length", "whether minimum_characters is checked"}, o.on[4]...);
    visit({"filters.repetition", "whether maximum_repetition and maximum_repeated_line are checked"}, o.on[5]...);
    visit({"filters.echo", "whether maximum_echo is checked"}, o.on[6]...);
    visit({"filters.leak", "whether leak_words is checked"}, o.on[7]...);
    visit({"unfinished", "treatment of an answer that the length limit cut"}, o.unfinished...);
    visit({"repetition", "treatment of an answer that repeats itself"}, o.repeated...);
    visit(otherwise("that of the exemplars", {"thoughts_opening", "how the thoughts must begin; empty: unrestricted"}),
          o.thoughts_opening...);
    visit({"answer_opening", "how the answer must begin; empty: unrestricted"}, o.answer_opening...);
    visit({"minimum_characters", "shortest answer that ended by itself", {}, "characters"}, o.minimum_characters...);
    visit({"maximum_repetition", "largest fraction of the answer's runs of 4 words that occurred in it before",
           allowed::in(0, 1)},
          o.maximum_repetition...);
    visit({"maximum_repeated_line", "how often a line of at least 20 characters may occur in an answer",
           allowed::at_least(1)},
          o.maximum_repeated_line...);
    visit({"maximum_echo", "largest fraction of the answer inside runs of 8 words of the question", allowed::in(0, 1)},
          o.maximum_echo...);
    visit(
        {"leak_words", "length of a run of words of an exemplar that counts as a leak", allowed::at_least(1), "words"},
        o.leak_words...);
  }

  /// Sets the switch of `unfinished`; config_error where a recipe has one.
  void resolve(const config& section);

  /// Whether the filter for this fault is enabled.
  bool checks(self_align_fault fault) const { return on[static_cast<std::size_t>(fault)]; }
};

/// A fault and its details, for display.
struct self_align_verdict {
  self_align_fault fault;
  std::string detail;
};

/// An accepted answer, as it will be trained on, or why it was rejected.
struct self_align_outcome {
  std::optional<self_align_verdict> removed{};
  std::string answer{};
  bool finished = true;    ///< it ended by itself, so an end token after it is right
  bool truncated = false;  ///< cut where it began to repeat itself, and so not finished either
};

/// Which answers of a base model are fit for training (Self-Align; the conditions of SALMON's released code).
///
///  - opening: the thoughts do not begin with `thoughts_opening`, or the answer not with `answer_opening`;
///  - answer: no answer follows the thoughts, or an empty one (an empty one is always rejected, even without the
///    filter);
///  - unfinished: the text ended at the length limit instead of a stop string or end token, and `unfinished` says drop,
///    or nothing is left without its last word;
///  - heading: the answer contains a heading of the prompt's conversations;
///  - length: fewer characters than `minimum_characters` in an answer that ended by itself;
///  - repetition: more than `maximum_repetition`, or a line that occurs more often than `maximum_repeated_line`, and
///    `repeated` says remove, or nothing precedes it;
///  - echo: the answer begins with the whole question (of at least 4 words), or more than `maximum_echo` of it comes
///    from the question;
///  - leak: a run of `leak_words` words also occurs in an exemplar's question, thoughts or answer.
class self_align_filter {
 public:
  /// `prompt`: its headings and exemplars are what an answer must not contain.
  self_align_filter(self_align_filter_options options, const self_align_prompt& prompt);

  /// Checks a reply in the order of the faults; `finished`: it ended by itself. The answer may come back shorter, by
  /// `unfinished` and `repeated`.
  self_align_outcome operator()(std::string_view question, const self_align_reply& reply, bool finished) const;

  const self_align_filter_options& options() const { return options_; }

 private:
  struct repeated_text {
    std::string detail;
    std::size_t begin;  ///< the byte offset at which it begins
  };
  // Each of these returns nothing if its check passes.
  std::optional<repeated_text> find_repetition(std::string_view answer, const std::vector<std::string>& words) const;
  std::optional<std::string> find_echo(std::string_view question, const std::vector<std::string>& words) const;
  std::optional<std::string> find_leak(const std::vector<std::string>& words) const;

  self_align_filter_options options_;
  self_align_prompt prompt_;
  std::unordered_set<std::string> exemplar_runs_;
};

}  // namespace coho::trainer
