#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <coho/prompt/self_align_prompt.hpp>

#include "cli/application.hpp"
#include "cli/options.hpp"
#include "generation/engine.hpp"
#include "stages/model_settings.hpp"
#include "stages/self_align_filter.hpp"
#include "text/sentencepiece.hpp"

namespace coho::trainer {

/// The sections `self_align`, `generation` and `model` as `coho self-align` reads them.
struct self_align_settings {
  std::filesystem::path prompts, adapter;
  std::filesystem::path rejected;       ///< of what is not taken; empty: not written
  std::size_t batch = 256;              ///< prompts at a time
  std::size_t limit = 0;                ///< prompts in all; 0: the whole file
  std::size_t max_question_tokens = 0;  ///< 0: what prefix and answer leave of the context
  model_settings model{};
  generation_options generation{};
  engine_options engine{};
  std::vector<principle> rules{};
  std::optional<self_align_prompt> prompt{};  ///< absent, as the rules, while one of its files is not there
  self_align_filter_options filters{};
};

/// Throws config_error and option_error for keys, file_error for rules, exemplars and template. With `may_lack_files`
/// (a dry run) files that are not there are no error.
self_align_settings read_self_align_settings(const config& options, bool may_lack_files);

/// Prompts as tokens. `prefix()` is what all of them begin with, token by token: where a tokenizer joins the end of the
/// text in front of a question with the question's first characters, the prefix ends before that.
class self_align_encoder {
 public:
  self_align_encoder(const self_align_prompt& prompt, const sentencepiece_tokenizer& tokenizer);

  /// With the begin token, as all below.
  const std::vector<token>& prefix() const { return prefix_; }
  std::vector<token> operator()(std::string_view question) const;
  /// Whether a prompt begins with the prefix, and has more. A tokenizer may join what none of the probed beginnings
  /// show.
  bool begins_with_prefix(std::span<const token> tokens) const;

 private:
  const self_align_prompt* prompt_;
  const sentencepiece_tokenizer* tokenizer_;
  std::vector<token> prefix_;
};

/// How prefix, question and answer share the model's context.
struct self_align_room {
  std::size_t prefix = 0;     ///< tokens
  std::size_t question = 0;   ///< most tokens between the prefix and the model's thoughts
  std::size_t positions = 0;  ///< of the model
};

/// Throws config_error, naming the numbers, when prefix and `generation.max_new_tokens` leave no room for a question.
self_align_room measure_room(const config& options, const self_align_settings& settings, std::size_t prefix,
                             std::size_t positions);

/// The same for the tokenizer and the shape in the model's folder, without its weights. Nothing where they are not
/// there.
std::optional<self_align_room> measure_room(const config& options, const self_align_settings& settings);

/// What a dry run says: the tokens of the prefix and what its keys and values take, if the model's tokenizer and
/// config.json are there.
std::string describe_self_align(const config& options, const self_align_settings& settings);
/// The same with a plan of memory and time; `settings` and `context` are to outlive it.
std::function<std::string()> plan_self_align(const config& options, const self_align_settings& settings,
                                             const stage_context& context);

}  // namespace coho::trainer
