#pragma once

#include <cstddef>
#include <ranges>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <coho/concepts.hpp>
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
///       sum.begin(shard.number);
///       …  // forwards and pullbacks
///       sum.end();
///     }
///     sum.close();       // no more forwards
///     sum.all_reduce();  // the models hold the whole gradient, on all ranks
template <class Communicator, trainable... Models>
class gradient_sum {
 public:
  gradient_sum(Communicator& ranks, std::size_t shards, Models&... models)
      : ranks_(ranks),
        several_(shards > 1),
        folds_(shards > static_cast<std::size_t>(ranks.size())),
        parts_(model_sum<Models>{models}...) {
    each([](auto& part) { part.model.zero_gradients(); });
  }

  /// Call before a shard's forwards.
  void begin([[maybe_unused]] std::size_t shard) {
    each([&](auto& part) {
      if constexpr (requires { part.model.begin_shard(shard); }) {
        if (several_) part.model.begin_shard(shard);
      }
    });
  }
  /// Call after its pullbacks.
  void end() {
    if (folds_) each([](auto& part) { part.fold(); });
  }
  /// Call on all ranks, including those without a shard.
  void close() {
    each([&](auto& part) {
      if constexpr (requires { part.model.end_shards(); }) {
        if (several_) part.model.end_shards();
      }
    });
  }
  void all_reduce() {
    if (!folds_) {
      std::apply([&](auto&... parts) { all_reduce_gradients(ranks_, parts.model...); }, parts_);
    } else {
      each([&](auto& part) { part.unfold(ranks_); });
    }
  }

 private:
  template <class Model>
  struct model_sum {
    Model& model;
    std::vector<std::vector<double>> sums{};

    void fold() {
      if constexpr (requires { model.fold_gradients(); }) {
        model.fold_gradients();
      } else if constexpr (requires { model.gradients(); }) {
        gather_sums();
        std::size_t i = 0;
        for (auto&& gradient : model.gradients()) {
          double* to = sums[i++].data();
          for (const auto g : gradient) *to++ += static_cast<double>(g);
        }
        model.zero_gradients();
      } else {
        refuse();
      }
    }
    void unfold([[maybe_unused]] Communicator& ranks) {
      if constexpr (requires { model.unfold_gradients(ranks); }) {
        model.unfold_gradients(ranks);
      } else if constexpr (requires { model.gradients(); }) {
        gather_sums();
        std::size_t i = 0;
        for (auto&& gradient : model.gradients()) {
          ranks.all_reduce_sum(detail::span_of(sums[i]));
          const double* from = sums[i++].data();
          for (auto& g : gradient) g = static_cast<std::ranges::range_value_t<decltype(gradient)>>(*from++);
        }
        sums.clear();
      } else {
        refuse();
      }
    }

   private:
    void gather_sums() {
      if (!sums.empty()) return;
      for (auto&& gradient : model.gradients()) sums.emplace_back(static_cast<std::size_t>(gradient.size()), 0.0);
    }
    static void refuse() {
      require_argument(false,
                       "a model without gradients() needs fold_gradients() and unfold_gradients(communicator) "
                       "where a rank works on several shards");
    }
  };

  template <class Function>
  void each(const Function& function) {
    std::apply([&](auto&... parts) { (function(parts), ...); }, parts_);
  }

  Communicator& ranks_;
  bool several_, folds_;
  std::tuple<model_sum<Models>...> parts_;
};

namespace detail {
/// For passes without gradients.
struct no_gradient_sum {
  static void begin(std::size_t) {}
  static void end() {}
  static void close() {}
};
}  // namespace detail

}  // namespace coho::inline v0_1
