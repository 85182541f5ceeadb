#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include <coho/concepts.hpp>
#include <coho/detail/white_space.hpp>
#include <coho/eigen/as_array.hpp>
#include <coho/options.hpp>
#include <coho/reduce.hpp>

namespace coho::inline v0_1 {

/// The reward of an empty response.
enum class empty_response_rule {
  lowest,  ///< that of the step's worst answer, plus the penalty for unfinished ones: `rank_empty_last`
  scored,  ///< the reward model's score
};
constexpr auto option_names(empty_response_rule) { return std::array{"lowest", "scored"}; }

/// Whether a text is blank: only ASCII white space and controls, and Unicode's spaces, zero-width ones included.
constexpr bool is_blank(std::string_view text) noexcept {
  while (!text.empty()) {
    const auto first = static_cast<unsigned char>(text.front());
    std::size_t bytes = first <= 0x20 || first == 0x7F ? 1 : detail::leading_white_space(text);
    // Of no width: U+200B to U+200D, and U+FEFF.
    constexpr std::string_view invisible[] = {"\xE2\x80\x8B", "\xE2\x80\x8C", "\xE2\x80\x8D", "\xEF\xBB\xBF"};
    for (const auto character : invisible)
      if (text.starts_with(character)) bytes = character.size();
    if (bytes == 0) return false;
    text.remove_prefix(bytes);
  }
  return true;
}

struct rank_empty_last_fn {
  /// Rewards of a step's responses in which an empty one earns no more than any answer:
  ///
  ///     R_i ← min { R_j : j is not empty }  for each empty i;  the minimum of all where every response is empty
  ///
  /// A reward model was not trained on empty responses, so its score of one is an extrapolation, and a policy finds
  /// the guidelines (“avoid facts”) under which it is high. A rank needs no scale, unlike a fixed penalty.
  /// `rewards`: array, range or tensor of N numbers (the result is detached). `empty`: N flags; none at all: no
  /// response is empty. The minimum is over all ranks, which must call together. Throws argument_error (lengths).
  ///
  ///     coho::rank_empty_last(std::vector<double>{3, 9, -1}, std::vector<std::uint8_t>{0, 1, 0});  // 3, −1, −1
  template <class Rewards, communicator Communicator = const local_communicator>
  auto operator()(const Rewards& rewards, std::span<const std::uint8_t> empty,
                  Communicator&& ranks = local_communicator{}) const {
    static_assert(detail::array_check<Rewards>::passed);
    const auto& local_rewards = detail::on_host(rewards);
    const auto elements = detail::host_elements(local_rewards);
    using number = detail::host_number_t<decltype(local_rewards)>;
    if (!empty.empty()) detail::check_lengths(elements.size(), empty.size(), "rank_empty_last", "empty");
    double lowest[] = {std::numeric_limits<double>::infinity(), std::numeric_limits<double>::infinity()};
    for (std::size_t i = 0; i < elements.size(); ++i) {
      const auto reward = static_cast<double>(elements[i]);
      lowest[1] = std::min(lowest[1], reward);
      if (empty.empty() || empty[i] == 0) lowest[0] = std::min(lowest[0], reward);
    }
    std::vector<double> all(2 * static_cast<std::size_t>(ranks.size()), 0.0);
    std::copy(std::begin(lowest), std::end(lowest), all.begin() + 2 * static_cast<std::ptrdiff_t>(ranks.rank()));
    ranks.all_reduce_sum(std::span<double>(all));
    for (std::size_t k = 0; k < all.size(); ++k) lowest[k % 2] = std::min(lowest[k % 2], all[k]);
    const double least = lowest[0] < std::numeric_limits<double>::infinity() ? lowest[0] : lowest[1];

    detail::array_of<number> out(static_cast<Eigen::Index>(elements.size()));
    for (std::size_t i = 0; i < elements.size(); ++i)
      out.data()[i] = !empty.empty() && empty[i] != 0 ? static_cast<number>(least) : static_cast<number>(elements[i]);
    return detail::from_host_as(std::move(out), rewards);
  }
};
inline constexpr rank_empty_last_fn rank_empty_last{};

}  // namespace coho::inline v0_1
