#pragma once

#include <cstddef>
#include <ranges>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <coho/concepts.hpp>
#include <coho/detail/span_of.hpp>
#include <coho/error.hpp>
#include <coho/packed.hpp>
#include <coho/parallel/all_reduce.hpp>

namespace coho::inline v0_1 {

/// The gradients of one or more models summed over the shards of a batch and all ranks.
///
/// A rank that works on one shard sums its micro-batches where the model keeps its gradients, at no cost. If ranks work
/// on several shards, each shard's gradients are added to a sum in double when the shard is done; the sum is rounded to
/// the model's number type once, after the reduction over the ranks. It is exact for float gradients unless the shards'
/// gradients of one weight differ more than 2²⁸-fold, so the assignment of shards to ranks does not change the result.
///
///     coho::gradient_sum sum(ranks, work.shards, policy, value);  // zeroes the gradients
///     for (const auto& shard : work.mine) {
///       sum.begin_shard(shard.number);
///       …  // forwards and pullbacks
///       sum.end_shard();
///     }
///     sum.end_forwards();  // no more forwards
///     sum.all_reduce();    // the models hold the whole gradient, on all ranks
template <class Communicator, trainable... Models>
class gradient_sum {
 public:
  gradient_sum(Communicator& ranks, std::size_t shards, Models&... models)
      : ranks_(ranks),
        several_(shards > 1),
        folds_(shards > static_cast<std::size_t>(ranks.size())),
        parts_(model_sum<Models>{models}...) {
    for_each_model([](auto& part) { part.model.zero_gradients(); });
  }

  /// Call before a shard's forwards; `shard` numbers it over all ranks, for the model's random numbers.
  void begin_shard([[maybe_unused]] std::size_t shard) {
    for_each_model([&](auto& part) {
      if constexpr (requires { part.model.begin_shard(shard); }) {
        if (several_) part.model.begin_shard(shard);
      }
    });
  }
  /// Call after its pullbacks: adds its gradients to the sum and sets them to zero, if there are several per rank.
  void end_shard() {
    if (folds_) for_each_model([](auto& part) { part.fold(); });
  }
  /// Call after the last shard, on all ranks, including those without a shard.
  void end_forwards() {
    for_each_model([&](auto& part) {
      if constexpr (requires { part.model.end_shards(); }) {
        if (several_) part.model.end_shards();
      }
    });
  }
  /// Leaves the gradient of the whole batch in the models. All ranks call together.
  void all_reduce() {
    if (!folds_) {
      std::apply([&](auto&... parts) { all_reduce_gradients(ranks_, parts.model...); }, parts_);
    } else {
      for_each_model([&](auto& part) { part.unfold(ranks_); });
    }
  }

 private:
  // One model, and the sums in double of its gradients over this rank's shards where it does not keep them itself.
  template <class Model>
  struct model_sum {
    Model& model;
    std::vector<std::vector<double>> sums{};

    // Adds the gradients to the sums, and sets them to zero.
    void fold() {
      if constexpr (requires { model.fold_gradients(); }) {
        model.fold_gradients();
      } else if constexpr (requires { model.gradients(); }) {
        allocate_sums();
        std::size_t i = 0;
        for (auto&& gradient : model.gradients()) {
          double* to = sums[i++].data();
          for (const auto g : gradient) *to++ += static_cast<double>(g);
        }
        model.zero_gradients();
      } else {
        throw_cannot_fold();
      }
    }
    // The sums over all ranks, rounded, as the gradients.
    void unfold([[maybe_unused]] Communicator& ranks) {
      if constexpr (requires { model.unfold_gradients(ranks); }) {
        model.unfold_gradients(ranks);
      } else if constexpr (requires { model.gradients(); }) {
        allocate_sums();
        std::size_t i = 0;
        for (auto&& gradient : model.gradients()) {
          ranks.all_reduce_sum(detail::span_of(sums[i]));
          const double* from = sums[i++].data();
          for (auto& g : gradient) g = static_cast<std::ranges::range_value_t<decltype(gradient)>>(*from++);
        }
        sums.clear();
      } else {
        throw_cannot_fold();
      }
    }

   private:
    // Zeros for each gradient, once: a rank without a shard has not folded before it unfolds.
    void allocate_sums() {
      if (!sums.empty()) return;
      for (auto&& gradient : model.gradients()) sums.emplace_back(static_cast<std::size_t>(gradient.size()), 0.0);
    }
    // Found at run time: only then is it known that ranks work on several shards.
    static void throw_cannot_fold() {
      require_argument(false,
                       "a model without gradients() needs fold_gradients() and unfold_gradients(communicator) "
                       "where a rank works on several shards");
    }
  };

  // Calls the function with the `model_sum` of each model.
  template <class Function>
  void for_each_model(const Function& function) {
    std::apply([&](auto&... parts) { (function(parts), ...); }, parts_);
  }

  Communicator& ranks_;
  bool several_, folds_;
  std::tuple<model_sum<Models>...> parts_;
};

namespace detail {
/// In place of a `gradient_sum` for passes without gradients.
struct no_gradient_sum {
  static void begin_shard(std::size_t) {}
  static void end_shard() {}
  static void end_forwards() {}
};
}  // namespace detail

}  // namespace coho::inline v0_1
