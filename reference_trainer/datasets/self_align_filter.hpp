#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include <coho/prompt/self_align_prompt.hpp>

#include "config/config.hpp"

namespace coho::trainer {

/// Why a self-aligned answer is not taken, in the order in which the reasons are looked at: a record counts under the
/// first that holds.
enum class self_align_fault : std::uint8_t { opening, answer, unfinished, heading, length, repetition, echo, leak };
inline constexpr std::array<std::string_view, 8> self_align_faults{"opening", "answer",     "unfinished", "heading",
                                                                   "length",  "repetition", "echo",       "leak"};
constexpr std::string_view fault_name(self_align_fault fault) {
  return self_align_faults[static_cast<std::size_t>(fault)];
}

/// What becomes of an answer that the length limit cut.
enum class unfinished_answer : std::uint8_t {
  keep,  ///< taken as it stands
  trim,  ///< taken without its last word, which may be half of one (the released code)
  drop,  ///< removed as `unfinished`
};
/// What becomes of an answer that repeats itself.
enum class repeated_answer : std::uint8_t {
  truncate,  ///< taken up to where it begins to (the released code)
  remove,    ///< removed as `repetition`
};

/// Words are those of text_units; characters are Unicode's.
struct self_align_filter_options {
  /// One per fault; false switches it off. `unfinished` has its own option below.
  std::array<bool, self_align_faults.size()> on{true, true, true, true, true, true, true, true};
  unfinished_answer unfinished = unfinished_answer::drop;
  repeated_answer repeated = repeated_answer::remove;
  std::string thoughts_opening{};         ///< how the thoughts must begin; empty: in any way
  std::string answer_opening{};           ///< how the answer must begin
  std::size_t minimum_characters = 160;   ///< of an answer that ended by itself
  double maximum_repetition = 0.3;        ///< share of the answer's runs of 4 words that have occurred in it before
  std::size_t maximum_repeated_line = 2;  ///< times that a line of at least 20 characters may stand in an answer
  double maximum_echo = 0.5;              ///< share of the answer that lies in runs of 8 words of the question
  std::size_t leak_words = 12;            ///< a run of so many words of an exemplar is a leak

  bool checks(self_align_fault fault) const { return on[static_cast<std::size_t>(fault)]; }
};

/// `self_align.filters.NAME` (true or false), `self_align.unfinished` ("keep", "trim", "drop"), `self_align.repetition`
/// ("truncate", "remove") and the limits. `opening`: the default of self_align.thoughts_opening. Throws config_error.
self_align_filter_options read_self_align_filters(const config& options, const std::string& opening);

/// A fault with what was found, for people.
struct self_align_verdict {
  self_align_fault fault;
  std::string detail;
};

/// An answer that is taken, as it is to be learned, or why it is not.
struct self_align_outcome {
  std::optional<self_align_verdict> removed{};
  std::string answer{};
  bool finished = true;    ///< it ended by itself: an end token behind it is true
  bool truncated = false;  ///< cut where it began to repeat itself, and so not finished either
};

/// Which answers of a base model are fit to learn from (Self-Align; the conditions of SALMON's released code).
///
/// - opening: the thoughts do not begin with `thoughts_opening`, or the answer not with `answer_opening`;
/// - answer: no answer stands behind the thoughts, or an empty one (an empty one is never taken, the filter off or on);
/// - unfinished: the text ended at the length limit instead of a stop string or end token, and `unfinished` says drop,
///   or nothing is left of it without its last word;
/// - heading: the answer holds a heading of the prompt's conversations;
/// - length: fewer characters than `minimum_characters` in an answer that ended by itself;
/// - repetition: more than `maximum_repetition`, or a line that stands more often than `maximum_repeated_line`, and
///   `repeated` says remove, or nothing stands in front of it;
/// - echo: the answer begins with the whole question (of at least 4 words), or more than `maximum_echo` of it is the
///   question's;
/// - leak: a run of `leak_words` words stands in an exemplar's question, thoughts or answer too.
class self_align_filter {
 public:
  self_align_filter(self_align_filter_options options, const self_align_prompt& prompt);

  self_align_outcome operator()(std::string_view question, const self_align_reply& reply, bool finished) const;

  const self_align_filter_options& options() const { return options_; }

 private:
  struct repeated_text {
    std::string detail;
    std::size_t begin;  ///< the byte at which it begins
  };
  std::optional<repeated_text> repeats(std::string_view answer, const std::vector<std::string>& words) const;
  std::optional<std::string> echoes(std::string_view question, const std::vector<std::string>& words) const;
  std::optional<std::string> leaks(const std::vector<std::string>& words) const;

  self_align_filter_options options_;
  self_align_prompt prompt_;
  std::unordered_set<std::string> exemplar_runs_;
};

}  // namespace coho::trainer
