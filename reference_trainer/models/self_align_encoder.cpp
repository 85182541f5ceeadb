#include "models/self_align_encoder.hpp"

#include <algorithm>
#include <array>
#include <string>

namespace coho::trainer {
namespace {

// The begin token, if the model has one, and the tokens of the text.
std::vector<token> encode_with_begin(const text_tokenizer& tokenizer, const std::string& text) {
  std::vector<token> out = tokenizer.begin_tokens();
  for (const token id : tokenizer.encode(text)) out.push_back(id);
  return out;
}

}  // namespace

self_align_encoder::self_align_encoder(const self_align_prompt& prompt, const text_tokenizer& tokenizer)
    : prompt_(&prompt), tokenizer_(&tokenizer), prefix_(encode_with_begin(tokenizer, prompt("A"))) {
  // Beginnings of every kind, so that anything a tokenizer merges with the preceding text shows up in one of them.
  constexpr std::array<std::string_view, 16> beginnings{"the", "Why", "0", " ",  "\n", "\t", "\"", "(",
                                                        "#",   "-",   "é", "你", "д",  "ع",  "“",  "🦙"};
  for (const auto beginning : beginnings) {
    const auto other = encode_with_begin(tokenizer, prompt(beginning));
    prefix_.erase(std::ranges::mismatch(prefix_, other).in1, prefix_.end());
  }
}

std::vector<token> self_align_encoder::operator()(std::string_view question) const {
  return encode_with_begin(*tokenizer_, (*prompt_)(question));
}

bool self_align_encoder::begins_with_prefix(std::span<const token> tokens) const {
  return tokens.size() > prefix_.size() && std::equal(prefix_.begin(), prefix_.end(), tokens.begin());
}

}  // namespace coho::trainer
