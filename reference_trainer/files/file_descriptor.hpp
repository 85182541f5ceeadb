#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <unistd.h>
#include <utility>

namespace coho::trainer {

/// Owns a POSIX file descriptor, or none (a negative number).
class file_descriptor {
 public:
  explicit file_descriptor(int number = -1) noexcept : number_(number) {}
  ~file_descriptor() { close(); }
  file_descriptor(file_descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  file_descriptor& operator=(file_descriptor&& other) noexcept {
    std::swap(number_, other.number_);
    return *this;
  }

  int number() const noexcept { return number_; }
  bool is_open() const noexcept { return number_ >= 0; }
  void close() noexcept {
    if (number_ >= 0) ::close(std::exchange(number_, -1));
  }

 private:
  int number_;
};

/// Writes all bytes at the descriptor's position, also where the system writes them in parts or is interrupted by a
/// signal. False if it refuses, with the reason in errno.
bool write_all(int descriptor, std::string_view bytes) noexcept;

/// Reads bytes at an offset until `out` is full. Returns how many were read: fewer at the end of the file; −1 if the
/// system refuses, with the reason in errno.
std::ptrdiff_t read_at(int descriptor, std::span<char> out, std::uint64_t offset) noexcept;

}  // namespace coho::trainer
