#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <vector>

#include <coho/concepts.hpp>
#include <coho/detail/if_called.hpp>
#include <coho/error.hpp>
#include <coho/rng.hpp>

namespace coho::inline v0_1 {

/// The position of passes over fixed data: what a checkpoint needs in addition to the model and the optimizer. A run
/// can only be continued with the seed and the batch size that it started with, since others would give another order.
struct data_position {
  std::uint64_t step = 0;
  std::uint64_t seed = 0;
  std::size_t batch_size = 0;
  friend bool operator==(const data_position&, const data_position&) = default;
};

/// Which examples each optimizer step of a pass over fixed data sees: a function of (seed, step) only, so a resumed run
/// sees the examples that an uninterrupted run would have seen.
///
/// Each epoch is a fresh shuffle (or the given order) cut into batches of `batch_size` over all ranks; the last batch
/// of an epoch may be smaller. Rank r of n takes the examples r, r + n, r + 2n, … of a batch.
///
///     coho::data_order order{1000, 32, seed, true};
///     order.batch(7, 0, 1);  // indices of step 7 on the only rank
class data_order {
 public:
  template <class = detail::if_called>
  data_order(std::size_t examples, std::size_t batch_size, std::uint64_t seed, bool shuffle)
      : examples_(examples), batch_size_(std::min(batch_size, examples)), seed_(seed), shuffle_(shuffle) {
    require_argument(examples > 0, "there are no examples to train on");
    require_option(batch_size > 0, "batch_size", batch_size, "at least 1");
  }

  /// Batches of an epoch, a last smaller one included.
  std::uint64_t steps_per_epoch() const noexcept { return (examples_ + batch_size_ - 1) / batch_size_; }

  /// The examples of `step` (counted over all epochs) that this rank works on, in order; it may have none. The shuffle
  /// of an epoch is kept until another epoch is asked for.
  template <class = detail::if_called>
  std::vector<std::size_t> batch(std::uint64_t step, std::size_t rank, std::size_t ranks) {
    const std::uint64_t epoch = step / steps_per_epoch();
    if (order_.empty() || epoch != epoch_) {
      order_.resize(examples_);
      std::iota(order_.begin(), order_.end(), std::size_t{0});
      if (shuffle_) {
        rng random = rng(seed_).split(stream_key("data order")).split(epoch);
        random.shuffle(order_);
      }
      epoch_ = epoch;
    }
    const std::size_t begin = static_cast<std::size_t>(step % steps_per_epoch()) * batch_size_;
    const std::size_t end = std::min(begin + batch_size_, examples_);
    std::vector<std::size_t> out;
    for (std::size_t i = begin + rank; i < end; i += ranks) out.push_back(order_[i]);
    return out;
  }

 private:
  std::size_t examples_, batch_size_;
  std::uint64_t seed_, epoch_ = 0;
  bool shuffle_;
  std::vector<std::size_t> order_;
};

}  // namespace coho::inline v0_1
