#pragma once

#include <concepts>
#include <cstddef>
#include <ranges>
#include <string>
#include <utility>
#include <vector>

#include <range/v3/view/transform.hpp>

#include <coho/detail/if_called.hpp>
#include <coho/error.hpp>
#include <coho/principle/principle.hpp>
#include <coho/rng.hpp>

namespace coho::inline v0_1 {

/// The sentence that a drawn principle adds to a guideline: its definition, or the negative one.
///
/// Throws `argument_error` if a negative definition is missing, or the index is outside the list.
///
///     std::string line = coho::definition_of(concise, /* negated */ true);
struct definition_of_fn {
  template <class = detail::if_called>
  std::string operator()(const principle& p, bool negated) const {
    require_argument(!negated || p.can_be_negated(), "principle \"" + p.name + "\" has no negative definition");
    return negated ? p.negative_definition : p.definition;
  }
  template <std::ranges::random_access_range Principles>
    requires principle_range<Principles>
  std::string operator()(const Principles& principles, const drawn_principle& drawn) const {
    const auto size = static_cast<std::size_t>(std::ranges::distance(principles));
    require_argument(drawn.index < size, "drawn principle " + std::to_string(drawn.index) + " is outside the list of " +
                                             std::to_string(size));
    return (*this)(std::ranges::begin(principles)[static_cast<std::ptrdiff_t>(drawn.index)], drawn.negated);
  }
};
inline constexpr definition_of_fn definition_of{};

/// The principle with its two definitions swapped (SALMON, §3.2: negative principles). Negating twice gives the
/// original back. Throws `argument_error` if there is no negative definition.
///
///     auto long_winded = coho::negate_principle(concise);
struct negate_principle_fn {
  template <class = detail::if_called>
  principle operator()(principle p) const {
    std::string negative = definition_of(p, true);
    p.negative_definition = std::exchange(p.definition, std::move(negative));
    return p;
  }
};
inline constexpr negate_principle_fn negate_principle{};

/// A view of every principle's negation: `principles | coho::negated`.
inline const auto negated = ranges::views::transform(negate_principle);

/// Marks each drawn index as negated with probability `probability`, independently.
///
/// indices: positions in a list of principles; result: the same positions, in the same order.
/// Throws `option_error` unless 0 <= probability <= 1.
///
///     auto drawn = coho::negate_each(std::vector<std::size_t>{4, 0, 2}, 0.5, random);
struct negate_each_fn {
  template <std::ranges::input_range Indices>
    requires std::integral<std::ranges::range_value_t<Indices>>
  std::vector<drawn_principle> operator()(const Indices& indices, double probability, rng& random) const {
    require_option(probability >= 0 && probability <= 1, "negation_probability", probability, "between 0 and 1");
    std::vector<drawn_principle> out;
    for (const auto index : indices) out.push_back({static_cast<std::size_t>(index), random.bernoulli(probability)});
    return out;
  }
};
inline constexpr negate_each_fn negate_each{};

/// The sentences of all drawn principles, in order: the lines of a guideline before interventions are added.
///
///     std::vector<std::string> lines = coho::definitions_of(principles, drawn);
struct definitions_of_fn {
  template <std::ranges::random_access_range Principles, std::ranges::input_range Drawn>
    requires principle_range<Principles>
  std::vector<std::string> operator()(const Principles& principles, const Drawn& drawn) const {
    std::vector<std::string> out;
    for (const drawn_principle& one : drawn) out.push_back(definition_of(principles, one));
    return out;
  }
};
inline constexpr definitions_of_fn definitions_of{};

}  // namespace coho::inline v0_1
