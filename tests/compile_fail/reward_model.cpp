// expect: coho::reward_model (1): the model has no score(std::span<const reward_query>) and is not callable with it
#include <span>
#include <vector>

#include <coho/require.hpp>

struct model {
#ifndef COHO_FAIL
  std::vector<float> score(std::span<const coho::reward_query>);
#else
  std::vector<float> score(const coho::reward_query&);
#endif
};

static_assert(coho::require_reward_model<model>());
