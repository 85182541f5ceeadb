#include "roles/prefix_groups.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

#include <coho/error.hpp>

namespace coho::trainer {
namespace {

// The number of tokens that both begin with.
std::size_t common_prefix_length(const std::vector<token>& a, const std::vector<token>& b) {
  const auto [end, other] = std::ranges::mismatch(a, b);
  return static_cast<std::size_t>(end - a.begin());
}

}  // namespace

std::vector<shared_sequences> group_by_prefix(std::span<const std::vector<token>> sequences, std::size_t minimum,
                                              const batch_limits& limits) {
  const std::size_t n = sequences.size();
  for (const auto& sequence : sequences) require_argument(!sequence.empty(), "group_by_prefix: an empty sequence");
  minimum = std::max<std::size_t>(minimum, 1);
  std::vector<std::size_t> order(n), common(n, 0), best(n + 1, 0), from(n + 1, 0), shared_from(n + 1, 0);
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, [&](std::size_t a, std::size_t b) { return sequences[a] < sequences[b]; });
  const auto at = [&](std::size_t place) -> const std::vector<token>& { return sequences[order[place]]; };
  for (std::size_t i = 1; i < n; ++i) common[i] = common_prefix_length(at(i - 1), at(i));

  for (std::size_t i = 1; i <= n; ++i) {
    best[i] = best[i - 1];
    from[i] = i - 1;
    std::size_t shared = at(i - 1).size() - 1, whole = at(i - 1).size();
    for (std::size_t j = i - 1; j > 0; --j) {
      shared = std::min({shared, common[j], at(j - 1).size() - 1});
      whole += at(j - 1).size();
      const std::size_t members = i - j + 1, saved = (members - 1) * shared;
      if (shared < minimum || (limits.sequences > 0 && members > limits.sequences) ||
          (limits.tokens > 0 && whole - saved > limits.tokens))
        break;
      if (best[j - 1] + saved <= best[i]) continue;
      best[i] = best[j - 1] + saved;
      from[i] = j - 1;
      shared_from[i] = shared;
    }
  }

  std::vector<shared_sequences> out;
  for (std::size_t i = n; i > 0; i = from[i]) {
    shared_sequences group{.shared = shared_from[i], .members = {}, .tokens = shared_from[i]};
    for (std::size_t place = from[i]; place < i; ++place) {
      group.members.push_back(order[place]);
      group.tokens += at(place).size() - group.shared;
    }
    std::ranges::sort(group.members);
    out.push_back(std::move(group));
  }
  std::ranges::sort(out, [](const auto& a, const auto& b) {
    return a.tokens != b.tokens ? a.tokens > b.tokens : a.members.front() < b.members.front();
  });
  return out;
}

std::vector<std::vector<shared_sequences>> pack_groups(std::vector<shared_sequences> groups,
                                                       const batch_limits& limits) {
  std::vector<std::vector<shared_sequences>> out;
  std::size_t tokens = 0, sequences = 0;
  for (auto& group : groups) {
    const bool full = out.empty() || (limits.sequences > 0 && sequences + group.members.size() > limits.sequences) ||
                      (limits.tokens > 0 && tokens + group.tokens > limits.tokens);
    if (full) {
      out.emplace_back();
      tokens = sequences = 0;
    }
    tokens += group.tokens;
    sequences += group.members.size();
    out.back().push_back(std::move(group));
  }
  return out;
}

}  // namespace coho::trainer
