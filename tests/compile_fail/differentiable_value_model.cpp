// expect: coho::differentiable_value_model (1): forward(const token_batch&) returns no pair whose first has values
#include <utility>
#include <vector>

#include <coho/require.hpp>

struct model {
  struct output {
#ifndef COHO_FAIL
    std::vector<float> values;
#else
    std::vector<float> value;
#endif
  };
  std::vector<float> values(const coho::token_batch&);
  std::pair<output, void (*)(coho::value_gradient)> forward(const coho::token_batch&);
};

static_assert(coho::require_differentiable_value_model<model>());
