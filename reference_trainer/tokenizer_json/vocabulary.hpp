#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <coho/packed.hpp>

#include "files/json_part.hpp"

namespace coho::trainer {

/// The pieces of a vocabulary by id, and ids by piece.
class vocabulary {
 public:
  vocabulary() = default;
  /// From {"piece": id, …}. Throws `file_error` naming a piece with an invalid id, or one of two with the same.
  explicit vocabulary(const json_part& part);

  /// −1 if there is no such piece.
  token find(std::string_view piece) const noexcept;
  /// Empty for an id without a piece.
  std::string_view piece(token id) const noexcept;
  /// One more than the largest id.
  std::size_t size() const noexcept { return begins_.empty() ? 0 : begins_.size() - 1; }
  /// How many pieces there are: fewer than `size` if ids have gaps.
  std::size_t count() const noexcept { return count_; }

 private:
  std::string texts_;                    // all pieces in the order of ids
  std::vector<std::uint32_t> begins_;    // of each id in texts_, and the end
  std::vector<std::uint32_t> slots_{0};  // one more than the id, or 0
  std::size_t count_ = 0;
};

}  // namespace coho::trainer
