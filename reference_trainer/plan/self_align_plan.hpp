#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>

#include "config/config.hpp"
#include "plan/stage_planner.hpp"
#include "settings/self_align_settings.hpp"

namespace coho::trainer {

/// How prefix, question and answer share the model's context.
struct context_budget {
  std::size_t prefix = 0;     ///< tokens
  std::size_t question = 0;   ///< most tokens between the prefix and the model's thoughts
  std::size_t positions = 0;  ///< of the model
};

/// Divides `positions` among a prefix of that many tokens, the question, and `generation.max_new_tokens`. Throws
/// config_error, naming the numbers, when prefix and `generation.max_new_tokens` leave no room for a question.
context_budget compute_context_budget(const config& options, const self_align_settings& settings, std::size_t prefix,
                                      std::size_t positions);

/// The same for the tokenizer and the shape in the model's folder, without its weights. Nothing if they are not
/// there.
std::optional<context_budget> compute_context_budget(const config& options, const self_align_settings& settings);

/// The text of a dry run: the prefix's tokens and the size of its keys and values, if the model's tokenizer and
/// config.json exist.
std::string self_align_plan_text(const config& options, const self_align_settings& settings);
/// A function that returns the same with a plan of memory and time; `settings` must outlive it.
std::function<std::string()> self_align_planner(const config& options, const self_align_settings& settings,
                                                const plan_settings& planned);

}  // namespace coho::trainer
