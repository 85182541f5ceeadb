#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "benchmarks/question_wording.hpp"
#include "benchmarks/truthfulqa.hpp"
#include "config/option_list.hpp"
#include "evaluation/choice_scores.hpp"
#include "run/stage_context.hpp"

namespace coho::trainer {

/// What `score_truthfulqa` measured.
struct truthfulqa_result {
  choice_count overall;
  std::size_t ties = 0;
  double mean_odds = 0;                     ///< mean log p(" true") − log p(" false") over all answers
  std::vector<std::vector<double>> scores;  ///< of each question's answers that were asked about
  std::vector<choice> chosen;               ///< one per question
};

/// MC1: every answer is put as a true/false question by a wording with {Question} and {Answer}; `odds` gives log
/// p(" true") − log p(" false") for each, the answer with the highest is chosen, and the question is right when that is
/// the true one. Equal scores are broken by a draw that does not look at the order of the answers.
///
/// `first_half`: only the first ⌈n/2⌉ of a question's n answers are asked about, as the released script does (its loop
/// steps by two over the answers). As MC1's true answer comes first in the published file it is always among these,
/// and accuracies are higher than over all answers: the two must not be compared.
truthfulqa_result score_truthfulqa(std::span<const truthful_item> items, const question_wording& wording,
                                   const choice_log_odds& odds, std::uint64_t seed, bool first_half = false);

/// TruthfulQA's MC1 (Lin et al. 2022) as put to the Dromedary models.
///
/// MC1 is not the figure of the paper's Table 2, which judges answers that are written (docs/dromedary-2.md).
///
/// Keys: model.*, eval.data, eval.adapter, eval.template, eval.wording (wording_settings.hpp), eval.first_half,
/// eval.batch (answers at a time), eval.limit.
void evaluate_truthfulqa(const config& options, stage_context& context);
/// The keys of the section `eval` that it reads.
option_section truthfulqa_section();

}  // namespace coho::trainer
