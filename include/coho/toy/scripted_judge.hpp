#pragma once

#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace coho::inline v0_1::toy {

/// A choice_judge whose log-odds come from a function: `script(prompt)` is log p(first) − log p(second) after the
/// prompt.
///
///     coho::toy::scripted_judge judge{[](std::string_view prompt) { return prompt.ends_with("(") ? 1.0 : 0.0; }};
template <class Script>
class scripted_judge {
 public:
  explicit scripted_judge(Script script) : script_(std::move(script)) {}

  /// The script of each prompt; the answers are ignored.
  std::vector<double> log_odds(std::span<const std::string> prompts, std::string_view, std::string_view) {
    std::vector<double> out;
    out.reserve(prompts.size());
    for (const auto& prompt : prompts) out.push_back(static_cast<double>(script_(std::string_view(prompt))));
    return out;
  }

 private:
  Script script_;
};

}  // namespace coho::inline v0_1::toy
