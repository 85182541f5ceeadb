#pragma once

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <ranges>
#include <string>
#include <utility>
#include <vector>

#include <range/v3/functional/pipeable.hpp>

#include <coho/detail/if_called.hpp>
#include <coho/error.hpp>
#include <coho/principle/negation.hpp>
#include <coho/principle/principle.hpp>
#include <coho/principle/prompt_type.hpp>
#include <coho/rng.hpp>

namespace coho::inline v0_1 {

/// `count` different indices, drawn one after the other in proportion to `weights` among those remaining.
///
/// P(i_1, …, i_k) = Π_j w_{i_j} / (W − Σ_{l<j} w_{i_l}), W the sum of all weights: exact, by the equivalence with the k
/// smallest of independent exponential variables E_i / w_i (Efraimidis and Spirakis, 2006). The result is in the order
/// of drawing, so with equal weights it is a random order as well. A weight of 0 is never drawn; one uniform number is
/// used per weight, drawn or not. Throws `argument_error` for a weight that is negative or not finite, and for fewer
/// than `count` positive weights.
///
///     coho::rng random{seed, prompt_index};
///     auto chosen = coho::sample_without_replacement(std::vector{3.0, 2.0, 1.0}, 2, random);
struct sample_without_replacement_fn {
  template <std::ranges::input_range Weights>
    requires std::convertible_to<std::ranges::range_reference_t<Weights>, double>
  std::vector<std::size_t> operator()(const Weights& weights, std::size_t count, rng& random) const {
    std::vector<std::pair<double, std::size_t>> keys;
    std::size_t index = 0;
    for (const double weight : weights) {
      require_argument(std::isfinite(weight) && weight >= 0,
                       "sampling weight " + std::to_string(index) + " must be finite and at least 0");
      const double exponential = -std::log1p(-random.uniform());
      if (weight > 0) keys.emplace_back(exponential / weight, index);
      ++index;
    }
    require_argument(count <= keys.size(), "cannot draw " + std::to_string(count) + " different entries: only " +
                                               std::to_string(keys.size()) + " have a positive weight");
    const auto middle = keys.begin() + static_cast<std::ptrdiff_t>(count);
    std::partial_sort(keys.begin(), middle, keys.end());
    std::vector<std::size_t> out(count);
    for (std::size_t k = 0; k < count; ++k) out[k] = keys[k].second;
    return out;
  }
};
inline constexpr sample_without_replacement_fn sample_without_replacement{};

/// How many principles an example gets: a distribution on {1, …, max}.
///
///     auto sizes = coho::principle_count_distribution::geometric();          // P(n) ∝ 0.2 · 0.8^(n−1), n ≤ 8
///     auto other = coho::principle_count_distribution::from_masses({.25, .40, .35});
///     std::size_t n = sizes(random);
class principle_count_distribution {
 public:
  /// P(n) ∝ stop · (1 − stop)^(n − 1) for 1 <= n <= max_size: the geometric distribution, redrawn while n > max_size.
  /// Throws `option_error` unless 0 < stop <= 1 and max_size >= 1.
  template <class = detail::if_called>
  static principle_count_distribution geometric(double stop = 0.2, std::size_t max_size = 8) {
    require_option(stop > 0 && stop <= 1, "stop", stop, "above 0 and at most 1");
    require_option(max_size >= 1, "max_size", max_size, "at least 1");
    std::vector<double> masses(max_size);
    for (std::size_t n = 0; n < max_size; ++n) masses[n] = stop * std::pow(1 - stop, static_cast<double>(n));
    return principle_count_distribution(std::move(masses));
  }

  /// P(n) ∝ masses[n − 1]. Throws `option_error` for a mass that is negative or not finite, or a sum that is not
  /// positive.
  template <class = detail::if_called>
  static principle_count_distribution from_masses(std::vector<double> masses) {
    return principle_count_distribution(std::move(masses));
  }
  template <class = detail::if_called>
  static principle_count_distribution from_masses(std::initializer_list<double> masses) {
    return principle_count_distribution(std::vector<double>(masses));
  }

  /// Always `n` principles. Throws `option_error` for 0.
  template <class = detail::if_called>
  static principle_count_distribution fixed(std::size_t n) {
    require_option(n >= 1, "n", n, "at least 1");
    std::vector<double> masses(n, 0.0);
    masses.back() = 1.0;
    return principle_count_distribution(std::move(masses));
  }

  /// The largest n with positive probability.
  std::size_t max() const noexcept { return probabilities_.size(); }
  /// P(n); 0 for an n that is never drawn.
  double probability(std::size_t n) const noexcept {
    return n >= 1 && n <= probabilities_.size() ? probabilities_[n - 1] : 0.0;
  }

  /// Draws a size, from one uniform number.
  std::size_t operator()(rng& random) const noexcept {
    double left = random.uniform();
    std::size_t last = 0;
    for (std::size_t n = 0; n < probabilities_.size(); ++n) {
      if (probabilities_[n] <= 0) continue;
      last = n + 1;
      if (left < probabilities_[n]) break;
      left -= probabilities_[n];
    }
    return last;
  }

  friend bool operator==(const principle_count_distribution&, const principle_count_distribution&) = default;

 private:
  // Masses of 1, 2, …, normalised; throws `option_error` as `from_masses` does.
  template <class = detail::if_called>
  explicit principle_count_distribution(std::vector<double> masses) : probabilities_(std::move(masses)) {
    double total = 0;
    for (const double mass : probabilities_) {
      require_option(std::isfinite(mass) && mass >= 0, "set_sizes", mass, "finite and at least 0");
      total += mass;
    }
    require_option(total > 0 && std::isfinite(total), "set_sizes", total, "weights with a finite sum above 0");
    for (double& mass : probabilities_) mass /= total;
    while (probabilities_.back() == 0) probabilities_.pop_back();
  }

  std::vector<double> probabilities_;
};

/// Adds `amount` to the weight of the principles whose name contains one of `name_parts` (ASCII case ignored), for
/// prompts of one type.
struct type_boost {
  prompt_type type = prompt_type::general;
  std::vector<std::string> name_parts{};
  double amount = 128.0;
};

/// The boosts of SALMON's released code (§3.3 of the paper names the idea): reasoning and numbers for reasoning
/// prompts, ethics and harmlessness for red-teaming ones, +128 each.
template <class = detail::if_called>
std::vector<type_boost> default_type_boosts() {
  return {{prompt_type::reasoning, {"reason", "numerical"}, 128.0},
          {prompt_type::red_teaming, {"ethical", "harmless"}, 128.0}};
}

/// The sampling weight of each principle for a prompt of the given type. A principle that several parts of one boost
/// match is boosted once; without `boosts`, `default_type_boosts` applies.
struct boosted_weights_fn {
  template <principle_range Principles, std::ranges::input_range Boosts>
  std::vector<double> operator()(const Principles& principles, prompt_type type, const Boosts& boosts) const {
    std::vector<double> weights;
    for (const principle& p : principles) {
      double weight = p.weight;
      for (const type_boost& boost : boosts) {
        bool named = false;
        for (const auto& part : boost.name_parts) named = named || detail::contains_ignoring_case(p.name, part);
        if (boost.type == type && named) weight += boost.amount;
      }
      weights.push_back(weight);
    }
    return weights;
  }
  template <principle_range Principles>
  std::vector<double> operator()(const Principles& principles, prompt_type type) const {
    return (*this)(principles, type, default_type_boosts());
  }
};
inline constexpr boosted_weights_fn boosted_weights{};

/// Draws `count` principles by weight without replacement; pipeable, so that a view can be sampled:
/// `principles | ranges::views::filter(f) | coho::draw_principles(3, random)`. Errors as `sample_without_replacement`.
struct draw_principles_fn {
  template <principle_range Principles>
  std::vector<principle> operator()(Principles&& principles, std::size_t count, rng& random) const {
    std::vector<std::ranges::range_value_t<Principles>> all;
    std::vector<decltype(all.front().weight)> weights;
    for (const principle& p : principles) {
      all.push_back(p);
      weights.push_back(p.weight);
    }
    std::vector<principle> out;
    for (const auto index : sample_without_replacement(weights, count, random)) out.push_back(std::move(all[index]));
    return out;
  }
  /// The form for the right of `|`. Refers to `random`, so use it in the same expression.
  template <class = detail::if_called>
  auto operator()(std::size_t count, rng& random) const {
    return ranges::make_pipeable([count, &random]<class Principles>(Principles&& principles) {
      return draw_principles_fn{}(std::forward<Principles>(principles), count, random);
    });
  }
};
inline constexpr draw_principles_fn draw_principles{};

/// Options of `principle_sampler`; the defaults are the paper's (§3.3, k = 3).
struct principle_sampler_options {
  std::size_t count = 3;  ///< principles per prompt
  std::vector<type_boost> boosts = default_type_boosts();
};

/// The principles that judge a prompt's responses at RL time (SALMON, §3.3).
///
/// The draw depends only on the generator and the prompt's key, so that all responses to one prompt are judged by the
/// same principles, in any batch or process.
/// Construction throws `argument_error` for a bad list or fewer than `count` principles with a positive weight, and
/// `option_error` for `count` = 0 or a boost that is negative or not finite.
///
///     coho::principle_sampler sampler(principles);
///     std::vector<std::size_t> chosen = sampler.draw(coho::prompt_type::reasoning, step_random, prompt_key);
class principle_sampler {
 public:
  template <principle_range Principles>
  explicit principle_sampler(const Principles& principles, principle_sampler_options options = {})
      : principles_(std::ranges::begin(principles), std::ranges::end(principles)), options_(std::move(options)) {
    check_principles(principles);
    require_option(options_.count >= 1, "count", options_.count, "at least 1");
    for (const auto& boost : options_.boosts) {
      require_option(std::isfinite(boost.amount) && boost.amount >= 0, "boost", boost.amount, "finite and at least 0");
    }
    std::size_t usable = 0;
    for (const principle& p : principles_) usable += p.weight > 0;
    require_argument(options_.count <= usable, "cannot draw " + std::to_string(options_.count) + " principles: only " +
                                                   std::to_string(usable) + " have a positive weight");
  }

  const std::vector<principle>& principles() const noexcept { return principles_; }
  const principle_sampler_options& options() const noexcept { return options_; }

  /// Indices into `principles()`, in presentation order.
  template <class = detail::if_called>
  std::vector<std::size_t> draw(prompt_type type, rng& random) const {
    return sample_without_replacement(boosted_weights(principles_, type, options_.boosts), options_.count, random);
  }
  /// The draw that belongs to `prompt_key`: the same for each response to that prompt, and `base` is unchanged.
  template <class = detail::if_called>
  std::vector<std::size_t> draw(prompt_type type, const rng& base, std::uint64_t prompt_key) const {
    rng random = base.split(prompt_key);
    return draw(type, random);
  }

  /// The definitions of drawn principles: the lines of the guideline. Throws `argument_error` for an index outside the
  /// list.
  template <std::ranges::input_range Indices>
  std::vector<std::string> definitions(const Indices& indices) const {
    return definitions_of(principles_, indices | std::views::transform([](auto index) {
                                         return drawn_principle{static_cast<std::size_t>(index), false};
                                       }));
  }

 private:
  std::vector<principle> principles_;
  principle_sampler_options options_;
};

}  // namespace coho::inline v0_1
