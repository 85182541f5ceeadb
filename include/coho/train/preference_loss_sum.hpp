#pragma once

#include <cmath>
#include <functional>
#include <utility>
#include <vector>

#include <Eigen/Core>

#include <coho/error.hpp>
#include <coho/loss/inputs/preference_log_probs.hpp>
#include <coho/reduce.hpp>
#include <coho/train/steps/preference_objective.hpp>

namespace coho::inline v0_1 {

/// A weighted sum of preference losses that is put together at run time, itself a preference_loss:
///
///     L = Σ_k weight_k·L_k
///
/// It needs what any of its losses needs. Each L_k is the mean that it would be alone: where one of them compares
/// pairs, one that judges responses (KTO) is halved, as an example has two. `accuracy` and `reward_difference` are
/// those of the loss that was added first.
///
///     coho::preference_loss_sum loss;
///     loss.add(1, coho::dpo_loss{{.beta = 0.1}});
///     loss.add(0.2, coho::chosen_nll_loss{});
///     coho::direct_preference_trainer trainer{policy, initial, adam, loss};
class preference_loss_sum {
 public:
  bool needs_reference = false, needs_pairs = false, needs_kl_baseline = false;

  /// Throws `argument_error` for a weight that is not finite and above 0.
  template <preference_loss Loss>
  void add(double weight, Loss loss) {
    require_argument(std::isfinite(weight) && weight > 0, "the weight of a preference loss must be above 0");
    const auto needs = detail::needs_of(loss);
    needs_reference = needs_reference || needs.reference;
    needs_pairs = needs_pairs || needs.pairs;
    needs_kl_baseline = needs_kl_baseline || needs.kl_baseline;
    parts_.push_back(
        {weight, needs.pairs, [loss = std::move(loss)](const preference_log_probs& x, const weights_type& weights) {
           return preference_gradient(loss.value_and_grad(x, weights));
         }});
  }

  /// The interface of a preference_loss. Throws `argument_error` where no loss was added.
  preference_gradient value_and_grad(const preference_log_probs& x,
                                     const token_weights<Eigen::ArrayXd>& weights) const {
    require_argument(!parts_.empty(), "preference_loss_sum: no loss was added");
    preference_gradient out;
    for (const auto& part : parts_) {
      const double scale = part.weight * (needs_pairs && !part.of_pairs ? 0.5 : 1);
      const preference_gradient one = part.evaluate(x, {weights.values * scale});
      if (&part == &parts_.front()) {
        out = one;
        continue;
      }
      out.value += one.value;
      out.d_chosen += one.d_chosen;
      out.d_rejected += one.d_rejected;
    }
    return out;
  }

 private:
  using weights_type = token_weights<Eigen::ArrayXd>;
  struct weighted_loss {
    double weight;
    bool of_pairs;
    std::function<preference_gradient(const preference_log_probs&, const weights_type&)> evaluate;
  };
  std::vector<weighted_loss> parts_;
};

}  // namespace coho::inline v0_1
