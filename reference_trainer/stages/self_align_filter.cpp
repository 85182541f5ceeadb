#include "stages/self_align_filter.hpp"

#include <algorithm>
#include <map>

#include "observe/table.hpp"
#include "text/text_units.hpp"

namespace coho::trainer {

namespace {

constexpr std::size_t repetition_words = 4, echo_words = 8, line_characters = 20, least_question_words = 4;

std::size_t characters(std::string_view text) {
  return static_cast<std::size_t>(
      std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0u) != 0x80u; }));
}

std::string_view trimmed(std::string_view line) {
  const auto first = line.find_first_not_of(" \t\r");
  if (first == std::string_view::npos) return {};
  return line.substr(first, line.find_last_not_of(" \t\r") - first + 1);
}

std::string first_words(std::string_view text) {
  // Whole characters only.
  std::size_t end = std::min<std::size_t>(text.size(), 60);
  while (end < text.size() && (static_cast<unsigned char>(text[end]) & 0xC0u) == 0x80u) --end;
  return "\"" + std::string(text.substr(0, end)) + (end < text.size() ? "…\"" : "\"");
}

}  // namespace

self_align_filter_options read_self_align_filters(const config& options, const std::string& opening) {
  const config section = options.section("self_align");
  self_align_filter_options out;
  for (std::size_t i = 0; i < self_align_faults.size(); ++i)
    out.on[i] = section.get<bool>("filters." + std::string(self_align_faults[i]), true);
  out.thoughts_opening = section.get<std::string>("thoughts_opening", opening);
  out.answer_opening = section.get<std::string>("answer_opening", "");
  out.minimum_characters = section.get<std::size_t>("minimum_characters", out.minimum_characters);
  out.maximum_repetition = section.get<double>("maximum_repetition", out.maximum_repetition);
  out.maximum_repeated_line = section.get<std::size_t>("maximum_repeated_line", out.maximum_repeated_line);
  out.maximum_echo = section.get<double>("maximum_echo", out.maximum_echo);
  out.leak_words = section.get<std::size_t>("leak_words", out.leak_words);
  const auto is_share = [](double value) { return value >= 0 && value <= 1; };
  section.check(is_share(out.maximum_repetition), "maximum_repetition", "between 0 and 1");
  section.check(is_share(out.maximum_echo), "maximum_echo", "between 0 and 1");
  section.check(out.maximum_repeated_line > 0, "maximum_repeated_line", "at least 1");
  section.check(out.leak_words > 0, "leak_words", "at least 1");
  return out;
}

self_align_filter::self_align_filter(self_align_filter_options options, const self_align_prompt& prompt)
    : options_(std::move(options)), prompt_(prompt) {
  for (const auto& exemplar : prompt.exemplars()) {
    for (const auto* text : {&exemplar.question, &exemplar.thoughts, &exemplar.answer}) {
      const auto words = text_units(*text);
      for (auto& run : text_runs(words, options_.leak_words)) exemplar_runs_.insert(std::move(run));
    }
  }
}

std::optional<self_align_verdict> self_align_filter::operator()(std::string_view question,
                                                                const self_align_reply& reply, bool finished) const {
  using enum self_align_fault;
  const auto found = [](self_align_fault fault, std::string detail) {
    return self_align_verdict{fault, std::move(detail)};
  };
  // Without the heading that parts the two, all is answer where that is allowed: it has no thoughts to open.
  const bool has_thoughts = reply.answered || options_.checks(answer);
  if (options_.checks(opening) && has_thoughts && !reply.thoughts.starts_with(options_.thoughts_opening))
    return found(opening, "the thoughts begin " + first_words(reply.thoughts));
  if (options_.checks(answer) && !reply.answered) return found(answer, "no heading of an answer");
  if (reply.answer.empty()) return found(answer, "nothing behind the heading of the answer");
  if (options_.checks(opening) && !reply.answer.starts_with(options_.answer_opening))
    return found(opening, "the answer begins " + first_words(reply.answer));
  if (options_.checks(unfinished) && !finished) return found(unfinished, "ended at the length limit");
  if (options_.checks(heading) && prompt_.holds_heading(reply.answer))
    return found(heading, "a heading stands in the answer");
  if (const auto length_of = characters(reply.answer);
      options_.checks(length) && length_of < options_.minimum_characters)
    return found(length, std::to_string(length_of) + " characters");
  const auto words = text_units(reply.answer);
  if (options_.checks(repetition)) {
    if (auto detail = repeats(reply.answer, words)) return found(repetition, std::move(*detail));
  }
  if (options_.checks(echo)) {
    if (auto detail = echoes(question, words)) return found(echo, std::move(*detail));
  }
  if (options_.checks(leak)) {
    if (auto detail = leaks(words)) return found(leak, std::move(*detail));
  }
  return std::nullopt;
}

std::optional<std::string> self_align_filter::repeats(std::string_view answer,
                                                      const std::vector<std::string>& words) const {
  if (const double share = repeated_share(words, repetition_words); share > options_.maximum_repetition)
    return format_number(100 * share, 0) + " % of the runs of " + std::to_string(repetition_words) +
           " words have occurred before";
  std::map<std::string_view, std::size_t> lines;
  for (std::size_t begin = 0; begin <= answer.size();) {
    const std::size_t end = std::min(answer.find('\n', begin), answer.size());
    const auto line = trimmed(answer.substr(begin, end - begin));
    begin = end + 1;
    if (characters(line) < line_characters) continue;
    if (++lines[line] > options_.maximum_repeated_line)
      return "a line stands more than " + std::to_string(options_.maximum_repeated_line) +
             " times: " + first_words(line);
  }
  return std::nullopt;
}

std::optional<std::string> self_align_filter::echoes(std::string_view question,
                                                     const std::vector<std::string>& words) const {
  const auto asked = text_units(question);
  if (asked.size() >= least_question_words && words.size() >= asked.size() &&
      std::equal(asked.begin(), asked.end(), words.begin()))
    return "begins with the question";
  const auto runs = text_runs(asked, echo_words);
  const double share = covered_share(words, echo_words, {runs.begin(), runs.end()});
  if (share > options_.maximum_echo) return format_number(100 * share, 0) + " % of it is the question's";
  return std::nullopt;
}

std::optional<std::string> self_align_filter::leaks(const std::vector<std::string>& words) const {
  for (const auto& run : text_runs(words, options_.leak_words))
    if (exemplar_runs_.contains(run)) return "as in an exemplar: " + first_words(run);
  return std::nullopt;
}

}  // namespace coho::trainer
