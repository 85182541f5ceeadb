#pragma once

#include <concepts>
#include <ranges>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <coho/detail/if_called.hpp>
#include <coho/error.hpp>
#include <coho/principle/single_line.hpp>
#include <coho/prompt/template.hpp>

namespace coho::inline v0_1 {

/// The text at whose last token a reward model's score is read (SALMON, §3.3 and Fig. 2).
///
/// With a `reward` template the guideline's lines become a list, each as a `single_line` prefixed with "- "; a
/// `preference_pretraining` template has no guideline. Construction throws `argument_error` for a template of another
/// kind; the call throws it for lines given to a template that has no place for them.
///
///     coho::reward_prompt prompt(reward_template);
///     std::string text = prompt(instruction, response, guideline);
class reward_prompt {
 public:
  template <class = detail::if_called>
  explicit reward_prompt(prompt_template text) : template_(std::move(text)) {
    require_argument(
        template_.kind() == template_kind::reward || template_.kind() == template_kind::preference_pretraining,
        template_.source_name() + ": neither a reward template nor one for preference pre-training");
  }

  /// Whether the template has a place for a guideline.
  bool takes_principles() const noexcept { return template_.kind() == template_kind::reward; }

  /// lines: one sentence per principle, in presentation order, including interventions.
  template <std::ranges::input_range Lines>
    requires std::convertible_to<std::ranges::range_reference_t<Lines>, std::string_view>
  std::string operator()(std::string_view instruction, std::string_view response, const Lines& lines) const {
    std::string list;
    for (const auto& line : lines) {
      if (!list.empty()) list.push_back('\n');
      list.append("- ").append(single_line(line));
    }
    if (takes_principles()) {
      return template_.render({{"Input", instruction}, {"Output", response}, {"Dimensions", list}});
    }
    require_argument(list.empty(), template_.source_name() + ": this template has no place for principles");
    return template_.render({{"Input", instruction}, {"Output", response}});
  }
  /// The same without a guideline: with a `reward` template its list is empty.
  template <class Lines = std::vector<std::string>>
  std::string operator()(std::string_view instruction, std::string_view response) const {
    return (*this)(instruction, response, Lines{});
  }

  const prompt_template& text() const noexcept { return template_; }

 private:
  prompt_template template_;
};

}  // namespace coho::inline v0_1
