#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <coho/principle/principle.hpp>

#include "collection/source_prompt.hpp"
#include "models/model_files.hpp"
#include "models/prompter.hpp"
#include "models/reward_model_role.hpp"
#include "models/supervised_examples.hpp"
#include "records/records.hpp"
#include "settings/prompt_settings.hpp"
#include "settings/reward_prompt_settings.hpp"

namespace coho::trainer {

/// How the stages that are shown read their records.
struct shown_example_options {
  sft_example_options sft{};
  std::vector<prompt_settings> forms{};  ///< of prompts, as `read_sft_prompts` returns them
  reward_prompt_settings reward{};
  std::vector<principle> principles{};  ///< for preferences that only name theirs
  std::size_t characters = 1000;        ///< longest text shown; of a longer one both ends; 0: no limit
};

/// Records as text for a reader, as the stages read them, with ⟦ ⟧ around what is learned. With a model's tokenizer it
/// is the text of the very tokens that `sft`, `sample`, `ppo` and `reward` make of them, special tokens included, and
/// their number; without, the messages.
class shown_examples {
 public:
  /// `model`: its tokens, without weights (load_model_tokens); null: none. Throws `file_error` where a template that
  /// the options name is missing.
  shown_examples(shown_example_options options, const loaded_model* model);

  std::string operator()(const source_prompt& record) const;
  std::string operator()(const prompt_record& record) const;
  /// `number`: the record's in its file, from which the template follows.
  std::string operator()(const sft_record& record, std::size_t number = 0) const;
  std::string operator()(const preference_record& record) const;
  std::string operator()(const sample_record& record) const;
  std::string operator()(const judgement_record& record) const;

 private:
  // The text of tokens, those of a weight above 0 marked; none has a weight where `weights` is empty.
  std::string show(std::span<const token> tokens, std::span<const double> weights) const;
  // Messages, each with its role.
  std::string show(std::span<const chat_message> messages, bool replies_are_learned) const;
  std::string shorten(std::string_view text) const;

  shown_example_options options_;
  std::shared_ptr<const text_tokenizer> tokenizer_;
  std::vector<prompter> prompts_;
  std::optional<reward_wording> wording_;
};

}  // namespace coho::trainer
