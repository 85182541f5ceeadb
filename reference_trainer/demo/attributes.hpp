#pragma once

#include <cstddef>
#include <string_view>

#include "demo/vocabulary.hpp"
#include "demo/world.hpp"

namespace coho::trainer::demo {

/// The countable attributes of a reply. `facts` counts distinct facts, so that repeating one gains nothing.
struct attributes {
  std::size_t facts = 0;
  bool hedge = false, example = false, question = false, self_praise = false;
  language in = language::neither;
  bool same_language = false;  ///< as the prompt
  bool on_topic = false;       ///< states a fact or example, and only about the prompt's object
  double valid = 0;            ///< fraction of sentences that the grammar accepts, word for word and fact for fact
  std::size_t words = 0;       ///< runs of characters between spaces
};

/// Parses a reply's attributes from its text. Sentences end in '.' or '?'; a remainder without an end counts as
/// invalid.
attributes parse_attributes(std::string_view reply_text, std::string_view prompt_text);

/// The same of a reply in the grammar's own form, which is all valid.
attributes measure_attributes(const reply& r, const prompt& p);

}  // namespace coho::trainer::demo
