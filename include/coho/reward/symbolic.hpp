#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <string_view>
#include <utility>

#include <coho/concepts.hpp>
#include <coho/eigen/as_array.hpp>
#include <coho/error.hpp>
#include <coho/math.hpp>
#include <coho/moments.hpp>
#include <coho/options.hpp>
#include <coho/reduce.hpp>

namespace coho::inline v0_1 {

struct length_bonus_options {
  double coefficient = 5;                                ///< reward of a response of maximum length; finite
  double max_response_tokens = 1024;                     ///< > 0
  double cap = std::numeric_limits<double>::infinity();  ///< upper bound on length ratio × multiplier; > 0

  /// +5 for general prompts; for reasoning prompts −2: set the coefficient, or the record's multiplier −0.4.
  static length_bonus_options paper() { return {}; }
  /// The released code bounds the ratio.
  static length_bonus_options salmon_code() { return {.cap = 0.8}; }

  static void describe(auto&& visit, auto&... o) {
    visit({"coefficient", "reward of a response of maximum length"}, o.coefficient...);
    visit({"max_response_tokens", "longest response, which earns the whole bonus", allowed::above(0), "tokens"},
          o.max_response_tokens...);
    visit({"cap", "upper bound of length ratio × multiplier", allowed::above(0).or_infinity()}, o.cap...);
  }
};

/// A reward for length (SALMON §3.3, App. F):
///
///     coefficient · min(response tokens / max_response_tokens · multiplier, cap)
///
/// with the multiplier of the prompt's record (`reward_query::length_multiplier`). Throws option_error at construction.
///
///     coho::length_bonus bonus{{.coefficient = 5, .max_response_tokens = 1024, .cap = 0.8}};
///     reward += bonus(query);
class length_bonus {
 public:
  explicit length_bonus(const length_bonus_options& options = {}) : options_(options) { validate(options); }

  /// Of a query: with its response's tokens and its record's multiplier.
  double operator()(const reward_query& query) const {
    return (*this)(query.response_tokens.size(), query.length_multiplier);
  }
  double operator()(std::size_t response_tokens, double multiplier = 1) const noexcept {
    const double ratio = static_cast<double>(response_tokens) / options_.max_response_tokens * multiplier;
    return options_.coefficient * std::min(ratio, options_.cap);
  }

 private:
  length_bonus_options options_;
};

/// A reward for answering in the language of the prompt (SALMON §3.3): `coefficient` if the identifier gives both the
/// same language, else 0. An identifier that returns std::optional gives no bonus where it detects no language. Throws
/// option_error when the coefficient is not finite.
///
///     coho::language_bonus bonus{[](std::string_view text) { return identify(text); }, 1.0};
///     reward += bonus(query);
template <language_identifier Identifier>
class language_bonus {
 public:
  explicit language_bonus(Identifier identifier, double coefficient = 1)
      : identifier_(std::move(identifier)), coefficient_(coefficient) {
    require_option(std::isfinite(coefficient), "coefficient", coefficient, "finite");
  }

  /// `coefficient` or 0; identifies the languages of the query's prompt and response texts.
  double operator()(const reward_query& query) const {
    const auto asked = identifier_(query.prompt);
    const auto answered = identifier_(query.response);
    if constexpr (requires { asked.has_value(); }) {
      if (!asked.has_value() || !answered.has_value()) return 0;
    }
    return asked == answered ? coefficient_ : 0;
  }

 private:
  Identifier identifier_;
  double coefficient_;
};

struct normalize_options {
  double mean = 0;       ///< of the reward model's scores on a reference set; finite
  double deviation = 1;  ///< of the same scores; > 0
  double clip = 0;       ///< limits the result to ±this; 0 is off

  static void describe(auto&& visit, auto&... o) {
    visit({"mean", "mean of the reward model's scores on a reference set"}, o.mean...);
    visit({"deviation", "standard deviation of the same scores", allowed::above(0)}, o.deviation...);
    visit({"clip", "limits the normalised score to ± this; 0: off", allowed::bound()}, o.clip...);
  }
};

struct normalize_rewards_fn {
  /// y = clip((x − mean) / deviation) of each sequence reward, with a fixed mean and deviation, so that a reward keeps
  /// its meaning from batch to batch. `rewards`: array, range or tensor (the result is detached), or a number. Throws
  /// option_error.
  ///
  ///     auto options = coho::normalize_rewards.fit(scores_of_initial_policy);
  ///     auto normalised = coho::normalize_rewards(rewards, options);
  template <class Rewards>
  auto operator()(const Rewards& rewards, const normalize_options& options) const {
    static_assert(detail::array_check<Rewards>::passed);
    validate(options);
    const double limit = options.clip > 0 ? options.clip : std::numeric_limits<double>::infinity();
    const auto one = [&](double x) {
      return array_traits<double>::clamp((x - options.mean) / options.deviation, -limit, limit);
    };
    if constexpr (detail::floating_scalar<Rewards>) {
      return one(rewards);
    } else {
      const auto& host = detail::on_host(rewards);
      const auto elements = detail::host_elements(host);
      using number = detail::host_number_t<decltype(host)>;
      detail::array_of<number> out(static_cast<Eigen::Index>(elements.size()));
      for (std::size_t i = 0; i < elements.size(); ++i)
        out.data()[i] = static_cast<number>(one(static_cast<double>(elements[i])));
      return detail::from_host_as(std::move(out), rewards);
    }
  }

  /// The options that give a sample of rewards mean 0 and population deviation 1, over all ranks, which call together.
  /// Throws argument_error when the sample is empty, not finite or constant.
  template <class Rewards, communicator Communicator = const local_communicator>
  normalize_options fit(const Rewards& rewards, double clip = 0, Communicator&& ranks = local_communicator{}) const {
    static_assert(detail::array_check<Rewards>::passed);
    const auto& host = detail::on_host(rewards);
    const auto elements = detail::host_elements(host);
    const moments m = detail::global_moments(elements, detail::all_real{elements.size()}, deviation::population, ranks);
    require_argument(m.count > 0, "normalize_rewards.fit: no rewards");
    require_argument(std::isfinite(m.mean) && std::isfinite(m.deviation),
                     "normalize_rewards.fit: a reward is not finite");
    require_argument(m.deviation > 0, "normalize_rewards.fit: all rewards are equal");
    return {.mean = m.mean, .deviation = m.deviation, .clip = clip};
  }
};
inline constexpr normalize_rewards_fn normalize_rewards{};

}  // namespace coho::inline v0_1
