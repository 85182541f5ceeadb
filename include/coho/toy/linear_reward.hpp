#pragma once

#include <array>
#include <span>
#include <utility>
#include <vector>

#include <Eigen/Core>

#include <coho/concepts.hpp>
#include <coho/detail/span_of.hpp>
#include <coho/error.hpp>

namespace coho::inline v0_1::toy {

/// A reward linear in the features of a query: r = w · φ(query). differentiable_reward_model and trainable.
/// `Features` is callable with a reward_query and returns an Eigen::VectorXd of the length of w.
///
///     coho::toy::linear_reward reward{2, [](const coho::reward_query& q) {
///       return Eigen::VectorXd{{1.0, double(q.response_tokens.size())}};
///     }};
template <class Features>
class linear_reward {
 public:
  linear_reward(std::size_t size, Features features) : features_(std::move(features)) {
    weights.setZero(static_cast<Eigen::Index>(size));
    gradient.setZero(weights.size());
  }

  /// r of each query.
  std::vector<double> score(std::span<const reward_query> queries) const {
    std::vector<double> out;
    for (const auto& query : queries) out.push_back(checked_features(query).dot(weights));
    return out;
  }

  /// The scores and a pullback, which adds Σ_i d_i·φ(query_i) to `gradient`.
  auto forward(std::span<const reward_query> queries) {
    std::vector<Eigen::VectorXd> rows;
    std::vector<double> scores;
    for (const auto& query : queries) {
      rows.push_back(checked_features(query));
      scores.push_back(rows.back().dot(weights));
    }
    return std::pair{std::move(scores), [this, rows = std::move(rows)](std::span<const double> seed) {
                       for (std::size_t i = 0; i < rows.size(); ++i) {
                         for (Eigen::Index k = 0; k < gradient.size(); ++k) gradient(k) += seed[i] * rows[i](k);
                       }
                     }};
  }

  void zero_gradients() { gradient.setZero(); }
  std::array<std::span<double>, 1> gradients() {
    return {detail::span_of(gradient.data(), static_cast<std::size_t>(gradient.size()))};
  }
  std::array<std::span<double>, 1> parameters() {
    return {detail::span_of(weights.data(), static_cast<std::size_t>(weights.size()))};
  }

  Eigen::VectorXd weights, gradient;

 private:
  // φ(query); throws `argument_error` unless it has the length of w.
  Eigen::VectorXd checked_features(const reward_query& query) const {
    Eigen::VectorXd out = features_(query);
    require_argument(out.size() == weights.size(), "linear_reward: the features and the weights differ in length");
    return out;
  }
  Features features_;
};

}  // namespace coho::inline v0_1::toy
