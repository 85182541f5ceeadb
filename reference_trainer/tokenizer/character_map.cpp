#include "tokenizer/character_map.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

namespace coho::trainer {
namespace {

/// The number of matches along one path that the library has room for.
constexpr int most_matches = 32;

/// One unit of the trie: the label of the edge that leads here, the offset of the children, whether one of them is a
/// value.
struct unit {
  std::uint32_t bits;
  std::uint32_t label() const { return bits & 0x800000FFu; }
  // From a node to its children, as Darts-clone packs it: 22 bits, times 256 where bit 9 is set.
  std::uint32_t offset() const { return (bits >> 10) << ((bits & 0x200u) >> 6); }
  bool has_value() const { return (bits >> 8 & 1u) != 0; }
  std::uint32_t value() const { return bits & 0x7FFFFFFFu; }
};

/// Follows every edge that a lookup could take. Children of a node with base b are at b ^ label, so any byte can be
/// read safely exactly when b's block of 256 units is inside the array.
class trie_checker {
 public:
  trie_checker(std::string_view units, std::string_view strings)
      : units_(units.size() / 4), strings_(strings), matches_(units_.size(), unseen) {
    if (!units_.empty()) std::memcpy(units_.data(), units.data(), units_.size() * 4);
  }

  // Depth first, with a stack of its own: a damaged trie may be deep.
  std::string find_problem() {
    if (units_.empty()) return "its trie is empty";
    std::vector<frame> path;
    if (auto problem = visit_node(units_[0].offset(), units_[0].has_value(), path); !problem.empty()) return problem;
    while (!path.empty()) {
      auto& top = path.back();
      if (top.next_label == 256) {
        const auto base = top.base;
        matches_[base] = top.deepest;
        const int deepest = top.deepest + top.has_value;
        path.pop_back();
        if (deepest > most_matches) return "a path of its trie has too many matches";
        if (!path.empty()) path.back().deepest = std::max(path.back().deepest, deepest);
        continue;
      }
      const auto label = top.next_label++;
      const auto child = top.base ^ label;
      const unit edge = units_[child];
      if (label == 0 || edge.label() != label) continue;  // a zero byte leads to values only
      const auto base = child ^ edge.offset();
      if (auto problem = visit_node(base, edge.has_value(), path); !problem.empty()) return problem;
    }
    return {};
  }

 private:
  static constexpr int unseen = -1, open = -2;
  struct frame {
    std::uint32_t base, next_label;
    int deepest;
    bool has_value;
  };

  // Puts a node on the path, unless it was visited before; `base`: where its children begin. What is wrong with it, or
  // nothing.
  std::string visit_node(std::uint32_t base, bool has_value, std::vector<frame>& path) {
    if ((base | 0xFFu) >= units_.size()) return "its trie points outside itself";
    if (has_value && units_[base].value() >= strings_.size()) return "its trie points outside its strings";
    if (matches_[base] == open) return "its trie has a cycle";
    if (matches_[base] != unseen) {
      if (!path.empty()) path.back().deepest = std::max(path.back().deepest, matches_[base] + has_value);
      return {};
    }
    matches_[base] = open;
    path.push_back({base, 0, 0, has_value});
    return {};
  }

  std::vector<unit> units_;
  std::string_view strings_;
  std::vector<int> matches_;  ///< by base: the maximum number of matches below it
};

}  // namespace

std::string check_character_map(std::string_view map) {
  if (map.empty()) return {};
  if (map.size() < 4) return "it is too short";
  std::uint32_t size = 0;
  for (int i = 3; i >= 0; --i) size = (size << 8) | static_cast<unsigned char>(map[static_cast<std::size_t>(i)]);
  if (size >= map.size() - 4) return "its trie would end after the map does";
  if (size % 4 != 0) return "the size of its trie is not a multiple of a unit";
  const auto strings = map.substr(4 + size);
  if (strings.back() != '\0') return "its strings are not terminated";
  return trie_checker(map.substr(4, size), strings).find_problem();
}

}  // namespace coho::trainer
