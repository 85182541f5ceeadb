#include "roles/judge_role.hpp"

#include <algorithm>

#include <ATen/core/grad_mode.h>
#include <c10/core/DeviceGuard.h>

#include <coho/error.hpp>
#include <coho/torch/fused_log_probs.hpp>

#include "decoder/packed_batch.hpp"
#include "decoder/tensor_conversion.hpp"
#include "kernels/log_prob_kernels.hpp"
#include "roles/host_numbers.hpp"

namespace coho::trainer {

struct judge_role::question {
  std::vector<token> shared;         ///< the tokens before the answers diverge, begin token included
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
                         "\" cannot be distinguished: the tokens of one are a prefix of the other's");
    question& next = questions.emplace_back();
    next.shared = tokenizer_->begin_tokens();
    next.shared.insert(next.shared.end(), a.begin(), end_a);
    next.first.assign(end_a, a.end());
    next.second.assign(end_b, b.end());
    lengths.push_back(next.shared.size());
  }
  std::vector<double> out(prompts.size());
  std::vector<std::size_t> single_tokens;
  for (std::size_t i = 0; i < questions.size(); ++i) {
    if (questions[i].first.size() == 1 && questions[i].second.size() == 1) {
      single_tokens.push_back(i);
    } else {
      out[i] = compare_continuations(questions[i]);
    }
  }
  const auto store_scores = [&](std::span<const std::size_t> places, const std::vector<double>& scores) {
    for (std::size_t k = 0; k < places.size(); ++k) out[places[k]] = scores[k];
  };
  std::vector<shared_sequences> groups;
  if (options_.shortest_prefix > 0) {
    std::vector<std::vector<token>> read;
    for (const std::size_t i : single_tokens) read.push_back(questions[i].shared);
    std::vector<std::size_t> ungrouped;
    for (auto& group : group_by_prefix(read, options_.shortest_prefix, options_.limits)) {
      for (std::size_t& member : group.members) member = single_tokens[member];
      if (group.shared > 0) {
        groups.push_back(std::move(group));
      } else {
        ungrouped.push_back(group.members.front());
      }
    }
    std::ranges::sort(ungrouped);
    single_tokens = std::move(ungrouped);
  }
  for (const auto& part : pack_groups(std::move(groups), options_.limits)) {
    std::vector<std::size_t> places;
    for (const auto& group : part) places.insert(places.end(), group.members.begin(), group.members.end());
    store_scores(places, compare_next(questions, part));
  }
  for (const auto& part : micro_batches(std::move(single_tokens), lengths, options_.limits))
    store_scores(part, compare_next(questions, part));
  return out;
}

std::vector<double> judge_role::compare_next(const std::vector<question>& questions,
                                             std::span<const std::size_t> chosen) {
  std::vector<std::vector<token>> sequences;
  for (const std::size_t i : chosen) sequences.push_back(questions[i].shared);
  const last_token_batch batch(sequences, bank_->device());
  counts_.asked += static_cast<std::size_t>(batch.layout.tokens);
  counts_.computed += static_cast<std::size_t>(batch.layout.tokens);
  return logit_differences(questions, chosen,
                           bank_->hidden(role_, batch.tokens, batch.layout).index_select(0, batch.last));
}

std::vector<double> judge_role::compare_next(const std::vector<question>& questions,
                                             std::span<const shared_sequences> groups) {
  std::vector<prefix_group> lengths;
  std::vector<token> tokens, last;
  std::vector<std::size_t> chosen;
  for (const auto& group : groups) {
    const auto& any = questions[group.members.front()].shared;
    const auto shared = static_cast<std::ptrdiff_t>(group.shared);
    tokens.insert(tokens.end(), any.begin(), any.begin() + shared);
    prefix_group& next = lengths.emplace_back();
    next.shared = shared;
    for (const std::size_t i : group.members) {
      const auto& sequence = questions[i].shared;
      tokens.insert(tokens.end(), sequence.begin() + shared, sequence.end());
      next.own.push_back(static_cast<std::int64_t>(sequence.size()) - shared);
      last.push_back(static_cast<token>(tokens.size()) - 1);
      chosen.push_back(i);
      counts_.asked += sequence.size();
    }
  }
  counts_.computed += tokens.size();
  const at::Device device = bank_->device();
  const at::Tensor hidden = bank_->hidden(role_, token_tensor(tokens, device), prefix_layout(lengths, device));
  return logit_differences(questions, chosen, hidden.index_select(0, token_tensor(last, device)));
}

std::vector<double> judge_role::logit_differences(const std::vector<question>& questions,
                                                  std::span<const std::size_t> chosen, const at::Tensor& hidden) const {
  std::vector<token> a, b;
  for (const std::size_t i : chosen) {
    a.push_back(questions[i].first.front());
    b.push_back(questions[i].second.front());
  }
  // Both share the normaliser, so the difference of the logits is that of the log-probabilities.
  const at::Tensor& head = bank_->head(role_);
  const at::Tensor difference = head.index_select(0, token_tensor(a, bank_->device())).to(at::kFloat) -
                                head.index_select(0, token_tensor(b, bank_->device())).to(at::kFloat);
  return to_doubles((hidden.to(at::kFloat) * difference).sum(1));
}

double judge_role::compare_continuations(const question& question) {
  token_batch batch;
  for (const auto* answer : {&question.first, &question.second}) {
    batch.prompts.push_back(question.shared);
    batch.responses.push_back(*answer);
  }
  const c10::DeviceGuard guard(bank_->device());  // selects the device whose stream the kernels take
  const response_batch packed(batch, bank_->device());
  counts_.asked += static_cast<std::size_t>(packed.layout.tokens);
  counts_.computed += static_cast<std::size_t>(packed.layout.tokens);
  const at::Tensor hidden = bank_->hidden(role_, packed.tokens, packed.layout).index_select(0, packed.predicting);
  const auto log_probs = to_doubles(
      fused_log_probs(hidden, bank_->head(role_), packed.targets, {.kernels = find_log_prob_kernels(bank_->device())})
          .log_probs);
  double log_odds = 0;
  for (std::size_t t = 0; t < log_probs.size(); ++t)
    log_odds += t < question.first.size() ? log_probs[t] : -log_probs[t];
  return log_odds;
}

}  // namespace coho::trainer
