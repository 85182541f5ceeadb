#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <coho/rng.hpp>

#include "demo/vocabulary.hpp"

namespace coho::trainer::demo {

/// The function of a sentence in a reply.
enum class sentence_kind : std::uint8_t { hedge, fact, example, question, self_praise };

/// One sentence. `object` is read for facts and examples only; `variant` is the fact (0–3) or one of two wordings.
struct sentence {
  sentence_kind kind{};
  std::uint8_t object = 0;
  std::uint8_t variant = 0;
  friend bool operator==(const sentence&, const sentence&) = default;
};

/// A reply before it is rendered as text.
struct reply {
  language in = language::a;
  std::vector<sentence> sentences;
  friend bool operator==(const reply&, const reply&) = default;
};

/// A question about an object: one of four forms in one of two languages, 128 in all.
struct prompt {
  std::uint8_t object = 0;
  std::uint8_t form = 0;
  language in = language::a;
  friend bool operator==(const prompt&, const prompt&) = default;
};

/// How often each part of a reply occurs. The defaults are those of the world's dialogues.
struct reply_distribution {
  std::array<double, 6> facts{0, .45, .35, .20, 0, 0};  ///< probability of 0 … 5 facts; above 4 a fact repeats
  double hedge = .30, example = .30, question = .25, self_praise = .12;
  double same_language = .70;
  double on_topic = .80;

  /// Balanced attributes and up to five facts: the distribution for training the judge.
  static reply_distribution wide();
};

/// The text of a sentence in a language; of a reply, its sentences with a space between; of a prompt.
std::string render(const sentence& s, language in);
std::string render(const reply& r);
std::string render(const prompt& p);

/// The sentence that a text represents and its language, or nothing if the grammar does not accept it.
std::optional<std::pair<sentence, language>> parse_sentence(std::string_view text);

/// The prompt that a text represents, or nothing if it is none of the 128.
std::optional<prompt> parse_prompt(std::string_view text);

/// One of the 128 prompts, all equally likely.
prompt sample_prompt(rng& random);

/// Replies = [hedge] facts [example] [question] [self-praise], all about one object, in one language.
reply sample_reply(const prompt& p, const reply_distribution& distribution, rng& random);

/// All 128 prompts, in a fixed order.
std::vector<prompt> all_prompts();

}  // namespace coho::trainer::demo
