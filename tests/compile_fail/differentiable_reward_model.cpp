// expect: coho::differentiable_reward_model (1): the model has no forward(std::span<const reward_query>)
#include <span>
#include <utility>
#include <vector>

#include <coho/require.hpp>

struct model {
#ifndef COHO_FAIL
  std::pair<std::vector<float>, void (*)(std::span<const double>)> forward(std::span<const coho::reward_query>);
#endif
};

static_assert(coho::require_differentiable_reward_model<model>());
