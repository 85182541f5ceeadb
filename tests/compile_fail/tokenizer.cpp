// expect: coho::tokenizer (3): the tokenizer has no eos() const that returns a token
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <coho/require.hpp>

struct words {
  std::vector<coho::token> encode(std::string_view) const;
  std::string decode(std::span<const coho::token>) const;
#ifndef COHO_FAIL
  coho::token eos() const;
#endif
};

static_assert(coho::require_tokenizer<words>());
