#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include <coho/principle/principle.hpp>

#include "cli/application.hpp"
#include "data/records.hpp"

namespace coho::trainer {

/// How well scores r agree with labels over n pairs, d_i = r(preferred) − r(other):
///
///   accuracy = Σ_i (1[d_i > 0] + ½·1[d_i = 0]) / n, standard error √(a(1 − a)/n);
///   loss = −(1/n) Σ_i log σ(d_i) (Bradley–Terry); margin = mean of d_i.
struct pair_accuracy {
  std::size_t pairs = 0, right = 0, ties = 0;
  double accuracy = 0, standard_error = 0, margin = 0, loss = 0;
};

/// Throws argument_error for no pairs, spans of different lengths, and scores that are not finite.
pair_accuracy measure_pairs(std::span<const double> preferred, std::span<const double> other);

/// The lines that a reward model reads: each principle's text as the record has it, or by its name from `collection`,
/// in its negative form where the record says so. Throws argument_error for a name that is not found there.
std::vector<std::string> principle_lines(const preference_record& record, std::span<const principle> collection);

/// Accuracy of a reward model on any preference file that records.hpp names.
///
/// Keys: model.*, eval.data, eval.reward_model, eval.batch (pairs at a time), eval.limit; reward_prompt.*,
/// eval.principles (texts of principles that records only name). Records with and without principles are reported apart
/// where both occur.
void evaluate_pairs(const config& options, stage_context& context);

}  // namespace coho::trainer
