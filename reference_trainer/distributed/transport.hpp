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
  /// Returns once every rank has called it.
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

/// The number of threads for each of the `ranks` processes on one machine: about the same for each, and at least 1.
///
/// Launchers may or may not bind processes to cores: `own` is the number of processors that this process may run on,
/// `machine` the number that any rank of the machine may use.
std::size_t threads_per_rank(std::size_t own, std::size_t machine, std::size_t ranks) noexcept;
/// The same for this process, by its CPU affinity and that of the other ranks. All ranks must call it together.
std::size_t threads_per_rank(transport& ranks);

}  // namespace coho::trainer
