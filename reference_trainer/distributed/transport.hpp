#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace coho::trainer {

/// How the processes of a job reach each other. All collective calls are made by all ranks in the same order.
class transport {
 public:
  virtual ~transport() = default;
  virtual std::size_t rank() const = 0;
  virtual std::size_t size() const = 0;
  /// Among the ranks of this machine.
  virtual std::size_t local_rank() const = 0;
  virtual std::size_t local_size() const = 0;
  /// Block r of `sent` (`block` bytes each, one a rank) goes to rank r; block r of `received` came from rank r.
  virtual void all_to_all(std::span<const std::byte> sent, std::span<std::byte> received, std::size_t block) = 0;
  /// `mine` (as long on every rank) of every rank, one after another.
  virtual void all_gather(std::span<const std::byte> mine, std::span<std::byte> all) = 0;
  virtual void barrier() = 0;
  /// Ends the job on all ranks with this exit status. Does not return.
  virtual void abort(int code) = 0;
  /// The last call of a process whose job ends as it should.
  virtual void finish() = 0;
};

/// This process alone.
std::unique_ptr<transport> local_transport();

/// Whether the program was built with MPI.
bool has_mpi() noexcept;
/// Starts MPI, which can be done once in a process. Without MPI in the build throws `coho::error`.
std::unique_ptr<transport> mpi_transport();

/// Processors that this process may use; of the ranks of one machine each gets about as many.
///
/// Launchers bind processes to cores, or do not: `bound` are the processors that this one may run on, `all` those that
/// any rank of the machine may.
std::size_t fair_threads(std::size_t bound, std::size_t all, std::size_t ranks) noexcept;
std::size_t fair_threads(transport& ranks);

}  // namespace coho::trainer
