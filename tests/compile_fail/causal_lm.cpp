// expect: coho::causal_lm (1): the model has no generate(const packed<token>&, const generation_options&,
#include <span>
#include <vector>

#include <coho/require.hpp>

struct model {
  std::vector<float> log_probs(const coho::token_batch&);
#ifndef COHO_FAIL
  coho::generation generate(const coho::packed<coho::token>&, const coho::generation_options&, std::span<coho::rng>);
#endif
};

static_assert(coho::require_causal_lm<model>());
