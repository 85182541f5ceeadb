// expect: coho::example_source (2): the source has no load(std::span<const std::size_t>) that returns a contiguous
#include <coho/train/example_source.hpp>
#include <coho/train/preference_pair.hpp>

struct source {
  std::size_t size() const;
#ifndef COHO_FAIL
  std::span<const coho::preference_pair> load(std::span<const std::size_t> indices);
#else
  coho::preference_pair load(std::size_t index);
#endif
};

static_assert(coho::require_example_source<source, coho::preference_pair>());
