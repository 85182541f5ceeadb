#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace coho::inline v0_1 {

/// The kind of task a prompt sets: principles are sampled by it, and results can be split by it. The values are those
/// of the `question_type` field of prompt records.
enum class prompt_type : std::uint8_t { general = 0, reasoning = 1, red_teaming = 2 };

inline constexpr std::array<prompt_type, 3> prompt_types{prompt_type::general, prompt_type::reasoning,
                                                         prompt_type::red_teaming};

/// "general", "reasoning" or "red_teaming".
constexpr std::string_view name_of(prompt_type type) noexcept {
  constexpr std::array<std::string_view, 3> names{"general", "reasoning", "red_teaming"};
  return names[static_cast<std::size_t>(type)];
}

}  // namespace coho::inline v0_1
