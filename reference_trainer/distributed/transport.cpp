#include "distributed/transport.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <sched.h>
#include <thread>
#include <unistd.h>
#include <utility>
#include <vector>

#include <coho/error.hpp>

namespace coho::trainer {
namespace {

// A job of one process: what it sends, it receives.
class single_process final : public transport {
 public:
  std::size_t rank() const override { return 0; }
  std::size_t size() const override { return 1; }
  std::size_t local_rank() const override { return 0; }
  std::size_t local_size() const override { return 1; }
  void all_to_all(std::span<const std::byte> sent, std::span<std::byte> received, std::size_t) override {
    std::ranges::copy(sent, received.begin());
  }
  void all_gather(std::span<const std::byte> mine, std::span<std::byte> all) override {
    std::ranges::copy(mine, all.begin());
  }
  void barrier() override {}
  void abort(int code) override { std::_Exit(code); }
  void finish() override {}
};

}  // namespace

std::unique_ptr<transport> local_transport() { return std::make_unique<single_process>(); }

std::size_t threads_per_rank(std::size_t own, std::size_t machine, std::size_t ranks) noexcept {
  return std::max<std::size_t>(1, std::min(own, machine / std::max<std::size_t>(ranks, 1)));
}

std::size_t threads_per_rank(transport& ranks) {
  ::cpu_set_t mine;
  CPU_ZERO(&mine);
  if (::sched_getaffinity(0, sizeof(mine), &mine) != 0) {
    const std::size_t processors = std::max(1U, std::thread::hardware_concurrency());
    return threads_per_rank(processors, processors, ranks.local_size());
  }
  // The ranks of this machine, identified by the machine's name.
  struct entry {
    char host[64] = {};
    ::cpu_set_t processors;
  } own;
  if (::gethostname(own.host, sizeof(own.host) - 1) != 0) own.host[0] = '\0';
  own.processors = mine;
  std::vector<entry> all(ranks.size());
  ranks.all_gather(std::as_bytes(std::span(&own, 1)), std::as_writable_bytes(std::span(all)));
  ::cpu_set_t together = mine;
  for (const entry& other : all) {
    if (std::strcmp(other.host, own.host) == 0) CPU_OR(&together, &together, &other.processors);
  }
  return threads_per_rank(static_cast<std::size_t>(CPU_COUNT(&mine)), static_cast<std::size_t>(CPU_COUNT(&together)),
                          ranks.local_size());
}

}  // namespace coho::trainer
