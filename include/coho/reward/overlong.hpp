#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>

#include <coho/concepts.hpp>
#include <coho/error.hpp>
#include <coho/options.hpp>

namespace coho::inline v0_1 {

struct overlong_options {
  double max_response_tokens = 20480;  ///< length at which the full penalty applies; finite and > 0
  double cache_tokens = 4096;          ///< tokens before it over which the penalty grows; in (0, max_response_tokens]
  double penalty = 1;                  ///< the full penalty, subtracted; finite and at least 0

  static void describe(auto&& visit, auto&... o) {
    visit({"max_response_tokens", "length from which the whole penalty is due", allowed::above(0), "tokens"},
          o.max_response_tokens...);
    visit({"cache_tokens", "length before it over which the penalty grows", allowed::above(0), "tokens"},
          o.cache_tokens...);
    visit({"penalty", "the whole penalty, subtracted", allowed::at_least(0)}, o.penalty...);
  }
  void check_constraints(const std::string& prefix) const {
    require_option(cache_tokens <= max_response_tokens, prefix + "cache_tokens", cache_tokens,
                   "greater than 0 and at most max_response_tokens");
  }
};

/// The soft overlong punishment of DAPO (Yu et al. 2025, §3.4, eq. 13): a ramp that teaches the policy to end before
/// the limit. With n response tokens, M = max_response_tokens and C = cache_tokens
///
///     −penalty · clamp((n − (M − C)) / C, 0, 1)
///
/// to be added to the reward. The defaults are the paper's: 16,384 free tokens, then a ramp of 4,096. Throws
/// option_error at construction.
///
///     coho::overlong_penalty overlong{{.max_response_tokens = 1024, .cache_tokens = 128}};
///     double reward = 1 + overlong(960);  // 0.5
class overlong_penalty {
 public:
  explicit overlong_penalty(const overlong_options& options = {}) : options_(options) { validate(options); }
  const overlong_options& options() const noexcept { return options_; }

  /// The bonus, at most 0, of a response by its tokens.
  double operator()(const reward_query& query) const { return (*this)(query.response_tokens.size()); }
  double operator()(std::size_t response_tokens) const noexcept {
    const double over = static_cast<double>(response_tokens) - (options_.max_response_tokens - options_.cache_tokens);
    return over <= 0 ? 0.0 : -options_.penalty * std::min(over / options_.cache_tokens, 1.0);
  }

 private:
  overlong_options options_;
};

}  // namespace coho::inline v0_1
