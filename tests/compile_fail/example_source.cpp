// expect: coho::preference_source (2): the source has no load(std::span<const std::size_t>) that returns a contiguous
#include <coho/train/preference_source.hpp>

struct source {
  std::size_t size() const;
#ifndef COHO_FAIL
  std::span<const coho::preference_pair> load(std::span<const std::size_t> indices);
#else
  coho::preference_pair load(std::size_t index);
#endif
};

static_assert(coho::require_preference_source<source>());
