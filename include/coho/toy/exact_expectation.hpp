#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <span>
#include <sstream>
#include <type_traits>
#include <utility>
#include <vector>

#include <Eigen/Core>

#include <coho/concepts.hpp>
#include <coho/error.hpp>
#include <coho/toy/tabular_policy.hpp>

namespace coho::inline v0_1::toy {

/// One of the responses that a policy can give.
struct enumerated_response {
  std::vector<token> tokens;
  double log_prob = 0;    ///< of the whole response, nats
  bool finished = false;  ///< it ends with the end token; false: it was cut at the limit

  double probability() const { return std::exp(log_prob); }
};

struct enumerate_responses_fn {
  /// All responses of a tabular policy to a prompt: each sequence of at most `max_new_tokens` tokens that ends with the
  /// end token, and each of that length without one, which the limit cuts. Exactly what `tabular_policy::generate` can
  /// return, in ascending order of tokens; the probabilities sum to 1. For 0 tokens: the empty response. Throws
  /// argument_error when there are more than `limit`, with their number, and for a prompt outside the vocabulary.
  ///
  ///     coho::toy::tabular_policy policy{{.vocabulary = 3}};
  ///     const std::vector<coho::token> prompt{1};
  ///     auto responses = coho::toy::enumerate_responses(policy, prompt, 2);  // 1 + 2·3 of them
  template <class Number>
  std::vector<enumerated_response> operator()(const basic_tabular_policy<Number>& policy, std::span<const token> prompt,
                                              std::size_t max_new_tokens, std::size_t limit = 1'000'000) const {
    std::vector<enumerated_response> out;
    visit_responses(policy, prompt, max_new_tokens, limit,
                    [&](const enumerated_response& response) { out.push_back(response); });
    return out;
  }

 private:
  friend struct exact_expectation_fn;

  // Calls visit(response) for each response in ascending order of tokens. Counts them first, so that a number over the
  // limit is an error at once.
  template <class Number, class Visit>
  static void visit_responses(const basic_tabular_policy<Number>& policy, std::span<const token> prompt,
                              std::size_t max_new_tokens, std::size_t limit, const Visit& visit) {
    const auto& options = policy.options();
    std::vector<std::uint8_t> allowed(options.vocabulary, 1);
    for (const token t : options.banned) allowed[static_cast<std::size_t>(t)] = 0;
    const bool can_end = allowed[static_cast<std::size_t>(options.end)] != 0;
    allowed[static_cast<std::size_t>(options.end)] = 0;
    const double others = std::accumulate(allowed.begin(), allowed.end(), 0.0);
    double open = 1, ended = 0;  // the numbers of responses of one length; double, which does not wrap around
    for (std::size_t t = 0; t < max_new_tokens && open > 0 && std::isfinite(open); ++t) {
      ended += can_end ? open : 0;
      open *= others;
    }
    if (const double count = open + ended; !(count <= static_cast<double>(limit))) {
      std::ostringstream text;
      text.precision(15);
      text << "there are " << count << " responses of at most " << max_new_tokens << " tokens, over the limit of "
           << limit << ": take a smaller vocabulary or shorter responses";
      throw argument_error(text.str());
    }
    enumerated_response response;
    visit_continuations(policy, policy.contexts().context_after(prompt), max_new_tokens, response, visit);
  }

  // The responses that continue `response` by at most `left` tokens from a context; leaves `response` as it was, except
  // for its log_prob.
  template <class Number, class Visit>
  static void visit_continuations(const basic_tabular_policy<Number>& policy, std::size_t context, std::size_t left,
                                  enumerated_response& response, const Visit& visit) {
    if (left == 0 || response.finished) return visit(std::as_const(response));
    const Eigen::ArrayXd p = policy.probabilities(context);
    const double before = response.log_prob;
    for (Eigen::Index v = 0; v < p.size(); ++v) {
      if (p(v) <= 0) continue;
      const auto next = static_cast<token>(v);
      response.tokens.push_back(next);
      response.log_prob = before + std::log(p(v));
      response.finished = next == policy.options().end;
      visit_continuations(policy, policy.contexts().next_context(context, next), left - 1, response, visit);
      response.tokens.pop_back();
      response.finished = false;
    }
  }
};
inline constexpr enumerate_responses_fn enumerate_responses{};

struct exact_expectation_fn {
  /// E[f(y)] = Σ_y π(y | x)·f(y) over all responses, without sampling error: to test an estimator against its
  /// expectation. f takes an `enumerated_response` and returns a number, or an Eigen array or matrix (evaluated: write
  /// the return type). Throws as `enumerate_responses` does.
  ///
  ///     double length = coho::toy::exact_expectation(policy, prompt, 4, [](const auto& response) {
  ///       return static_cast<double>(response.tokens.size());
  ///     });
  template <class Number, class F>
  auto operator()(const basic_tabular_policy<Number>& policy, std::span<const token> prompt, std::size_t max_new_tokens,
                  F&& f, std::size_t limit = 1'000'000) const {
    using returned = std::remove_cvref_t<std::invoke_result_t<F&, const enumerated_response&>>;
    using result = std::conditional_t<std::is_arithmetic_v<returned>, double, returned>;
    result total{};
    bool first = true;
    enumerate_responses_fn::visit_responses(
        policy, prompt, max_new_tokens, limit, [&](const enumerated_response& response) {
          const result term = response.probability() * static_cast<const result&>(f(response));
          total = first ? term : result(total + term);  // an Eigen object has no size before the first term
          first = false;
        });
    return total;
  }
};
inline constexpr exact_expectation_fn exact_expectation{};

}  // namespace coho::inline v0_1::toy
