// expect: coho::choice_judge (1): the judge has no log_odds(std::span<const std::string>, std::string_view,
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <coho/require.hpp>

struct judge {
#ifndef COHO_FAIL
  std::vector<float> log_odds(std::span<const std::string>, std::string_view, std::string_view);
#else
  std::vector<float> log_odds(std::span<const std::string>);
#endif
};

static_assert(coho::require_choice_judge<judge>());
