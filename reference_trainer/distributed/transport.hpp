#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace coho::trainer {

/// How the processes of a job reach each other. All ranks must make all collective calls in the same order.
class transport {
 public:
  virtual ~transport() = default;
  virtual std::size_t rank() const = 0;
  virtual std::size_t size() const = 0;
  /// Among the ranks of this machine.
  virtual std::size_t local_rank() const = 0;
  virtual std::size_t local_size() const = 0;
  /// Block r of `sent` (`block` bytes each, one per rank) goes to rank r; block r of `received` came from rank r.
  virtual void all_to_all(std::span<const std::byte> sent, std::span<std::byte> received, std::size_t block) = 0;
  /// `mine` (of equal length on every rank) of every rank, concatenated.
  virtual void all_gather(std::span<const std::byte> mine, std::span<std::byte> all) = 0;
  virtual void barrier() = 0;
  /// Ends the job on all ranks with this exit status. Does not return.
  virtual void abort(int code) = 0;
  /// The last call of a process whose job ends normally.
  virtual void finish() = 0;
};

/// Only this process.
std::unique_ptr<transport> local_transport();

/// Whether the program was built with MPI.
bool has_mpi() noexcept;
/// Starts MPI, which is possible once per process. Without MPI in the build throws `coho::error`.
std::unique_ptr<transport> mpi_transport();

/// The number of processors for this process: the ranks of one machine get about the same number each.
///
/// Launchers may or may not bind processes to cores: `bound` are the processors that this process may run on, `all`
/// those that any rank of the machine may use.
std::size_t fair_threads(std::size_t bound, std::size_t all, std::size_t ranks) noexcept;
std::size_t fair_threads(transport& ranks);

}  // namespace coho::trainer
