#include "roles/judge_role.hpp"

#include <ATen/core/grad_mode.h>
#include <c10/core/DeviceGuard.h>

#include <algorithm>

#include <coho/error.hpp>
#include <coho/torch/fused_log_probs.hpp>

#include "kernels/log_prob_kernels.hpp"
#include "roles/packed_batch.hpp"

namespace coho::trainer {

struct judge_role::question {
  std::vector<token> shared;         ///< what is read before the answers part, begin token included
  std::vector<token> first, second;  ///< the answers' tokens from there on
};

std::vector<double> judge_role::log_odds(std::span<const std::string> prompts, std::string_view first,
                                         std::string_view second) {
  const at::NoGradGuard no_gradient;
  std::vector<question> questions;
  std::vector<std::size_t> lengths;
  for (const auto& prompt : prompts) {
    const auto a = tokenizer_->encode(prompt + std::string(first)),
               b = tokenizer_->encode(prompt + std::string(second));
    const auto [end_a, end_b] = std::ranges::mismatch(a, b);
    require_argument(end_a != a.end() && end_b != b.end(),
                     "judge: the answers \"" + std::string(first) + "\" and \"" + std::string(second) +
                         "\" cannot be told apart: the tokens of one begin those of the other");
    question& next = questions.emplace_back();
    next.shared.push_back(tokenizer_->bos());
    next.shared.insert(next.shared.end(), a.begin(), end_a);
    next.first.assign(end_a, a.end());
    next.second.assign(end_b, b.end());
    lengths.push_back(next.shared.size());
    tokens_read_ += next.shared.size();
  }
  std::vector<double> out(prompts.size());
  std::vector<std::size_t> letters;
  for (std::size_t i = 0; i < questions.size(); ++i) {
    if (questions[i].first.size() == 1 && questions[i].second.size() == 1) {
      letters.push_back(i);
    } else {
      out[i] = compare_continuations(questions[i]);
    }
  }
  for (const auto& part : micro_batches(std::move(letters), lengths, limits_)) {
    std::vector<const question*> chosen;
    for (const std::size_t i : part) chosen.push_back(&questions[i]);
    const auto scores = compare_next(chosen);
    for (std::size_t k = 0; k < part.size(); ++k) out[part[k]] = scores[k];
  }
  return out;
}

std::vector<double> judge_role::compare_next(std::span<const question* const> questions) const {
  std::vector<std::vector<token>> sequences;
  std::vector<token> a, b;
  for (const auto* question : questions) {
    sequences.push_back(question->shared);
    a.push_back(question->first.front());
    b.push_back(question->second.front());
  }
  const last_token_batch batch(sequences, bank_->device());
  const at::Tensor hidden = bank_->hidden(role_, batch.tokens, batch.layout).index_select(0, batch.last);
  // Both share the normaliser: the difference of the logits is that of the log-probabilities.
  const at::Tensor& head = bank_->head(role_);
  const at::Tensor difference = head.index_select(0, token_tensor(a, bank_->device())).to(at::kFloat) -
                                head.index_select(0, token_tensor(b, bank_->device())).to(at::kFloat);
  return to_doubles((hidden.to(at::kFloat) * difference).sum(1));
}

double judge_role::compare_continuations(const question& question) const {
  token_batch batch;
  for (const auto* answer : {&question.first, &question.second}) {
    batch.prompts.push_back(question.shared);
    batch.responses.push_back(*answer);
  }
  const c10::DeviceGuard guard(bank_->device());  // whose stream the kernels take
  const response_batch packed(batch, bank_->device());
  const at::Tensor hidden = bank_->hidden(role_, packed.tokens, packed.layout).index_select(0, packed.predicting);
  const auto log_probs = to_doubles(
      fused_log_probs(hidden, bank_->head(role_), packed.targets, {.kernels = log_prob_kernels_for(bank_->device())})
          .log_probs);
  double odds = 0;
  for (std::size_t t = 0; t < log_probs.size(); ++t) odds += t < question.first.size() ? log_probs[t] : -log_probs[t];
  return odds;
}

}  // namespace coho::trainer
