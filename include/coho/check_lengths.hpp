#pragma once

#include <cstddef>
#include <span>
#include <sstream>
#include <string>

#include <coho/detail/if_called.hpp>
#include <coho/eigen/as_array.hpp>
#include <coho/error.hpp>
#include <coho/math.hpp>

/// Checks of algorithm arguments: lengths, offsets and shapes must fit together. All throw argument_error.
namespace coho::inline v0_1::detail {

/// Names for messages: of the offsets, of their owner, and of what they count.
struct offset_names {
  const char *offsets = "offsets", *parts = "sequences", *elements = "tokens";
};

/// Throws unless the offsets start with 0, never decrease, and end at `total`. `who` is the algorithm, for the message.
template <class = detail::if_called>
void check_offsets(std::span<const std::size_t> offsets, std::size_t total, const char* who,
                   const offset_names& names = {}) {
  const std::string start = std::string(who) + ": " + names.offsets;
  require_argument(!offsets.empty() && offsets.front() == 0,
                   start + " must start with 0 and have one entry more than there are " + names.parts);
  for (std::size_t i = 1; i < offsets.size(); ++i) {
    if (offsets[i - 1] > offsets[i]) {
      throw argument_error(start + " decrease at entry " + std::to_string(i));
    }
  }
  require_argument(offsets.back() == total, start + " end at " + std::to_string(offsets.back()) + ", but there are " +
                                                std::to_string(total) + " " + names.elements);
}

/// Throws unless `found` is `expected`: the lengths of the argument `what` and of those that it goes with.
template <class = detail::if_called>
void check_lengths(std::size_t expected, std::size_t found, const char* who, const char* what) {
  require_argument(expected == found, std::string(who) + ": " + what + " has " + std::to_string(found) +
                                          " elements where " + std::to_string(expected) + " were expected");
}

/// Throws unless both tensors have one shape: others would be broadcast into a different loss.
template <device_array T>
void check_same_shape(const T& first, const T& other, const char* who) {
  if (first.sizes() != other.sizes()) {
    std::ostringstream out;
    out << who << ": a tensor of shape " << other.sizes() << " does not go with one of shape " << first.sizes();
    throw argument_error(out.str());
  }
}

}  // namespace coho::inline v0_1::detail
