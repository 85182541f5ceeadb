#include "decoder/prefix_layout.hpp"

#include <algorithm>

#include <coho/error.hpp>

#include "decoder/tensor_conversion.hpp"

namespace coho::trainer {
namespace {

// Own tokens of several sequences are multiplied together, where each sees the others' as masked keys: as many as keep
// that waste small compared with a prefix worth sharing.
constexpr std::int64_t part_rows = 256;

}  // namespace

prefix_layout::prefix_layout(std::span<const prefix_group> groups, at::Device device, std::int64_t cached_tokens)
    : cached(cached_tokens) {
  std::vector<std::int64_t> position;
  const auto append_rows = [&](std::int64_t first, std::int64_t count) {
    for (std::int64_t t = 0; t < count; ++t) position.push_back(first + t);
    tokens += count;
    longest = std::max(longest, first + count);
  };
  for (const auto& group : groups) {
    require_argument(group.shared >= 0 && !group.own.empty(), "prefix_layout: a group without sequences");
    const rows shared{tokens, group.shared};
    if (group.shared > 0) {
      parts.push_back({.queries = shared, .shared = {tokens, 0}, .lengths = {group.shared}});
      append_rows(cached, group.shared);
    }
    bool open = false;
    for (const std::int64_t length : group.own) {
      require_argument(length > 0, "prefix_layout: a sequence without own tokens");
      // Without keys to share a sequence is best on its own: then it needs no mask.
      const bool alone = cached + group.shared == 0;
      if (!open || alone || parts.back().queries.count + length > part_rows)
        parts.push_back({.queries = {tokens, 0}, .shared = shared, .lengths = {}});
      open = true;
      own.push_back({tokens, length});
      parts.back().queries.count += length;
      parts.back().lengths.push_back(length);
      append_rows(cached + group.shared, length);
    }
  }
  require_argument(tokens > 0, "prefix_layout: no tokens");
  positions = index_tensor(position, device);
}

}  // namespace coho::trainer
