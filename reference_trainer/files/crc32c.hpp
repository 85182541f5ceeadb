#pragma once

#include <cstdint>
#include <string_view>

namespace coho::trainer {

/// CRC-32C (Castagnoli) of bytes; crc32c("123456789") = E3069283.
std::uint32_t crc32c(std::string_view bytes) noexcept;
/// The masked form in TensorFlow's record files: rotate right by 15 bits, add A282EAD8.
std::uint32_t masked_crc32c(std::string_view bytes) noexcept;

}  // namespace coho::trainer
