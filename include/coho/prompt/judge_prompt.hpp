#pragma once

#include <string>
#include <string_view>
#include <utility>

#include <coho/detail/if_called.hpp>
#include <coho/error.hpp>
#include <coho/principle/single_line.hpp>
#include <coho/prompt/template.hpp>

namespace coho::inline v0_1 {

/// The prompt with which a model chooses between two outputs under one principle (SALMON, §3.2 and App. D).
///
/// The principle's name and definition are shown as a `single_line` each; the texts to compare stay as they are.
///
/// A judge template ends inside an open parenthesis, so that the next token is the letter of the chosen output.
/// Construction throws `argument_error` if the template is of another kind or does not end in "(".
///
///     coho::judge_prompt prompt(judge_template);
///     auto text = prompt(instruction, first, second, "Concise", "Say it in few words.");
///     double favours_first = judge.log_odds(one(text), prompt.first_answer, prompt.second_answer)[0];
class judge_prompt {
 public:
  static constexpr std::string_view first_answer = "a";
  static constexpr std::string_view second_answer = "b";

  template <class = detail::if_called>
  explicit judge_prompt(prompt_template text) : template_(std::move(text)) {
    require_argument(template_.kind() == template_kind::judge, template_.source_name() + ": not a judge template");
    require_argument(
        template_.tail().ends_with('('),
        template_.source_name() + ": a judge template must end in an open parenthesis, after which the letter is read");
  }

  /// The prompt of one comparison; `output_a` is shown first.
  template <class = detail::if_called>
  std::string operator()(std::string_view instruction, std::string_view output_a, std::string_view output_b,
                         std::string_view principle_name, std::string_view definition) const {
    return template_.render({{"UserInstruction", instruction},
                             {"OutputA", output_a},
                             {"OutputB", output_b},
                             {"Dimension", single_line(principle_name)},
                             {"Definition", single_line(definition)}});
  }

  const prompt_template& text() const noexcept { return template_; }

 private:
  prompt_template template_;
};

}  // namespace coho::inline v0_1
