#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <coho/concepts.hpp>

#include "llama/adapter_bank.hpp"

namespace coho::trainer {

/// How many sequences and tokens the engine processes at a time.
struct engine_options {
  /// Sequences decoded together; the others wait and take the slots of those that end.
  std::int64_t slots = 64;
  /// Maximum number of prompt tokens in one prefill.
  std::int64_t prefill_tokens = 8192;

  static void describe(auto&& visit, auto&... o) {
    visit({"slots", "number of sequences decoded together", allowed::count(), "sequences"}, o.slots...);
    visit({"prefill_tokens", "most prompt tokens read at a time", allowed::count(), "tokens"}, o.prefill_tokens...);
  }
};

/// Batched sampling with a static key-value cache.
///
/// A sequence ends at an end token, at the first token with which its text contains one of the stop strings (possibly
/// spanning tokens), or at max_new_tokens. A string of `unfinished_stop` also ends it, but then it is not finished.
/// Each sequence draws from its own rng, so its tokens do not depend on the batch. Log-probabilities are those of the
/// tempered distribution over the tokens that are not banned.
///
///     generation_engine engine(bank, "policy", {}, tokenizer.token_texts());
///     auto out = engine.generate(prompts, {.max_new_tokens = 64, .stop = {"\n"}}, end_tokens, streams);
///
/// With a shared prefix every prompt must begin with those tokens. Their keys and values are computed once and shared
/// by all sequences; they are kept between calls as long as the role's weights do not change (those of a role that is
/// trained are computed at each call). Responses are the same as without it, except for rounding.
class generation_engine {
 public:
  /// `token_texts`: the exact bytes of each token, needed only for stop strings; may be empty. Throws argument_error
  /// for a prefix with a token outside the vocabulary.
  generation_engine(adapter_bank& bank, std::string role, const engine_options& options = {},
                    std::vector<std::string> token_texts = {}, std::vector<token> shared_prefix = {});

  /// prompts: token ids, none empty, including the shared prefix. Throws option_error for max_new_tokens = 0 or bad
  /// sampling options, argument_error for an empty prompt, one that does not begin with the shared prefix, a token
  /// outside the vocabulary, or stop strings without token texts. `on_token(sequence, token)`, if given, sees each
  /// token as it is sampled.
  generation generate(const packed<token>& prompts, const generation_options& options,
                      std::span<const token> end_tokens, std::span<rng> streams,
                      const std::function<void(std::size_t, token)>& on_token = {});

 private:
  // Computes the keys and values of the shared prefix unless those of the role's current revision are there.
  void compute_prefix();

  adapter_bank* bank_;
  std::string role_;
  engine_options options_;
  std::vector<std::string> token_texts_;
  std::vector<token> shared_prefix_;
  prefix_cache prefix_;  ///< without the last shared token, which is left to each prompt because it may be the prompt's
                         ///< last
  std::optional<std::uint64_t> prefix_revision_;
};

}  // namespace coho::trainer
