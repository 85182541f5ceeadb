#include <coho/error.hpp>

#include "distributed/transport.hpp"

#ifdef COHO_HAVE_MPI
#include <cstdlib>

#include <mpi.h>
#endif

namespace coho::trainer {

#ifdef COHO_HAVE_MPI

namespace {

/// MPI_COMM_WORLD; the destructor does not finalise MPI, `finish` does.
class mpi final : public transport {
 public:
  mpi() {
    int provided = 0;
    // All MPI calls come from one thread; libtorch's other threads compute.
    MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided);
    rank_ = query_number(MPI_Comm_rank, MPI_COMM_WORLD);
    size_ = query_number(MPI_Comm_size, MPI_COMM_WORLD);
    MPI_Comm machine = MPI_COMM_NULL;
    MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &machine);
    local_rank_ = query_number(MPI_Comm_rank, machine);
    local_size_ = query_number(MPI_Comm_size, machine);
    MPI_Comm_free(&machine);
  }

  std::size_t rank() const override { return rank_; }
  std::size_t size() const override { return size_; }
  std::size_t local_rank() const override { return local_rank_; }
  std::size_t local_size() const override { return local_size_; }

  void all_to_all(std::span<const std::byte> sent, std::span<std::byte> received, std::size_t block) override {
    MPI_Alltoall(sent.data(), static_cast<int>(block), MPI_BYTE, received.data(), static_cast<int>(block), MPI_BYTE,
                 MPI_COMM_WORLD);
  }
  void all_gather(std::span<const std::byte> mine, std::span<std::byte> all) override {
    const int size = static_cast<int>(mine.size());
    MPI_Allgather(mine.data(), size, MPI_BYTE, all.data(), size, MPI_BYTE, MPI_COMM_WORLD);
  }
  void barrier() override { MPI_Barrier(MPI_COMM_WORLD); }
  void abort(int code) override {
    MPI_Abort(MPI_COMM_WORLD, code);
    std::_Exit(code);
  }
  void finish() override { MPI_Finalize(); }

 private:
  // The rank or size of a communicator, by the MPI function that returns it through a pointer.
  template <class Query>
  static std::size_t query_number(Query query, MPI_Comm communicator) {
    int out = 0;
    query(communicator, &out);
    return static_cast<std::size_t>(out);
  }
  std::size_t rank_ = 0, size_ = 1, local_rank_ = 0, local_size_ = 1;
};

}  // namespace

bool has_mpi() noexcept { return true; }
std::unique_ptr<transport> mpi_transport() { return std::make_unique<mpi>(); }

#else

bool has_mpi() noexcept { return false; }
std::unique_ptr<transport> mpi_transport() { throw error("this program was built without MPI"); }

#endif

}  // namespace coho::trainer
