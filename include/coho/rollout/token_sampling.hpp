#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <functional>
#include <limits>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <Eigen/Core>

#include <coho/error.hpp>
#include <coho/packed.hpp>
#include <coho/rng.hpp>

namespace coho::inline v0_1 {

/// Options of `token_sampler`.
struct token_sampling_options {
  double temperature = 1.0;     ///< 0 takes the most probable token; among equals the lowest id
  std::size_t top_k = 0;        ///< only the k most probable tokens; 0 is off
  double top_p = 1.0;           ///< only the smallest set of most probable tokens with this total probability; 1 is off
  std::vector<token> banned{};  ///< never sampled, and excluded from every probability
};

/// A sampled token.
///
/// log_prob: log p(token) under softmax(logits / temperature) over all tokens that are not banned (top-k and top-p do
/// not enter it: a policy's log-probabilities are those of the tempered distribution). At temperature 0 it is that of
/// temperature 1.
struct sampled_token {
  token id = 0;
  double log_prob = 0.0;
};

/// Draws tokens from logits: temperature, then top-k, then top-p over what top-k left.
///
/// Plain temperature sampling reads the logits twice and sorts nothing: O(V), no allocation, any number of threads on
/// one sampler. Exponentials are taken in the logits' number type, 64 at a time; their sums are added in double.
/// Construction throws `option_error` unless temperature >= 0 is finite, 0 < top_p <= 1 and banned ids are not
/// negative. The call throws `argument_error` if no token is allowed, or the logits hold NaN or +infinity; −infinity is
/// probability 0. `token_sampler` is the one for float logits.
///
///     coho::token_sampler sampler({.temperature = 0.7});
///     auto [id, log_prob] = sampler(logits, random);
template <std::floating_point Logit>
class basic_token_sampler {
 public:
  explicit basic_token_sampler(token_sampling_options options = {}) : options_(std::move(options)) {
    require_option(std::isfinite(options_.temperature) && options_.temperature >= 0, "temperature",
                   options_.temperature, "finite and at least 0");
    require_option(options_.top_p > 0 && options_.top_p <= 1, "top_p", options_.top_p, "above 0 and at most 1");
    for (const token id : options_.banned) require_option(id >= 0, "banned", id, "a token id");
    auto& banned = options_.banned;
    std::sort(banned.begin(), banned.end());
    banned.erase(std::unique(banned.begin(), banned.end()), banned.end());
    inverse_temperature_ = options_.temperature > 0 ? 1.0 / options_.temperature : 1.0;
    require_option(std::isfinite(static_cast<float>(inverse_temperature_)), "temperature", options_.temperature,
                   "0 or at least 1e-38");
  }

  const token_sampling_options& options() const noexcept { return options_; }

  /// Draws one token; uses one uniform number of `random`, or none at temperature 0.
  sampled_token operator()(std::span<const Logit> logits, rng& random) const {
    const sums all = sum_exponentials(logits);
    const bool truncated = (options_.top_k != 0 && options_.top_k < logits.size()) || options_.top_p < 1;
    const token id = options_.temperature == 0 ? arg_max(logits, all.highest)
                     : truncated               ? draw_truncated(logits, all, random)
                                               : draw(logits, all, random);
    return {id, log_prob(logits[static_cast<std::size_t>(id)], all)};
  }

  /// log p of a given token, with the same arithmetic as sampling: bit-identical for equal logits. −infinity
  /// for a banned one. Throws `argument_error` for an id outside the logits.
  double log_prob(std::span<const Logit> logits, token id) const {
    require_argument(id >= 0 && static_cast<std::size_t>(id) < logits.size(),
                     "token " + std::to_string(id) + " is outside the " + std::to_string(logits.size()) + " logits");
    if (std::binary_search(options_.banned.begin(), options_.banned.end(), id))
      return -std::numeric_limits<double>::infinity();
    return log_prob(logits[static_cast<std::size_t>(id)], sum_exponentials(logits));
  }

 private:
  /// The vocabulary is summed in at most this many blocks; a draw walks the blocks, then one block's tokens.
  static constexpr std::size_t max_blocks = 512;
  static constexpr std::size_t lane = 64;
  /// exp below this is 0 in Logit; vectorised exponentials clamp instead.
  static constexpr Logit lowest_exponent = Logit(-87);

  /// Σ exp((z − highest) / temperature) over the allowed tokens, in all and block by block.
  struct sums {
    Logit highest = 0;
    std::size_t block = 0;  ///< tokens per block
    double total = 0;
    std::array<double, max_blocks> blocks;
  };

  /// log p of a token with this logit.
  double log_prob(Logit logit, const sums& all) const {
    return (static_cast<double>(logit) - static_cast<double>(all.highest)) * inverse_temperature_ - std::log(all.total);
  }

  /// exp((logit − highest) / temperature): the probability of a token times the sum of these.
  Logit relative_weight(Logit logit, Logit highest) const {
    const Logit x = (logit - highest) * static_cast<Logit>(inverse_temperature_);
    return x < lowest_exponent ? 0.0F : std::exp(x);
  }

  /// Calls `visit(begin, end)` for each run of tokens in [begin, end) that holds no banned one.
  template <class Visit>
  void for_each_run(std::size_t begin, std::size_t end, Visit visit) const {
    auto next = std::lower_bound(options_.banned.begin(), options_.banned.end(), static_cast<token>(begin));
    while (begin < end) {
      const bool stop = next != options_.banned.end() && static_cast<std::size_t>(*next) < end;
      const std::size_t until = stop ? static_cast<std::size_t>(*next) : end;
      if (begin < until) visit(begin, until);
      begin = stop ? until + 1 : end;
      if (stop) ++next;
    }
  }

  /// The maximum and the sums of exponentials of the allowed tokens, in two passes. Throws `argument_error` for logits
  /// from which nothing can be sampled.
  sums sum_exponentials(std::span<const Logit> logits) const {
    using array = Eigen::Array<Logit, Eigen::Dynamic, 1>;
    sums out;
    out.highest = -std::numeric_limits<Logit>::infinity();
    for_each_run(0, logits.size(), [&](std::size_t begin, std::size_t end) {
      const Eigen::Map<const array> run(logits.data() + begin, static_cast<Eigen::Index>(end - begin));
      // A NaN that the maximum misses shows up in the sum.
      out.highest = std::max(out.highest, run.maxCoeff());
    });
    require_argument(!logits.empty() && std::isfinite(out.highest),
                     "no token can be sampled: all are banned or have probability 0, or a logit is +infinity or NaN");
    out.block = (logits.size() + max_blocks * lane - 1) / (max_blocks * lane) * lane;
    const Logit scale = static_cast<Logit>(inverse_temperature_);
    for (std::size_t b = 0; b * out.block < logits.size(); ++b) {
      double block_sum = 0;
      for_each_run(b * out.block, std::min(logits.size(), (b + 1) * out.block),
                   [&](std::size_t begin, std::size_t end) {
                     Eigen::Array<Logit, static_cast<int>(lane), 1> x;
                     for (; begin < end; begin += lane) {
                       if (end - begin >= lane) {
                         x = (Eigen::Map<const decltype(x)>(logits.data() + begin) - out.highest) * scale;
                       } else {
                         const auto rest = static_cast<Eigen::Index>(end - begin);
                         x.setConstant(2 * lowest_exponent);
                         x.head(rest) = (Eigen::Map<const array>(logits.data() + begin, rest) - out.highest) * scale;
                       }
                       x = x.exp();
                       block_sum += static_cast<double>(x.sum());
                     }
                   });
      // Vectorised exponentials end at about 1e-38 instead of 0: too little to change a total of 1 or more, but a
      // block of such tokens only must not be drawn.
      out.blocks[b] = block_sum = block_sum < 1e-30 ? 0.0 : block_sum;
      out.total += block_sum;
    }
    require_argument(std::isfinite(out.total), "the logits hold NaN");
    return out;
  }

  /// The lowest id among the allowed tokens with the highest logit.
  token arg_max(std::span<const Logit> logits, Logit highest) const {
    token out = -1;
    for_each_run(0, logits.size(), [&](std::size_t begin, std::size_t end) {
      if (out >= 0) return;
      const auto run = logits.subspan(begin, end - begin);
      const auto found = std::ranges::find(run, highest);
      if (found != run.end()) out = static_cast<token>(begin + static_cast<std::size_t>(found - run.begin()));
    });
    return out;
  }

  /// A logit that at least `top_k` allowed tokens reach: the k-th largest of the blocks' maxima, if there are as many
  /// blocks.
  Logit top_k_bound(std::span<const Logit> logits, const sums& all) const {
    std::array<Logit, max_blocks> maxima;
    std::size_t blocks = 0;
    for (std::size_t begin = 0; begin < logits.size(); begin += all.block, ++blocks) {
      maxima[blocks] = -std::numeric_limits<Logit>::infinity();
      for_each_run(begin, std::min(logits.size(), begin + all.block), [&](std::size_t from, std::size_t to) {
        maxima[blocks] = std::max(maxima[blocks], *std::ranges::max_element(logits.subspan(from, to - from)));
      });
    }
    if (options_.top_k > blocks) return -std::numeric_limits<Logit>::infinity();
    const auto kth = maxima.begin() + static_cast<std::ptrdiff_t>(options_.top_k) - 1;
    std::nth_element(maxima.begin(), kth, maxima.begin() + static_cast<std::ptrdiff_t>(blocks), std::greater<>{});
    return *kth;
  }

  /// One token by its probability, without top-k and top-p: finds its block, then walks that.
  token draw(std::span<const Logit> logits, const sums& all, rng& random) const {
    double left = random.uniform() * all.total;
    std::size_t b = 0;
    const std::size_t blocks = (logits.size() + all.block - 1) / all.block;
    while (b + 1 < blocks && left >= all.blocks[b]) left -= all.blocks[b++];
    while (all.blocks[b] <= 0) --b;  // only rounding at the very end goes past the last block with mass
    token chosen = -1;
    bool done = false;
    for_each_run(b * all.block, std::min(logits.size(), (b + 1) * all.block), [&](std::size_t begin, std::size_t end) {
      for (; begin < end && !done; ++begin) {
        const double w = static_cast<double>(relative_weight(logits[begin], all.highest));
        if (w <= 0) continue;
        chosen = static_cast<token>(begin);
        done = left < w;
        left -= w;
      }
    });
    return chosen;
  }

  struct candidate {
    Logit logit;
    token id;
    /// More probable first, equal ones by ascending id.
    friend bool operator<(const candidate& a, const candidate& b) noexcept {
      return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
    }
  };

  /// One token after top-k and top-p. Sorts only tokens that can be in the nucleus.
  token draw_truncated(std::span<const Logit> logits, const sums& all, rng& random) const {
    // Without top-k, the tokens below total·(1 − p)/V hold less than 1 − p in total: none is in the nucleus.
    const bool by_k = options_.top_k != 0 && options_.top_k < logits.size();
    const double floor = all.total * (1 - options_.top_p) / static_cast<double>(logits.size());
    // Half the bound leaves room for rounding.
    const Logit lowest = by_k ? top_k_bound(logits, all)
                              : all.highest + static_cast<Logit>(std::log(0.5 * floor) / inverse_temperature_);
    std::vector<candidate> kept;
    for_each_run(0, logits.size(), [&](std::size_t begin, std::size_t end) {
      for (; begin < end; ++begin) {
        if (logits[begin] >= lowest) kept.push_back({logits[begin], static_cast<token>(begin)});
      }
    });
    double total = all.total;
    if (by_k && options_.top_k < kept.size()) {
      std::nth_element(kept.begin(), kept.begin() + static_cast<std::ptrdiff_t>(options_.top_k), kept.end());
      kept.resize(options_.top_k);
    }
    if (by_k) {
      total = 0;
      for (const auto& c : kept) total += static_cast<double>(relative_weight(c.logit, all.highest));
    }
    if (options_.top_p < 1) {
      // A heap yields the candidates in order one by one: only the nucleus is ever sorted.
      const auto later = [](const candidate& a, const candidate& b) { return b < a; };
      std::make_heap(kept.begin(), kept.end(), later);
      auto end = kept.end();
      double held = 0;
      do {
        std::pop_heap(kept.begin(), end--, later);
        held += static_cast<double>(relative_weight(end->logit, all.highest));
      } while (end != kept.begin() && held < options_.top_p * total);
      kept.erase(kept.begin(), end);
      total = held;
    }
    double left = random.uniform() * total;
    token chosen = -1;
    for (const auto& c : kept) {
      const double w = static_cast<double>(relative_weight(c.logit, all.highest));
      if (w <= 0) continue;
      chosen = c.id;
      if (left < w) break;
      left -= w;
    }
    return chosen;
  }

  token_sampling_options options_;
  double inverse_temperature_ = 1.0;
};

using token_sampler = basic_token_sampler<float>;

}  // namespace coho::inline v0_1
