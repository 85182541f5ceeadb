#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <coho/detail/if_called.hpp>
#include <coho/error.hpp>
#include <coho/principle/principle.hpp>
#include <coho/principle/single_line.hpp>
#include <coho/prompt/template.hpp>

namespace coho::inline v0_1 {

/// A conversation that shows how rules are applied: the question, the assistant's thoughts, and its answer.
struct self_align_exemplar {
  std::string question{};
  std::string thoughts{};
  std::string answer{};
  friend bool operator==(const self_align_exemplar&, const self_align_exemplar&) = default;
};

/// What a model wrote after a self-align prompt, split into its parts.
struct self_align_reply {
  std::string thoughts{};  ///< without surrounding white space, like the answer
  std::string answer{};
  bool answered = false;  ///< the heading of an answer follows the thoughts
  friend bool operator==(const self_align_reply&, const self_align_reply&) = default;
};

/// The prompt under which a base model answers by written rules (Self-Align; SALMON §4.1.1 and App. G): the rules, a
/// few exemplars with the thoughts that chose among the rules, and the question, after which the model writes its own
/// thoughts and then its answer.
///
/// A template of the kind `self_align` contains {Rules}, {Exemplars}, {Input}, {Thoughts} and {Answer} in this order.
/// The text after {Exemplars} is the format of one conversation; the exemplars are written in the same format, so that
/// they cannot differ from the question in form:
///
///     Rules:
///     {Rules}
///     {Exemplars}
///     ### User
///     {Input}
///     ### Assistant (thoughts)
///     {Thoughts}
///     ### Assistant
///     {Answer}
///
/// A prompt ends at {Thoughts}. The words before {Answer} separate thoughts from answer, those before {Input} end an
/// answer. Rules are written one per line as "1 (ethical): definition".
///
/// Construction throws `argument_error` for a template of another kind, no rules or no exemplars, and `file_error` for
/// placeholders in another order and for headings without words.
///
///     coho::self_align_prompt prompt(text, rules, exemplars);
///     auto written = model.continue_text(prompt("Why is the sky blue?"), prompt.stop());
///     auto [thoughts, answer, answered] = prompt.parse(written);
class self_align_prompt {
 public:
  template <principle_range Rules>
  self_align_prompt(const prompt_template& text, const Rules& rules, std::vector<self_align_exemplar> exemplars)
      : exemplars_(std::move(exemplars)) {
    require_argument(text.kind() == template_kind::self_align, text.source_name() + ": not a self_align template");
    require_argument(!exemplars_.empty(), "self_align_prompt: there are no exemplars");
    constexpr std::array<std::string_view, 5> order{"Rules", "Exemplars", "Input", "Thoughts", "Answer"};
    const auto found = text.placeholders();
    for (std::size_t i = 0; i < order.size(); ++i) {
      if (found[i] != order[i])
        throw file_error(text.source_name(), "placeholder {" + std::string(found[i]) + "}",
                         "stands where {" + std::string(order[i]) + "} belongs",
                         "keep the order {Rules}, {Exemplars}, {Input}, {Thoughts}, {Answer}");
    }
    question_heading_ = parse_heading(text, "Input");
    thoughts_heading_ = parse_heading(text, "Thoughts");
    answer_heading_ = parse_heading(text, "Answer");

    prefix_.append(text.shared_prefix());
    std::size_t number = 0;
    for (const principle& rule : rules) {
      prefix_.append(number == 0 ? "" : "\n").append(std::to_string(number + 1)).append(" (");
      prefix_.append(single_line(rule.name)).append("): ").append(single_line(rule.definition));
      ++number;
    }
    require_argument(number > 0, "self_align_prompt: there are no rules");
    prefix_.append(text.text_before("Exemplars"));
    std::string conversations;
    for (const auto& [question, thoughts, answer] : exemplars_) {
      conversations.append(question_heading_.literal)
          .append(question)
          .append(thoughts_heading_.literal)
          .append(thoughts);
      conversations.append(answer_heading_.literal).append(answer).append(text.tail());
    }
    prefix_.append(trimmed_front(conversations)).append(question_heading_.literal);
  }

  /// All text before the question: the shared prefix of all prompts.
  const std::string& prefix() const noexcept { return prefix_; }
  /// The prompt of a question, up to where the model's thoughts begin. Trailing spaces are left to the model.
  template <class = detail::if_called>
  std::string operator()(std::string_view question) const {
    std::string out = prefix_;
    out.append(question).append(thoughts_heading_.literal);
    while (out.ends_with(' ') || out.ends_with('\t')) out.pop_back();
    return out;
  }
  /// The words before each question, which also end an answer.
  const std::string& stop() const noexcept { return question_heading_.words; }

  /// Splits what was written after a prompt, up to a stop string, at the heading of the answer; without one all of it
  /// is thoughts.
  template <class = detail::if_called>
  self_align_reply parse(std::string_view written) const {
    const std::size_t at = answer_heading_.find(written);
    if (at == std::string_view::npos)
      return {.thoughts = std::string(trimmed(written)), .answer = {}, .answered = false};
    return {.thoughts = std::string(trimmed(written.substr(0, at))),
            .answer = std::string(trimmed(written.substr(at + answer_heading_.words.size()))),
            .answered = true};
  }
  /// Whether a text contains a heading of a conversation: the model then went on to another turn.
  template <class = detail::if_called>
  bool contains_heading(std::string_view text) const {
    return question_heading_.find(text) != std::string_view::npos ||
           thoughts_heading_.find(text) != std::string_view::npos ||
           answer_heading_.find(text) != std::string_view::npos;
  }
  /// The sentences, or otherwise the words, with which the thoughts of all exemplars begin; empty when they begin
  /// differently or there is only one exemplar.
  template <class = detail::if_called>
  std::string thoughts_opening() const {
    if (exemplars_.size() < 2) return {};
    std::string_view common = exemplars_.front().thoughts;
    for (const auto& exemplar : exemplars_) {
      std::size_t same = 0;
      while (same < std::min(common.size(), exemplar.thoughts.size()) && common[same] == exemplar.thoughts[same])
        ++same;
      common = common.substr(0, same);
    }
    std::size_t end = common.find_last_of(".!?");
    if (end == std::string_view::npos) end = common.find_last_of(' ');
    return end == std::string_view::npos ? std::string() : std::string(trimmed(common.substr(0, end + 1)));
  }

  const std::vector<self_align_exemplar>& exemplars() const noexcept { return exemplars_; }

 private:
  /// The literal text before a placeholder.
  struct heading_text {
    std::string literal, words;
    bool begins_line = false, ends_line = false;  ///< the words have a line break before them, after them

    // The position of the words in a text, on lines of their own where the template has them so; npos if nowhere.
    template <class = detail::if_called>
    std::size_t find(std::string_view text) const {
      if (words.empty()) return std::string_view::npos;
      for (std::size_t at = text.find(words); at != std::string_view::npos; at = text.find(words, at + 1)) {
        const auto gap = text.substr(0, at).find_last_not_of(" \t");
        const auto next = text.find_first_not_of(" \t\r", at + words.size());
        const bool front = gap == std::string_view::npos || text[gap] == '\n';
        const bool behind = next == std::string_view::npos || text[next] == '\n';
        if ((front || !begins_line) && (behind || !ends_line)) return at;
      }
      return std::string_view::npos;
    }
  };

  // The literal text before the placeholder `name`, with the line breaks around its words. Throws `file_error` if it
  // has no words to find again, except before {Thoughts}, where a prompt ends.
  template <class = detail::if_called>
  static heading_text parse_heading(const prompt_template& text, std::string_view name) {
    const std::string_view literal = text.text_before(name), words = trimmed(literal);
    if (words.empty() && name != "Thoughts")
      throw file_error(text.source_name(), "placeholder {" + std::string(name) + "}", "has no words before it",
                       name == "Input" ? "write the words that begin a question, such as \"### User\""
                                       : "write the words that begin an answer, such as \"### Assistant\"");
    const auto begin = words.empty() ? literal.size() : static_cast<std::size_t>(words.data() - literal.data());
    return {.literal = std::string(literal),
            .words = std::string(words),
            .begins_line = literal.substr(0, begin).find('\n') != std::string_view::npos,
            .ends_line = literal.find('\n', begin + words.size()) != std::string_view::npos};
  }

  // Without white space (ASCII) at the front; `trimmed`: at both ends.
  static std::string_view trimmed_front(std::string_view text) noexcept {
    const auto first = text.find_first_not_of(" \t\r\n");
    return first == std::string_view::npos ? std::string_view{} : text.substr(first);
  }
  static std::string_view trimmed(std::string_view text) noexcept {
    text = trimmed_front(text);
    return text.substr(0, text.find_last_not_of(" \t\r\n") + 1);
  }

  std::vector<self_align_exemplar> exemplars_;
  std::string prefix_;
  heading_text question_heading_, thoughts_heading_, answer_heading_;
};

}  // namespace coho::inline v0_1
