#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <memory>
#include <utility>

#include <c10/core/CPUAllocator.h>
#include <torch/version.h>

namespace coho::test {

/// The most that tensors in host memory take while this lives, beyond those that were there when it was made: whatever
/// was made before, and wherever the system's allocator puts them.
class tensor_memory {
 public:
  tensor_memory() : before_(c10::GetCPUAllocator()), start_(counter().held) {
    counter().most = start_;
    c10::SetCPUAllocator(&counter());
  }
  tensor_memory(const tensor_memory&) = delete;
  tensor_memory& operator=(const tensor_memory&) = delete;
  ~tensor_memory() { c10::SetCPUAllocator(before_); }

  double peak() const { return static_cast<double>(counter().most - start_); }

 private:
  struct counting final : c10::Allocator {
    c10::Allocator* inner = c10::GetCPUAllocator();
    std::atomic<std::ptrdiff_t> held{0}, most{0};

    struct block {
      c10::DataPtr data;
      std::ptrdiff_t bytes;
    };
    static void release(void* context) {
      const std::unique_ptr<block> freed(static_cast<block*>(context));
      counter().held -= freed->bytes;
    }
    c10::DataPtr allocate(std::size_t bytes) override {
      auto made = std::make_unique<block>(block{inner->allocate(bytes), static_cast<std::ptrdiff_t>(bytes)});
      const std::ptrdiff_t now = held += made->bytes;
      for (std::ptrdiff_t seen = most; seen < now && !most.compare_exchange_weak(seen, now);) {
      }
      void* const data = made->data.get();
      return {data, made.release(), &release, c10::Device(c10::DeviceType::CPU)};
    }
#if TORCH_VERSION_MAJOR > 1  // an older one asks for none
    void copy_data(void* to, const void* from, std::size_t count) const override { default_copy_data(to, from, count); }
#endif
  };
  static counting& counter() {
    static counting out;
    return out;
  }

  c10::Allocator* before_;
  std::ptrdiff_t start_;
};

}  // namespace coho::test
