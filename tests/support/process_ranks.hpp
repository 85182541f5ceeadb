#pragma once

#include <algorithm>
#include <barrier>
#include <cstddef>
#include <exception>
#include <memory>
#include <span>
#include <thread>
#include <vector>

#include "distributed/process_group.hpp"

namespace coho::test {

/// Ranks that are threads of this process.
struct meeting_place {
  explicit meeting_place(std::size_t count) : barrier(static_cast<std::ptrdiff_t>(count)), sent(count) {}
  std::barrier<> barrier;
  std::vector<std::vector<std::byte>> sent;
  std::size_t largest = 0;
};

class thread_transport final : public trainer::transport {
 public:
  thread_transport(meeting_place& shared, std::size_t rank) : shared_(shared), rank_(rank) {}
  std::size_t rank() const override { return rank_; }
  std::size_t size() const override { return shared_.sent.size(); }
  std::size_t local_rank() const override { return rank_; }
  std::size_t local_size() const override { return size(); }
  void all_to_all(std::span<const std::byte> sent, std::span<std::byte> received, std::size_t block) override {
    exchange(sent, [&](std::size_t r, const auto& from) {
      std::copy_n(from.begin() + static_cast<std::ptrdiff_t>(rank_ * block), block,
                  received.begin() + static_cast<std::ptrdiff_t>(r * block));
    });
  }
  void all_gather(std::span<const std::byte> mine, std::span<std::byte> all) override {
    exchange(mine, [&](std::size_t r, const auto& from) {
      std::ranges::copy(from, all.begin() + static_cast<std::ptrdiff_t>(r * mine.size()));
    });
  }
  void barrier() override { shared_.barrier.arrive_and_wait(); }
  void abort(int) override { std::terminate(); }
  void finish() override {}

 private:
  template <class Take>
  void exchange(std::span<const std::byte> mine, const Take& take) {
    shared_.sent[rank_].assign(mine.begin(), mine.end());
    if (rank_ == 0) shared_.largest = std::max(shared_.largest, mine.size());
    barrier();
    for (std::size_t r = 0; r < size(); ++r) take(r, shared_.sent[r]);
    barrier();
  }
  meeting_place& shared_;
  std::size_t rank_;
};

/// A process_group on each of so many threads. Returns the bytes of the largest message; exceptions of a rank are the
/// test's.
template <class Function>
std::size_t on_ranks(std::size_t count, const Function& function) {
  meeting_place shared(count);
  std::vector<std::thread> threads;
  std::vector<std::exception_ptr> failures(count);
  for (std::size_t r = 0; r < count; ++r) {
    threads.emplace_back([&, r] {
      try {
        trainer::process_group group(std::make_unique<thread_transport>(shared, r));
        function(group);
      } catch (...) {
        failures[r] = std::current_exception();
      }
    });
  }
  for (auto& thread : threads) thread.join();
  for (const auto& failure : failures) {
    if (failure) std::rethrow_exception(failure);
  }
  return shared.largest;
}

}  // namespace coho::test
