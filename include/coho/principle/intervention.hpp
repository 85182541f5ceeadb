#pragma once

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <ranges>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <coho/detail/if_called.hpp>
#include <coho/error.hpp>
#include <coho/principle/principle.hpp>
#include <coho/principle/single_line.hpp>
#include <coho/rng.hpp>

namespace coho::inline v0_1 {

/// A principle written during RL to forbid a pattern that the reward model was seen to favour (SALMON, §3.3). The
/// reward model is not retrained.
struct intervention {
  std::string name{};
  std::string text{};
  friend bool operator==(const intervention&, const intervention&) = default;
};

/// A set of named interventions, each switched on or off by name. A value type: `with` and `without` return
/// changed copies.
///
///     coho::intervention_set all(loaded);                        // everything on
///     auto run = all.all_off().with("Modest").with({"Brief", "Stop when the question is answered."});
///     auto ablation = all.without("Modest");
class intervention_set {
 public:
  intervention_set() = default;

  /// All of them switched on. Throws `argument_error` for an empty name or text and for a duplicate name.
  template <class = detail::if_called>
  explicit intervention_set(std::vector<intervention> known) {
    for (auto& one : known) add(std::move(one));
  }
  template <class = detail::if_called>
  intervention_set(std::initializer_list<intervention> known) : intervention_set(std::vector<intervention>(known)) {}
  /// Each principle's definition as an intervention; weights and negative definitions are ignored.
  template <principle_range Principles>
  explicit intervention_set(const Principles& principles) {
    for (const principle& p : principles) add({p.name, p.definition});
  }

  /// Adds a new one, switched on. Throws `argument_error` if its name is taken by a different text.
  template <class = detail::if_called>
  intervention_set with(intervention added) const {
    intervention_set out = *this;
    entry* const same_name = out.find(added.name);
    if (same_name != nullptr && same_name->one == added) {
      same_name->on = true;
    } else {
      out.add(std::move(added));
    }
    return out;
  }
  /// Switches existing ones on. Throws `argument_error` for an unknown name.
  template <std::convertible_to<std::string_view>... Names>
    requires(sizeof...(Names) > 0)
  intervention_set with(const Names&... names) const {
    intervention_set out = *this;
    (out.set_active(names, true), ...);
    return out;
  }
  /// Switches existing ones off. Throws `argument_error` for an unknown name.
  template <std::convertible_to<std::string_view>... Names>
    requires(sizeof...(Names) > 0)
  intervention_set without(const Names&... names) const {
    intervention_set out = *this;
    (out.set_active(names, false), ...);
    return out;
  }
  /// The same set with everything switched off.
  template <class = detail::if_called>
  intervention_set all_off() const {
    intervention_set out = *this;
    for (entry& e : out.known_) e.on = false;
    return out;
  }

  /// Whether an intervention of that name is there and switched on.
  template <class = detail::if_called>
  bool contains(std::string_view name) const noexcept {
    for (const entry& e : known_) {
      if (e.on && e.one.name == name) return true;
    }
    return false;
  }
  /// The number switched on.
  std::size_t size() const noexcept {
    std::size_t count = 0;
    for (const entry& e : known_) count += e.on;
    return count;
  }
  bool empty() const noexcept { return size() == 0; }

  /// Those switched on, in the order in which they were added.
  template <class = detail::if_called>
  std::vector<intervention> active() const {
    std::vector<intervention> out;
    for (const auto& e : known_) {
      if (e.on) out.push_back(e.one);
    }
    return out;
  }

 private:
  struct entry {
    intervention one;
    bool on = true;
  };

  // Null if there is none, switched on or off.
  entry* find(std::string_view name) noexcept {
    for (entry& e : known_) {
      if (e.one.name == name) return &e;
    }
    return nullptr;
  }
  // Switched on; throws `argument_error` for an empty name or text and for a name that is taken.
  template <class = detail::if_called>
  void add(intervention one) {
    require_argument(!one.name.empty(), "an intervention has no name");
    require_argument(!one.text.empty(), "intervention \"" + one.name + "\" has no text");
    require_argument(find(one.name) == nullptr,
                     "intervention \"" + one.name + "\" is already there; give this one another name");
    known_.push_back({std::move(one), true});
  }
  // Throws `argument_error`, listing the known names, for an unknown one.
  template <class = detail::if_called>
  void set_active(std::string_view name, bool on) {
    entry* const found = find(name);
    if (found == nullptr) {
      std::string names;
      for (const auto& e : known_) names.append(names.empty() ? "" : ", ").append(e.one.name);
      throw argument_error("no intervention is called \"" + std::string(name) +
                           "\"; known: " + (names.empty() ? "none" : names));
    }
    found->on = on;
  }

  std::vector<entry> known_;
};

/// Where interventions go among the lines of a guideline. The paper puts them first; reward models tend to weigh
/// the end of a list most, so the position is worth tuning.
enum class intervention_position : std::uint8_t { first, last, shuffled };
constexpr auto option_names(intervention_position) { return std::array{"first", "last", "shuffled"}; }

/// All lines of a guideline: the enabled interventions and the sampled principles' definitions.
///
/// lines: sentences in presentation order. `first` and `last` keep both orders and use no random numbers; `shuffled`
/// puts all lines in random order. Each result is a `single_line`.
///
///     auto guideline = coho::compose_guideline(interventions, sampler.definitions(chosen),
///                                             coho::intervention_position::first, random);
struct compose_guideline_fn {
  template <std::ranges::input_range Lines>
    requires std::convertible_to<std::ranges::range_reference_t<Lines>, std::string_view>
  std::vector<std::string> operator()(const intervention_set& interventions, const Lines& lines,
                                      intervention_position position, rng& random) const {
    std::vector<std::string> out;
    for (const auto& line : lines) out.push_back(single_line(line));
    const auto active = interventions.active();
    std::vector<std::string> added;
    for (const auto& one : active) added.push_back(single_line(one.text));
    out.insert(position == intervention_position::first ? out.begin() : out.end(), added.begin(), added.end());
    if (position == intervention_position::shuffled) random.shuffle(out);
    return out;
  }
};
inline constexpr compose_guideline_fn compose_guideline{};

}  // namespace coho::inline v0_1
