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

  const at::Tensor& values() const { return values_; }
  const at::Tensor& gradients() const { return gradients_; }
  /// argument_error unless the gradients are in host memory.
  std::span<float> gradient_span() const;
  std::int64_t count() const { return values_.numel(); }
  /// Also discards folded gradients.
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
    at::Tensor sum = take_folded();
    if (ranks.size() > 1) sum_over<double>(ranks, sum);
    gradients_.copy_(sum);
  }
  /// From here to `end_shards`, draws depend on the shard and on the earlier draws within it.
  void begin_shard(std::uint64_t shard);
  void end_shards();

  struct entry {
    std::string name;
    std::int64_t offset;
    std::vector<std::int64_t> shape;
  };
  const std::vector<entry>& entries() const { return entries_; }

 private:
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
  at::Tensor take_folded();

  at::Tensor values_, gradients_, folded_;
  std::vector<entry> entries_;
  std::uint64_t draws_ = 0;
  std::optional<std::uint64_t> draws_before_shards_;
};

/// Σ x² of a 1-d tensor in double with libtorch's operators, on the tensor's device; fixed pieces, each summed in the
/// order of at::sum, bound the memory.
double squared_norm_by_operators(const at::Tensor& values);

}  // namespace coho::trainer
