#include "roles/reward_role.hpp"

#include <algorithm>

#include <ATen/core/grad_mode.h>

#include <coho/error.hpp>

#include "decoder/packed_batch.hpp"
#include "roles/host_numbers.hpp"

namespace coho::trainer {
namespace {

enum class kept_end { first, last };

// Truncates a text to its first or last `limit` tokens and counts it; a short enough text stays unchanged, byte for
// byte, as does every text with limit 0.
std::string truncate_text(const text_tokenizer& tokenizer, std::string_view text, std::size_t limit, kept_end kept,
                          std::uint64_t& count) {
  if (limit == 0) return std::string(text);
  const auto tokens = tokenizer.encode(text);
  if (tokens.size() <= limit) return std::string(text);
  const std::span<const token> all(tokens);
  ++count;
  return tokenizer.decode(kept == kept_end::last ? all.last(limit) : all.first(limit));
}

}  // namespace

std::vector<token> reward_tokens(const reward_query& query, const text_tokenizer& tokenizer,
                                 const reward_prompt& prompt, const std::optional<reward_prompt>& plain,
                                 const reward_role_options& options, reward_cuts& cuts) {
  ++cuts.read;
  const std::string instruction =
      truncate_text(tokenizer, query.prompt, options.query_tokens, kept_end::last, cuts.queries);
  const std::string response =
      truncate_text(tokenizer, query.response, options.response_tokens, kept_end::first, cuts.responses);
  const bool without = query.principles.empty() && plain;
  const std::string text = without                     ? (*plain)(instruction, response)
                           : prompt.takes_principles() ? prompt(instruction, response, query.principles)
                                                       : prompt(instruction, response);
  std::vector<token> out = tokenizer.begin_tokens();
  for (const token id : tokenizer.encode(text)) out.push_back(id);
  return out;
}

reward_role::reward_role(adapter_bank& bank, std::string role, const text_tokenizer& tokenizer, reward_prompt prompt,
                         reward_role_options options, std::optional<reward_prompt> plain)
    : trained_role(bank, std::move(role)),
      tokenizer_(&tokenizer),
      prompt_(std::move(prompt)),
      plain_(std::move(plain)),
      options_(options) {
  require_argument(!plain_ || !plain_->takes_principles(),
                   "reward_role: the prompt for queries without principles must take none");
}

bool reward_role::same_tokens_read(const reward_query& a, const reward_query& b) const {
  if (a.response == b.response) return true;
  // A token has at least one byte, so responses that differ within that many bytes differ within what is read. A
  // tokenizer may ignore white space around them.
  const auto bare = [](std::string_view text) {
    const auto first = std::min(text.find_first_not_of(" \t\r\n"), text.size());
    return text.substr(first, text.find_last_not_of(" \t\r\n") + 1 - first);
  };
  const auto common = [](std::string_view x, std::string_view y) {
    return static_cast<std::size_t>(std::ranges::mismatch(x, y).in1 - x.begin());
  };
  const std::string_view x = bare(a.response), y = bare(b.response);
  const bool cut = options_.response_tokens > 0 &&
                   std::max(common(a.response, b.response), common(x, y)) >= options_.response_tokens;
  if (!cut && x != y) return false;
  // A comparison is not counted as read.
  const reward_cuts counted = cuts_;
  const bool alike = tokens(a) == tokens(b);
  cuts_ = counted;
  return alike;
}

at::Tensor reward_role::evaluate(std::span<const std::vector<token>> sequences) {
  for (const auto& sequence : sequences) tokens_read_ += sequence.size();
  const last_token_batch batch(sequences, bank_->device());
  return bank_->scalar_output(role_, bank_->hidden(role_, batch.tokens, batch.layout).index_select(0, batch.last));
}

std::vector<double> reward_role::score(std::span<const reward_query> queries) {
  const at::NoGradGuard no_gradient;
  std::vector<std::vector<token>> sequences;
  std::vector<std::size_t> lengths;
  for (const auto& query : queries) {
    sequences.push_back(tokens(query));
    lengths.push_back(sequences.back().size());
  }
  std::vector<double> out(queries.size());
  for (const auto& part : micro_batches(lengths, options_.scoring)) {
    std::vector<std::vector<token>> chosen;
    for (const std::size_t i : part) chosen.push_back(sequences[i]);
    const auto scores = to_doubles(evaluate(chosen));
    for (std::size_t k = 0; k < part.size(); ++k) out[part[k]] = scores[k];
  }
  return out;
}

std::pair<std::vector<double>, reward_role::pullback> reward_role::forward(std::span<const reward_query> queries) {
  std::vector<std::vector<token>> sequences;
  for (const auto& query : queries) sequences.push_back(tokens(query));
  at::Tensor scores = evaluate(sequences);
  return {to_doubles(scores), pullback(scores)};
}

void reward_role::pullback::operator()(std::span<const double> d_scores) {
  scores_.backward(from_doubles(d_scores, scores_));
}

}  // namespace coho::trainer
