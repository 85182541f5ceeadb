#include "datasets/self_align_filter.hpp"

#include <algorithm>
#include <map>
#include <unordered_set>

#include "observe/format.hpp"
#include "text/text_units.hpp"
#include "text/utf8.hpp"
#include "text/white_space.hpp"

namespace coho::trainer {

namespace {

// Words of a run that counts as repeated or as copied from the question; characters of a line, and words of a question,
// below which being equal is chance.
constexpr std::size_t repetition_words = 4, echo_words = 8, line_characters = 20, least_question_words = 4;

// Without the white space at the end.
std::string_view trim_end(std::string_view text) { return text.substr(0, text.find_last_not_of(" \t\r\n") + 1); }

// If words have spaces between them, everything before the last space; otherwise without the last word character.
std::string_view drop_last_word(std::string_view text) {
  const auto places = text_unit_offsets(text);
  const auto space = text.find_last_of(" \t\r\n");
  const std::size_t last_begin = space == std::string_view::npos ? 0 : space + 1;
  const auto in_last =
      static_cast<std::size_t>(std::ranges::count_if(places, [&](std::size_t place) { return place >= last_begin; }));
  // "well-kn" is two words in text_units and one to a reader: only scripts without spaces have so many.
  const bool has_spaces = in_last <= 8 && last_begin > 0;
  return trim_end(text.substr(0, has_spaces ? last_begin : places.empty() ? 0 : places.back()));
}

// The word where the repetition begins that takes the runs of `length` words above `most` repeated ones.
std::size_t first_repeated_word(const std::vector<std::string>& words, std::size_t length, double most) {
  std::unordered_set<std::string> seen;
  std::size_t runs = 0, streak = 0;  // streak: where the repeated runs up to here begin
  bool repeats = false;
  std::size_t begin = 0;
  bool above = false;
  for (const auto& run : text_ngrams(words, length)) {
    const bool again = !seen.insert(run).second;
    if (again && !repeats) streak = runs;
    repeats = again;
    ++runs;
    // Counts like repeated_ngram_fraction, to the last digit.
    const bool now_above = 1 - static_cast<double>(seen.size()) / static_cast<double>(runs) > most;
    if (now_above && !above) begin = streak;
    above = now_above;
  }
  return begin;
}

// The first 60 bytes in quotation marks, for messages.
std::string quote_beginning(std::string_view text) {
  // Whole characters only.
  std::size_t end = std::min<std::size_t>(text.size(), 60);
  while (end < text.size() && (static_cast<unsigned char>(text[end]) & 0xC0u) == 0x80u) --end;
  return "\"" + std::string(text.substr(0, end)) + (end < text.size() ? "…\"" : "\"");
}

}  // namespace

void self_align_filter_options::resolve(const config& section) {
  section.check(!section.has("filters.unfinished"), "filters.unfinished",
                "unset: self_align.unfinished = \"keep\", \"trim\" or \"drop\" decides about such answers");
  on[static_cast<std::size_t>(self_align_fault::unfinished)] = unfinished == unfinished_answer::drop;
}

self_align_filter::self_align_filter(self_align_filter_options options, const self_align_prompt& prompt)
    : options_(std::move(options)), prompt_(prompt) {
  for (const auto& exemplar : prompt.exemplars()) {
    for (const auto* text : {&exemplar.question, &exemplar.thoughts, &exemplar.answer}) {
      const auto words = text_units(*text);
      for (auto& run : text_ngrams(words, options_.leak_words)) exemplar_runs_.insert(std::move(run));
    }
  }
}

self_align_outcome self_align_filter::operator()(std::string_view question, const self_align_reply& reply,
                                                 bool finished) const {
  using enum self_align_fault;
  const auto reject = [](self_align_fault fault, std::string detail) {
    return self_align_outcome{.removed = self_align_verdict{fault, std::move(detail)}};
  };
  // Without the heading between the two, everything is the answer if that is allowed: then there are no thoughts to
  // check.
  const bool has_thoughts = reply.answered || options_.checks(answer);
  if (options_.checks(opening) && has_thoughts && !reply.thoughts.starts_with(options_.thoughts_opening))
    return reject(opening, "the thoughts begin " + quote_beginning(reply.thoughts));
  if (options_.checks(answer) && !reply.answered) return reject(answer, "no heading of an answer");
  if (reply.answer.empty()) return reject(answer, "nothing after the heading of the answer");
  if (options_.checks(opening) && !reply.answer.starts_with(options_.answer_opening))
    return reject(opening, "the answer begins " + quote_beginning(reply.answer));
  self_align_outcome out{.removed = std::nullopt, .answer = reply.answer, .finished = finished};
  if (!finished && options_.unfinished == unfinished_answer::drop)
    return reject(unfinished, "ended at the length limit");
  if (!finished && options_.unfinished == unfinished_answer::trim) out.answer = drop_last_word(reply.answer);
  if (out.answer.empty()) return reject(unfinished, "ended at the length limit, in its first word");
  if (options_.checks(heading) && prompt_.contains_heading(out.answer))
    return reject(heading, "the answer contains a heading");
  if (const auto characters = count_utf8_characters(out.answer);
      finished && options_.checks(length) && characters < options_.minimum_characters)
    return reject(length, std::to_string(characters) + " characters");
  auto words = text_units(out.answer);
  while (options_.checks(repetition)) {
    const auto again = find_repetition(out.answer, words);
    if (!again) break;
    out.answer = std::string(trim_end(std::string_view(out.answer).substr(0, again->begin)));
    if (options_.repeated == repeated_answer::remove || out.answer.empty()) return reject(repetition, again->detail);
    out.truncated = true;
    out.finished = false;
    words = text_units(out.answer);
  }
  if (options_.checks(echo)) {
    if (auto detail = find_echo(question, words)) return reject(echo, std::move(*detail));
  }
  if (options_.checks(leak)) {
    if (auto detail = find_leak(words)) return reject(leak, std::move(*detail));
  }
  return out;
}

std::optional<self_align_filter::repeated_text> self_align_filter::find_repetition(
    std::string_view answer, const std::vector<std::string>& words) const {
  if (const double share = repeated_ngram_fraction(words, repetition_words); share > options_.maximum_repetition)
    return repeated_text{
        format_number(100 * share, 0) + " % of the runs of " + std::to_string(repetition_words) +
            " words occurred before",
        text_unit_offsets(answer)[first_repeated_word(words, repetition_words, options_.maximum_repetition)]};
  std::map<std::string_view, std::size_t> lines;
  for (std::size_t begin = 0; begin <= answer.size();) {
    const std::size_t end = std::min(answer.find('\n', begin), answer.size()), here = begin;
    const auto line = trim_characters(answer.substr(begin, end - begin), " \t\r");
    begin = end + 1;
    if (count_utf8_characters(line) < line_characters) continue;
    if (++lines[line] > options_.maximum_repeated_line)
      return repeated_text{"a line occurs more than " + std::to_string(options_.maximum_repeated_line) +
                               " times: " + quote_beginning(line),
                           here};
  }
  return std::nullopt;
}

std::optional<std::string> self_align_filter::find_echo(std::string_view question,
                                                        const std::vector<std::string>& words) const {
  const auto asked = text_units(question);
  if (asked.size() >= least_question_words && words.size() >= asked.size() &&
      std::equal(asked.begin(), asked.end(), words.begin()))
    return "begins with the question";
  const auto runs = text_ngrams(asked, echo_words);
  const double share = ngram_coverage(words, echo_words, {runs.begin(), runs.end()});
  if (share > options_.maximum_echo) return format_number(100 * share, 0) + " % of it is the question's";
  return std::nullopt;
}

std::optional<std::string> self_align_filter::find_leak(const std::vector<std::string>& words) const {
  for (const auto& run : text_ngrams(words, options_.leak_words))
    if (exemplar_runs_.contains(run)) return "as in an exemplar: " + quote_beginning(run);
  return std::nullopt;
}

}  // namespace coho::trainer
