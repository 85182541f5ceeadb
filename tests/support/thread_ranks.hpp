#pragma once

#include <barrier>
#include <cstddef>
#include <exception>
#include <span>
#include <thread>
#include <vector>

namespace coho::test {

/// Data-parallel ranks as threads of this process. `run_ranks(n, f)` calls f(communicator) on n threads; an exception
/// of any rank is rethrown, the ranks must throw together. `shards`: what the communicators say of them, 0 for one a
/// rank.
class thread_ranks {
 public:
  explicit thread_ranks(std::size_t count, std::size_t shards = 0)
      : count_(count),
        shards_(shards > 0 ? shards : count),
        barrier_(static_cast<std::ptrdiff_t>(count)),
        slots_(count) {}

  class communicator {
   public:
    communicator(thread_ranks& shared, std::size_t rank) : shared_(shared), rank_(rank) {}
    std::size_t rank() const noexcept { return rank_; }
    std::size_t size() const noexcept { return shared_.count_; }
    std::size_t shards() const noexcept { return shared_.shards_; }
    void all_reduce_sum(std::span<double> values) { shared_.sum(values, rank_); }
    void all_reduce_sum(std::span<float> values) { shared_.sum(values, rank_); }

   private:
    thread_ranks& shared_;
    std::size_t rank_;
  };

 private:
  template <class Number>
  void sum(std::span<Number> values, std::size_t rank) {
    slots_[rank].assign(values.begin(), values.end());
    barrier_.arrive_and_wait();
    for (std::size_t i = 0; i < values.size(); ++i) {
      double total = 0;
      for (const auto& slot : slots_) total += slot[i];
      values[i] = static_cast<Number>(total);
    }
    barrier_.arrive_and_wait();
  }

  std::size_t count_, shards_;
  std::barrier<> barrier_;
  std::vector<std::vector<double>> slots_;
};

template <class Function>
void run_ranks(std::size_t count, Function function, std::size_t shards = 0) {
  thread_ranks shared(count, shards);
  std::vector<std::exception_ptr> failures(count);
  std::vector<std::thread> threads;
  for (std::size_t rank = 0; rank < count; ++rank) {
    threads.emplace_back([&, rank] {
      try {
        thread_ranks::communicator ranks(shared, rank);
        function(ranks);
      } catch (...) {
        failures[rank] = std::current_exception();
      }
    });
  }
  for (auto& thread : threads) thread.join();
  for (const auto& failure : failures) {
    if (failure) std::rethrow_exception(failure);
  }
}

}  // namespace coho::test
