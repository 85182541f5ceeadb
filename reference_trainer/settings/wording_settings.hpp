#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <string>

#include "config/config.hpp"
#include "config/recipe_option.hpp"

namespace coho::trainer {

/// The form of a shipped question.
enum class question_form : std::uint8_t { plain, dromedary };
constexpr auto option_names(question_form) { return std::array{"plain", "dromedary"}; }

/// The wording of an evaluation's question: `eval.template`, a path or a shipped name, else the shipped one of `name`
/// ("hhh") in the form of `eval.wording`: "plain" text, or "dromedary", a conversation in that chat format that a tuned
/// model's answer ends, which is the default of recipes whose prompt.format it is. Throws config_error.
struct wording_options {
  question_form wording = question_form::plain;
  std::filesystem::path template_name{};

  /// The defaults of a recipe, which depend on its prompt.format.
  static wording_options defaults(const config& options);
  static void describe(auto&& visit, auto&... o) {
    visit(otherwise("dromedary where prompt.format is; else plain",
                    {"wording", "form of the shipped question: text, or a conversation in that chat format"}),
          o.wording...);
    visit(otherwise("shipped", {"template", "wording of the question: a path or a shipped name"}), o.template_name...);
  }
};
/// The file with that wording, which may not exist.
std::filesystem::path read_wording_file(const config& options, const std::string& name);

}  // namespace coho::trainer
