#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace coho::trainer {

/// FNV-1a with 64 bits, the hash of fingerprints in files: it tells contents apart, and protects from no attacker.
class fnv1a_hash {
 public:
  void add(const void* bytes, std::size_t size) {
    const auto* at = static_cast<const unsigned char*>(bytes);
    for (std::size_t i = 0; i < size; ++i) state_ = (state_ ^ at[i]) * 0x100000001B3U;
  }
  /// The text and a zero byte, so that "ab", "c" and "a", "bc" differ.
  void add(std::string_view text) {
    add(text.data(), text.size());
    add("", 1);
  }
  /// 16 digits, the highest first.
  std::string hexadecimal() const {
    std::string out(16, '0');
    for (std::size_t i = 0; i < 16; ++i) out[i] = "0123456789abcdef"[state_ >> (60 - 4 * i) & 15U];
    return out;
  }

 private:
  std::uint64_t state_ = 0xCBF29CE484222325U;
};

}  // namespace coho::trainer
