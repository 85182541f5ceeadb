// expect: coho::sampler (1): generate does not return a coho::generation
#include <span>

#include <coho/require.hpp>

struct engine {
#ifndef COHO_FAIL
  coho::generation generate(const coho::packed<coho::token>&, const coho::generation_options&, std::span<coho::rng>);
#else
  coho::packed<coho::token> generate(const coho::packed<coho::token>&, const coho::generation_options&,
                                     std::span<coho::rng>);
#endif
};

static_assert(coho::require_sampler<engine>());
