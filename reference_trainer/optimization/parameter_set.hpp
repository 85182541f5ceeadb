#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <ATen/ATen.h>

namespace coho::trainer {

/// Trainable tensors concatenated in one fp32 buffer, and their gradients in another.
///
/// Each tensor is replaced by a leaf view of the buffer, so that clipping, all-reduce, the optimizer step and
/// checkpoints each work on one contiguous array. Both buffers are on the tensors' device; the members of
/// coho::trainable work there.
class parameter_set {
 public:
  /// `tensors`: a name and the variable that holds the tensor. All fp32 and on one device.
  explicit parameter_set(const std::vector<std::pair<std::string, at::Tensor*>>& tensors);

  /// All tensors and all gradients: fp32 [count].
  const at::Tensor& values() const { return values_; }
  const at::Tensor& gradients() const { return gradients_; }
  /// The gradients in host memory; argument_error if they are on a device.
  std::span<float> gradient_span() const;
  std::int64_t count() const { return values_.numel(); }
  /// Sets the gradients to zero and discards folded ones.
  void zero_gradients() {
    gradients_.zero_();
    folded_ = at::Tensor();
  }

  /// A number that differs at each call: it selects the elements that a forward pass drops out. Kept in checkpoints.
  std::uint64_t next_draw() { return draws_++; }
  std::uint64_t draws() const { return draws_; }
  void set_draws(std::uint64_t draws) { draws_ = draws; }

  /// Σ g² in double: element by element on the CPU, with `squared_norm_by_operators` elsewhere. Both are
  /// bit-reproducible.
  double squared_gradient_norm() const;
  /// g ← g · factor.
  void scale_gradients(double factor);
  /// Sums the gradients over the ranks. Gradients on a device go through host memory unless the communicator takes
  /// tensors.
  template <class Communicator>
  void all_reduce_gradients(Communicator& ranks) {
    if (ranks.size() > 1) sum_over<float>(ranks, gradients_);
  }

  /// Adds the gradients to a separate sum in double and sets them to zero.
  void fold_gradients();
  /// Leaves that sum, over the ranks, in the gradients and frees its memory.
  template <class Communicator>
  void unfold_gradients(Communicator& ranks) {
    at::Tensor sum = release_folded();
    if (ranks.size() > 1) sum_over<double>(ranks, sum);
    gradients_.copy_(sum);
  }
  /// From here to `end_shards`, draws depend on the shard and on the earlier draws within it.
  void begin_shard(std::uint64_t shard);
  /// Ends the step's shards: further draws are the same on every rank.
  void end_shards();

  /// Where a tensor is in the buffers.
  struct entry {
    std::string name;
    std::int64_t offset;
    std::vector<std::int64_t> shape;
  };
  const std::vector<entry>& entries() const { return entries_; }

 private:
  // In place; through host memory if the communicator takes no tensors.
  template <class Number, class Communicator>
  static void sum_over(Communicator& ranks, at::Tensor& numbers) {
    if constexpr (requires { ranks.all_reduce_sum(numbers); }) {
      ranks.all_reduce_sum(numbers);
    } else {
      const at::Tensor host = numbers.cpu();  // the numbers themselves if they are on the CPU
      ranks.all_reduce_sum(std::span<Number>(host.data_ptr<Number>(), static_cast<std::size_t>(host.numel())));
      if (!numbers.is_cpu()) numbers.copy_(host);
    }
  }
  // The sum of the folded gradients, zeros if nothing was folded; the set no longer holds it.
  at::Tensor release_folded();

  at::Tensor values_, gradients_, folded_;
  std::vector<entry> entries_;
  std::uint64_t draws_ = 0;
  std::optional<std::uint64_t> draws_before_shards_;
};

/// Σ x² of a 1-d tensor in double with libtorch's operators, on the tensor's device; fixed pieces, each summed in the
/// order of at::sum, bound the memory.
double squared_norm_by_operators(const at::Tensor& values);

}  // namespace coho::trainer
