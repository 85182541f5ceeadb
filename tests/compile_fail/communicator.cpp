// expect: coho::communicator (2): the communicator has no all_reduce_sum(std::span<double>) and (std::span<float>)
#include <cstddef>
#include <span>

#include <coho/require.hpp>

struct ranks {
  std::size_t rank();
  std::size_t size();
#ifndef COHO_FAIL
  void all_reduce_sum(std::span<float>);
#endif
  void all_reduce_sum(std::span<double>);
};

static_assert(coho::require_communicator<ranks>());
