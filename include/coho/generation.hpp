#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <coho/options.hpp>
#include <coho/packed.hpp>

namespace coho::inline v0_1 {

/// How responses are sampled.
struct generation_options {
  std::size_t max_new_tokens = 256;
  double temperature = 1.0;         ///< 0: greedy
  std::size_t top_k = 0;            ///< 0: off
  double top_p = 1.0;               ///< 1: off
  std::vector<std::string> stop{};  ///< exact stop strings; needs a tokenizer
  /// Stop strings that also end a response but do not finish it: it counts as cut at the limit, with the penalty
  /// for that. One that a string of `stop` starts with or contains counts only if the text continues differently.
  std::vector<std::string> unfinished_stop{};
  std::vector<token> banned{};  ///< tokens never sampled (padding, for example); masked in log-probs too

  /// Without `banned`, which is the model's rather than the user's to say.
  static void describe(auto&& visit, auto&... o) {
    visit({"max_new_tokens", "length limit of a response", allowed::count(), "tokens"}, o.max_new_tokens...);
    visit({"temperature", "temperature of sampling; 0: greedy", allowed::at_least(0)}, o.temperature...);
    visit({"top_k", "sample from this many most probable tokens; 0: off", {}, "tokens"}, o.top_k...);
    visit({"top_p", "sample from the most probable tokens that hold this much; 1: off", allowed::in_up_to(0, 1)},
          o.top_p...);
    visit({"stop", "texts that end a response"}, o.stop...);
    visit({"unfinished_stop", "texts that end a response and leave it unfinished"}, o.unfinished_stop...);
  }
};

/// Sampled responses. A finished response includes its end token (or the tokens of its stop string).
struct generation {
  packed<token> responses;
  packed<float> log_probs;             ///< one per response token, under the tempered distribution that was sampled
  std::vector<std::uint8_t> finished;  ///< one per sequence
};

}  // namespace coho::inline v0_1
