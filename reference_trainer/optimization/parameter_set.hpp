#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace coho::trainer {

/// Trainable tensors laid end to end in one fp32 buffer, their gradients in another.
///
/// Each tensor handed over is replaced by a leaf view of the buffer, so that clipping, all-reduce, the optimizer step and
/// checkpoints each work on one contiguous array however many tensors there are.
class parameter_set {
 public:
  /// `tensors`: a name and the place that holds the tensor. All fp32 and on one device.
  explicit parameter_set(const std::vector<std::pair<std::string, at::Tensor*>>& tensors);

  const at::Tensor& values() const { return values_; }
  const at::Tensor& gradients() const { return gradients_; }
  std::span<float> gradient_span() const;
  std::int64_t count() const { return values_.numel(); }
  void zero_gradients() { gradients_.zero_(); }

  /// A number that is another one each time: which elements a forward pass drops out. Kept in checkpoints.
  std::uint64_t next_draw() { return draws_++; }
  std::uint64_t draws() const { return draws_; }
  void set_draws(std::uint64_t draws) { draws_ = draws; }

  struct entry {
    std::string name;
    std::int64_t offset;
    std::vector<std::int64_t> shape;
  };
  const std::vector<entry>& entries() const { return entries_; }

 private:
  at::Tensor values_, gradients_;
  std::vector<entry> entries_;
  std::uint64_t draws_ = 0;
};

}  // namespace coho::trainer
