#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <ATen/core/Tensor.h>

#include "distributed/nccl.hpp"
#include "distributed/transport.hpp"

namespace coho::trainer {

/// The processes that work on one run: a communicator of the library (`coho::communicator`), with shards.
///
/// Sums are taken in rank order, each element in double and rounded once, and are bit-identical on all ranks. Arrays of
/// any length are sent in pieces. All ranks must call collective members in the same order.
///
///     process_group ranks(mpi_transport());
///     ranks.all_reduce_sum(std::span<double>(statistics));
class process_group {
 public:
  /// Only this process.
  process_group() : process_group(local_transport()) {}
  explicit process_group(std::unique_ptr<transport> carrier) : transport_(std::move(carrier)) {}

  std::size_t rank() const { return transport_->rank(); }
  std::size_t size() const { return transport_->size(); }
  std::size_t local_rank() const { return transport_->local_rank(); }
  std::size_t local_size() const { return transport_->local_size(); }
  /// Whether this is the process that writes files and user output.
  bool first() const { return rank() == 0; }
  /// The transport under the group, with which a job is finished or aborted.
  transport& carrier() { return *transport_; }

  /// How many shards a step's work is divided into; one per rank unless set. See `coho::shard_count`.
  std::size_t shards() const { return shards_ > 0 ? shards_ : size(); }
  void set_shards(std::size_t shards) { shards_ = shards; }

  /// Sums in place over the ranks; all pass the same number of values.
  void all_reduce_sum(std::span<double> values);
  void all_reduce_sum(std::span<float> values);
  /// For a contiguous tensor of float or double. On a GPU with NCCL if the program was built with it, in NCCL's order;
  /// otherwise through host memory.
  void all_reduce_sum(const at::Tensor& values);

  /// The texts of all ranks, in rank order.
  std::vector<std::string> all_gather(std::string_view mine);
  /// The numbers of all ranks, concatenated in rank order.
  std::vector<double> all_gather(std::span<const double> mine);
  /// The first rank's value, on all ranks.
  bool broadcast_from_first(bool mine);
  /// Whether it is true on any rank.
  bool any(bool mine);
  /// Returns once every rank has called it.
  void barrier() { transport_->barrier(); }
  /// Records that all ranks are about to end early at the same point: an agreed stop, not a failure of one rank.
  void announce_agreed_stop() { agreed_stop_ = true; }
  bool agreed_stop() const { return agreed_stop_; }

  /// Numbers per rank that are sent at once. Public for tests.
  std::size_t piece = std::size_t{1} << 18;

 private:
  template <class Number>
  void sum_in_rank_order(std::span<Number> values);

  std::unique_ptr<transport> transport_;
  std::size_t shards_ = 0;
  bool agreed_stop_ = false;
  std::unique_ptr<nccl> nccl_;
};

}  // namespace coho::trainer
