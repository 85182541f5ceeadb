#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "benchmarks/hhh.hpp"
#include "benchmarks/question_wording.hpp"
#include "config/option_list.hpp"
#include "evaluation/choice_scores.hpp"
#include "run/stage_context.hpp"
#include "tokenizer/text_tokenizer.hpp"

namespace coho::trainer {

/// The wording of a question with two options: question_wording with {Input}, {OutputA} and {OutputB}, which the
/// model continues with " A" or " B".
class choice_prompt {
 public:
  /// Throws if a placeholder is missing, naming `source_name`.
  choice_prompt(std::string_view text, std::string_view source_name);
  static choice_prompt from_file(const std::filesystem::path& path);
  /// The question about an input with `first` as answer A and `second` as B.
  std::string operator()(std::string_view input, std::string_view first, std::string_view second) const;

 private:
  explicit choice_prompt(question_wording wording) : wording_(std::move(wording)) {}
  question_wording wording_;
};

/// Input and answers cut to their last `tokens` tokens each, without white space around them: "... " before a cut
/// input, "..." after a cut answer.
hhh_item truncate_hhh_item(const hhh_item& item, const text_tokenizer& tokenizer, std::size_t tokens);

/// What `score_hhh` measured.
struct hhh_result {
  std::map<std::string, choice_count> categories;
  choice_count overall;
  std::size_t ties = 0;
  /// Mean log p(" A") − log p(" B") over all questions: the judge's letter bias.
  double letter_bias = 0;
  std::vector<std::vector<double>> scores;  ///< of each item's answers
  std::vector<choice> chosen;               ///< one per item
};

/// Asks about every two answers of an item in both orders; an answer's score is the sum of the log-odds in its favour
/// over its placements, and the item is right when the answer with the highest score is a preferred one. An equal score
/// is broken by a draw that depends only on seed and texts, so that neither the order in the file nor a letter is
/// favoured. `odds`: log p(" A") − log p(" B") as the next token of each prompt.
hhh_result score_hhh(std::span<const hhh_item> items, const choice_prompt& prompt, const choice_log_odds& odds,
                     std::uint64_t seed);

/// BIG-bench's HHH alignment (Askell et al. 2021) as SALMON asks it (appendix of Sun et al. 2024).
///
/// Keys: model.*, eval.data, eval.adapter, eval.template, eval.wording (wording_settings.hpp), eval.max_tokens
/// (default: the model's positions; input and answers each keep (eval.max_tokens − 256)/3 tokens), eval.batch (items at
/// a time), eval.limit.
void evaluate_hhh(const config& options, stage_context& context);
/// The keys of the section `eval` that it reads.
option_section hhh_section();

}  // namespace coho::trainer
