#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <memory>
#include <string>

namespace coho::trainer {

/// Sums of tensors over the GPUs of all ranks, by NVIDIA's library NCCL. A build without it has no other member than
/// `built`.
///
/// Tensors of float are added in double, piece by piece, and rounded once: NCCL adds in an order that depends on the
/// machine and on the number of ranks, and so less of that is left in the result.
class nccl {
 public:
  static bool built() noexcept;
  /// What the first rank makes and the others are to be told.
  static std::string new_id();
  /// All ranks together. Throws `coho::error` with NCCL's text.
  nccl(const std::string& id, std::size_t rank, std::size_t size, at::Device device);
  ~nccl();
  nccl(const nccl&) = delete;
  nccl& operator=(const nccl&) = delete;

  /// Of a contiguous tensor of float or double on the device.
  void all_reduce_sum(const at::Tensor& values);

 private:
  struct state;
  std::unique_ptr<state> state_;
};

}  // namespace coho::trainer
