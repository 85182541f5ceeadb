#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/safetensors.hpp"

namespace coho::trainer {

/// One tensor's entry from the header, before its numbers are checked against each other.
struct header_entry {
  std::string name;
  tensor_dtype dtype = tensor_dtype::f32;
  std::vector<std::uint64_t> shape;
  std::uint64_t begin = 0, end = 0;
};

/// Reads a safetensors header as a stream of JSON events, so that no document is built from a hostile one. Returns the
/// fault, or nothing.
std::optional<std::string> parse_safetensors_header(std::string_view text, std::vector<header_entry>& entries,
                                                    std::map<std::string, std::string>& metadata);

}  // namespace coho::trainer
