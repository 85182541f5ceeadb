#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include <ATen/core/Tensor.h>

namespace coho::trainer {

/// Sums of tensors over the GPUs of all ranks, with NVIDIA's NCCL. In a build without NCCL the only member is `built`.
///
/// Float tensors are added in double, piece by piece, and rounded once: NCCL adds in an order that depends on the
/// machine and on the number of ranks, and double keeps most of that out of the result.
class nccl {
 public:
  /// Whether the program was built with NCCL.
  static bool is_built() noexcept;
  /// The unique id of a job, as bytes: made by the first rank, which distributes it to the others.
  static std::string new_unique_id();
  /// All ranks together. Throws `coho::error` with NCCL's message.
  nccl(const std::string& id, std::size_t rank, std::size_t size, at::Device device);
  ~nccl();
  nccl(const nccl&) = delete;
  nccl& operator=(const nccl&) = delete;

  /// Sums in place over the ranks; for a contiguous tensor of float or double on the device. Enqueued on the current
  /// stream.
  void all_reduce_sum(const at::Tensor& values);

 private:
  struct state;
  std::unique_ptr<state> state_;
};

}  // namespace coho::trainer
