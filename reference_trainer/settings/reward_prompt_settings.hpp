#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string_view>

#include <coho/prompt/template.hpp>

#include "config/config.hpp"
#include "config/recipe_option.hpp"
#include "roles/reward_role.hpp"

namespace coho::trainer {

/// The section `reward_prompt`, shared by all stages, since a reward model needs the wording that it was trained with.
struct reward_prompt_options {
  std::filesystem::path template_name{}, plain_template{};
  std::size_t scoring_tokens = 8192;
  std::optional<std::size_t> query_tokens{}, response_tokens{};

  static void describe(auto&& visit, auto&... o) {
    visit(otherwise("shipped", {"template", "template for records with principles: a path or a shipped name"}),
          o.template_name...);
    visit(otherwise("shipped", {"plain_template", "template for records without principles: a path or a shipped name"}),
          o.plain_template...);
    visit({"scoring_tokens", "limit of one forward pass without gradients", {}, "tokens"}, o.scoring_tokens...);
    visit(otherwise("those of the stage",
                    {"query_tokens",
                     "length that a query is cut to, in all stages; its end is kept; 0: none is cut",
                     {},
                     "tokens"}),
          o.query_tokens...);
    visit(otherwise("those of the stage",
                    {"response_tokens",
                     "length that a response is cut to, in all stages; its start is kept; 0: none is cut",
                     {},
                     "tokens"}),
          o.response_tokens...);
  }
};

/// The group `reward_prompt` of a stage: what is kept of query and response.
struct reward_lengths {
  std::size_t query_tokens = 0, response_tokens = 0;

  /// The limits of the released scripts for a stage's section, "reward" or "preference_pretraining"; of the others 0:
  /// nothing is cut.
  static reward_lengths of(std::string_view stage);
  static void describe(auto&& visit, auto&... o) {
    visit({"query_tokens", "length that a query is cut to; its end is kept; 0: none is cut", {}, "tokens"},
          o.query_tokens...);
    visit({"response_tokens", "length that a response is cut to; its start is kept; 0: none is cut", {}, "tokens"},
          o.response_tokens...);
  }
};

/// The section `reward_prompt` as a stage reads it; each template if its file exists.
struct reward_prompt_settings {
  std::filesystem::path template_path, plain_path;
  std::optional<prompt_template> wording{}, plain{};
  reward_role_options limits{};
};
/// `stage`: the section whose reward model it is, "preference_pretraining", "reward", "ppo" or "eval". What is kept of
/// query and response is the stage's own, STAGE.reward_prompt.query_tokens and .response_tokens, and otherwise that of
/// the section reward_prompt, or of `reward_lengths::of(stage)`.
reward_prompt_settings read_reward_prompt(const config& options, std::string_view stage);

}  // namespace coho::trainer
