#pragma once

// Enough of CUDA's language to run the kernels' source on the CPU. Each thread of a block is a fibre
// with its own stack; a barrier or a shuffle switches to the next fibre until all have arrived. Blocks run one after
// the other. `emulation::order` chooses which thread runs first: a missing barrier shows in one order or the other.

// Tells reference_trainer/kernels/cuda/device_functions.hpp that the language is there.
#define COHO_CUDA_EMULATION 1

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <stdexcept>
#include <ucontext.h>
#include <vector>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

// The launchers under different names, because the real ones may be linked into the same program.
#define coho_cuda_nf4_dequantize emulated_nf4_dequantize
#define coho_cuda_nf4_matvec emulated_nf4_matvec
#define coho_cuda_log_prob_forward emulated_log_prob_forward
#define coho_cuda_log_prob_backward emulated_log_prob_backward

#define __global__
#define __device__
#define __constant__
#define __shared__ static
#define __align__(bytes) __attribute__((aligned(bytes)))
#define __launch_bounds__(...)

namespace coho::trainer::cuda {

// CUDA's vectors, which may alias memory of any type.
struct __attribute__((may_alias, aligned(16))) float4 {
  float x, y, z, w;
};
struct __attribute__((may_alias, aligned(16))) uint4 {
  unsigned x, y, z, w;
};
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }
struct index3 {
  unsigned x = 0;
};

constexpr int cudaErrorInvalidValue = 1;

inline index3 threadIdx, blockIdx;

namespace emulation {

enum class run_order { forward, backward };
inline run_order order = run_order::forward;
/// How many blocks of threads have run, so that a test can see that a kernel was launched at all.
inline std::uint64_t blocks_run = 0;

class block {
 public:
  block(unsigned threads, const std::function<void()>& kernel)
      : kernel_(kernel), fibres_(threads), warps_(threads / 32) {
    if (threads % 32 != 0) throw std::logic_error("emulation: only whole warps are supported");
  }

  void run() {
    current() = this;
    for (std::size_t i = 0; i < fibres_.size(); ++i) start(fibres_[i], i);
    std::size_t done = 0;
    while (done < fibres_.size()) {
      const std::uint64_t before = progress_;
      for (std::size_t i = 0; i < fibres_.size(); ++i) {
        const std::size_t next = order == run_order::forward ? i : fibres_.size() - 1 - i;
        if (fibres_[next].done) continue;
        running_ = next;
        threadIdx.x = static_cast<unsigned>(next);
        enter(fibres_[next]);
        done += fibres_[next].done ? 1 : 0;
      }
      if (progress_ == before) throw std::logic_error("emulation: threads wait at a barrier that others never reach");
    }
    current() = nullptr;
    ++blocks_run;
  }

  static block*& current() {
    static block* block_of_now = nullptr;
    return block_of_now;
  }

  /// __syncthreads: every thread of the block, none of which has returned.
  void wait_for_block() { wait(all_, fibres_.size()); }

  /// The value that lane `source` of the caller's warp passes.
  std::uint32_t exchange(std::uint32_t value, unsigned source) {
    auto& warp = warps_[running_ / 32];
    // Two alternating sets of slots: no lane writes to a set again before all lanes have read it.
    auto& slots = warp.slots[warp.all.generation % 2];
    slots[running_ % 32] = value;
    wait(warp.all, 32);
    return slots[source % 32];
  }

 private:
  struct gate {
    std::size_t arrived = 0;
    std::uint64_t generation = 0;
  };
  struct warp_state {
    std::uint32_t slots[2][32] = {};
    gate all;
  };
  struct fibre {
    ucontext_t context;
    char* stack = nullptr;
    bool done = false;
    void* fake_stack = nullptr;
  };
  static constexpr std::size_t stack_bytes = 128 * 1024;

  void start(fibre& f, std::size_t index) {
    static std::vector<std::unique_ptr<char[]>> stacks;  // kept between blocks
    while (stacks.size() <= index) stacks.emplace_back(new char[stack_bytes]);
    f.stack = stacks[index].get();
#if defined(__SANITIZE_ADDRESS__)
    __asan_unpoison_memory_region(f.stack, stack_bytes);  // frames of a fibre that ended without returning
#endif
    getcontext(&f.context);
    f.context.uc_stack.ss_sp = f.stack;
    f.context.uc_stack.ss_size = stack_bytes;
    f.context.uc_link = nullptr;
    makecontext(&f.context, &block::body, 0);
  }

  static void body() {
    block& b = *current();
    b.entered(nullptr);
    b.kernel_();
    b.fibres_[b.running_].done = true;
    ++b.progress_;
    b.leave(true);
  }

  void enter(fibre& f) {
#if defined(__SANITIZE_ADDRESS__)
    void* mine = nullptr;
    __sanitizer_start_switch_fiber(&mine, f.stack, stack_bytes);
    swapcontext(&scheduler_, &f.context);
    __sanitizer_finish_switch_fiber(mine, nullptr, nullptr);
#else
    swapcontext(&scheduler_, &f.context);
#endif
  }

  void leave(bool for_ever) {
    fibre& f = fibres_[running_];
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_start_switch_fiber(for_ever ? nullptr : &f.fake_stack, scheduler_stack_, scheduler_bytes_);
#else
    static_cast<void>(for_ever);
#endif
    swapcontext(&f.context, &scheduler_);
    entered(f.fake_stack);
  }

  void entered([[maybe_unused]] void* fake_stack) {
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(fake_stack, &scheduler_stack_, &scheduler_bytes_);
#endif
  }

  void wait(gate& g, std::size_t count) {
    const std::uint64_t mine = g.generation;
    ++progress_;
    if (++g.arrived == count) {
      g.arrived = 0;
      ++g.generation;
      return;
    }
    while (g.generation == mine) leave(false);
  }

  const std::function<void()>& kernel_;
  std::vector<fibre> fibres_;
  std::vector<warp_state> warps_;
  gate all_;
  ucontext_t scheduler_;
  const void* scheduler_stack_ = nullptr;
  std::size_t scheduler_bytes_ = 0;
  std::size_t running_ = 0;
  std::uint64_t progress_ = 0;
};

inline int run(unsigned blocks, unsigned threads, const std::function<void()>& kernel) {
  for (unsigned i = 0; i < blocks; ++i) {
    blockIdx.x = i;
    block(threads, kernel).run();
  }
  return 0;
}

}  // namespace emulation

inline void __syncthreads() { emulation::block::current()->wait_for_block(); }

inline std::uint32_t __float_as_uint(float x) {
  std::uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  return bits;
}
inline float __uint_as_float(std::uint32_t bits) {
  float x;
  std::memcpy(&x, &bits, sizeof x);
  return x;
}
inline float __shfl_sync(unsigned, float x, int lane) {
  return __uint_as_float(emulation::block::current()->exchange(__float_as_uint(x), static_cast<unsigned>(lane)));
}
inline float __shfl_xor_sync(unsigned, float x, int distance) {
  return __shfl_sync(0, x, static_cast<int>(threadIdx.x % 32) ^ distance);
}

/// The bytes of x (0 to 3) and y (4 to 7) that the four digits of the selector name, the lowest first.
inline std::uint32_t __byte_perm(std::uint32_t x, std::uint32_t y, std::uint32_t selector) {
  const std::uint64_t both = static_cast<std::uint64_t>(y) << 32 | x;
  std::uint32_t out = 0;
  for (unsigned i = 0; i < 4; ++i) {
    const unsigned from = (selector >> (4 * i)) & 7u;
    out |= static_cast<std::uint32_t>((both >> (8 * from)) & 255u) << (8 * i);
  }
  return out;
}

// volatile: the compiler must not fuse the two.
inline float __fmul_rn(float a, float b) {
  const volatile float product = a * b;
  return product;
}
inline float __fadd_rn(float a, float b) {
  const volatile float sum = a + b;
  return sum;
}

template <typename T>
T __ldg(const T* place) {
  if (reinterpret_cast<std::uintptr_t>(place) % alignof(T) != 0) throw std::logic_error("emulation: misaligned load");
  T x;
  std::memcpy(&x, place, sizeof x);
  return x;
}

}  // namespace coho::trainer::cuda
