#include "tokenizer_json/pre_tokenizer.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

#include <coho/error.hpp>

#include "text/utf8.hpp"
#include "text/white_space.hpp"
#include "tokenizer_json/json_pattern.hpp"
#include "unicode/byte_alphabet.hpp"
#include "unicode/unicode_text.hpp"

namespace coho::trainer {
namespace {

/// What becomes of a match: a word, nothing, a part of the word before or after it, or of the matches next to it.
enum class split_behavior : std::uint8_t { isolated, removed, merged_with_previous, merged_with_next, contiguous };

constexpr std::array<std::pair<std::string_view, split_behavior>, 5> behaviors{
    {{"Isolated", split_behavior::isolated},
     {"Removed", split_behavior::removed},
     {"MergedWithPrevious", split_behavior::merged_with_previous},
     {"MergedWithNext", split_behavior::merged_with_next},
     {"Contiguous", split_behavior::contiguous}}};

// The member "behavior" of a Split or Punctuation.
split_behavior read_behavior(const json_part& part) {
  const std::string name = part.text("behavior");
  for (const auto& [known, behavior] : behaviors)
    if (name == known) return behavior;
  part.refuse_member("behavior", "\"" + name + "\" is not a behaviour of a split",
                     "one of Isolated, Removed, MergedWithPrevious, MergedWithNext, Contiguous");
}

/// Whether a part is added to the word before it, in the order in which parts are read.
bool joins_previous(split_behavior behavior, bool match, bool previous, bool first) {
  if (first) return false;
  return behavior == split_behavior::contiguous ? match == previous : match && !previous;
}

/// Adds the words that the parts of one word make.
void append_words(std::string_view word, const std::vector<pattern_part>& parts, split_behavior behavior,
                  std::vector<std::string_view>& out) {
  const auto append = [&](std::size_t begin, std::size_t end) {
    if (end > begin) out.push_back(word.substr(begin, end - begin));
  };
  if (behavior == split_behavior::isolated || behavior == split_behavior::removed) {
    for (const auto& part : parts)
      if (!part.match || behavior == split_behavior::isolated) append(part.begin, part.end);
    return;
  }
  // Of a part that joins the next, the next one is read first.
  const bool backwards = behavior == split_behavior::merged_with_next;
  const std::size_t before = out.size();
  bool previous = false;
  pattern_part open;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const auto& part = parts[backwards ? parts.size() - 1 - i : i];
    if (joins_previous(behavior, part.match, previous, i == 0)) {
      (backwards ? open.begin : open.end) = backwards ? part.begin : part.end;
    } else {
      append(open.begin, open.end);
      open = part;
    }
    previous = part.match;
  }
  append(open.begin, open.end);
  if (backwards) std::reverse(out.begin() + static_cast<std::ptrdiff_t>(before), out.end());
}

/// Splits each word by parts that `find` writes for it.
template <class Find>
auto make_split(Find find, split_behavior behavior) {
  return [find = std::move(find), behavior](word_list& list) {
    list.next.clear();
    for (const auto word : list.words) {
      list.parts.clear();
      find(word, list.parts);
      const bool first = word.data() == list.words.front().data();
      if (first && behavior == split_behavior::removed && list.parts.front().match) list.at_beginning = false;
      append_words(word, list.parts, behavior, list.next);
    }
    list.words.swap(list.next);
  };
}

/// Each character that satisfies a predicate is a match.
template <class Predicate>
auto match_characters(Predicate is_match) {
  return [is_match](std::string_view word, std::vector<pattern_part>& parts) {
    std::size_t last = 0;
    for (std::size_t at = 0; at < word.size();) {
      const std::size_t end = at + utf8_length(word.substr(at));
      if (is_match(utf8_code_point(word.substr(at)))) {
        if (at > last) parts.push_back({last, at, false});
        parts.push_back({at, end, true});
        last = end;
      }
      at = end;
    }
    if (last < word.size()) parts.push_back({last, word.size(), false});
  };
}

/// Runs of word characters and runs of what is neither word nor space; the space between them is the match.
void match_space(std::string_view word, std::vector<pattern_part>& parts) {
  enum kind : std::uint8_t { nothing, space, letters, symbols } last = nothing;
  for (std::size_t at = 0; at < word.size();) {
    const char32_t c = utf8_code_point(word.substr(at));
    const std::size_t end = at + utf8_length(word.substr(at));
    const kind now = is_word_character(c) ? letters : is_white_space(c) ? space : symbols;
    if (now == last)
      parts.back().end = end;
    else
      parts.push_back({at, end, now == space});
    last = now;
    at = end;
  }
}

// For "invert": what does not match is the match.
void invert_matches(std::vector<pattern_part>& parts) {
  for (auto& part : parts) part.match = !part.match;
}

}  // namespace

word_splitter::word_splitter(const json_part& part) { add_step(part); }

void word_splitter::operator()(word_list& list) const {
  for (const auto& step : steps_) step(list);
}

void word_splitter::add_byte_level(const json_part& part) {
  static const auto gpt2 =
      text_pattern::regex(R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)");
  if (part.boolean("add_prefix_space", true))
    steps_.emplace_back([](word_list& list) {
      for (auto& word : list.words)
        if (!word.starts_with(' ')) word = list.store(' ' + std::string(word));
    });
  if (part.boolean("use_regex", true))
    steps_.emplace_back(
        make_split([](std::string_view word, std::vector<pattern_part>& parts) { gpt2.split(word, parts); },
                   split_behavior::isolated));
  steps_.emplace_back([](word_list& list) {
    std::size_t size = 0;
    for (const auto word : list.words) size += 2 * word.size();
    std::string& letters = list.store({});
    letters.reserve(size);  // so that the words in it stay where they are
    for (auto& word : list.words) {
      const std::size_t begin = letters.size();
      append_byte_alphabet(letters, word);
      word = std::string_view(letters.data() + begin, letters.size() - begin);
    }
  });
}

void word_splitter::add_metaspace(const json_part& part) {
  const std::string space = read_character(part, "replacement");
  std::string scheme = part.text("prepend_scheme", "always");
  if (scheme != "always" && scheme != "first" && scheme != "never")
    part.refuse_member("prepend_scheme", "\"" + scheme + "\" is not a scheme", "one of always, first, never");
  if (!part.boolean("add_prefix_space", true)) {
    if (scheme != "never" && part.has("prepend_scheme"))
      part.refuse_member("add_prefix_space", "is false and prepend_scheme is \"" + scheme + "\"", "make them agree");
    scheme = "never";
  }
  const auto blank = text_pattern::literal(" ");
  steps_.emplace_back([=](word_list& list) {
    for (std::size_t i = 0; i < list.words.size(); ++i) {
      std::string word = blank.replace_all(list.words[i], space);
      const bool prepend = scheme == "always" || (scheme == "first" && i == 0 && list.at_beginning);
      if (prepend && !word.starts_with(space)) word.insert(0, space);
      list.words[i] = list.store(std::move(word));
    }
  });
  if (!part.boolean("split", true)) return;
  steps_.emplace_back(
      make_split([pattern = text_pattern::literal(space)](
                     std::string_view word, std::vector<pattern_part>& parts) { pattern.split(word, parts); },
                 split_behavior::merged_with_next));
}

void word_splitter::add_step(const json_part& part) {
  const std::string type = part.text("type");
  if (type == "Sequence") {
    for (const auto& each : part.items("pretokenizers")) add_step(each);
  } else if (type == "ByteLevel") {
    add_byte_level(part);
  } else if (type == "Metaspace") {
    add_metaspace(part);
  } else if (type == "Split") {
    const bool inverted = part.boolean("invert", false);
    steps_.emplace_back(make_split(
        [pattern = read_pattern(part), inverted](std::string_view word, std::vector<pattern_part>& parts) {
          pattern.split(word, parts);
          if (inverted) invert_matches(parts);
        },
        read_behavior(part)));
  } else if (type == "Digits") {
    const bool each = part.boolean("individual_digits", false);
    steps_.emplace_back(
        make_split(match_characters(is_numeric), each ? split_behavior::isolated : split_behavior::contiguous));
  } else if (type == "Punctuation") {
    const auto behavior = part.has("behavior") ? read_behavior(part) : split_behavior::isolated;
    steps_.emplace_back(make_split(match_characters(is_punctuation), behavior));
  } else if (type == "WhitespaceSplit") {
    steps_.emplace_back(make_split(match_characters(is_white_space), split_behavior::removed));
  } else if (type == "Whitespace") {
    steps_.emplace_back(make_split(match_space, split_behavior::removed));
  } else {
    part.refuse_member(
        "type", "\"" + type + "\" is not a supported pre-tokenizer",
        "supported are Split, ByteLevel, Digits, Metaspace, Punctuation, Whitespace, WhitespaceSplit, Sequence");
  }
}

}  // namespace coho::trainer
