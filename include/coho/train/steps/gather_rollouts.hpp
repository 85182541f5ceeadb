#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <Eigen/Core>

#include <coho/concepts.hpp>
#include <coho/error.hpp>
#include <coho/parallel/all_gather.hpp>
#include <coho/parallel/shares.hpp>
#include <coho/rollout/trajectory.hpp>

namespace coho {

namespace detail {

template <std::same_as<Eigen::ArrayXd> Array>
void append_array(Array& to, const Array& from) {
  const Eigen::Index size = to.size();
  to.conservativeResize(size + from.size());
  to.tail(from.size()) = from;
}

template <class T>
void append_packed(packed<T>& to, const packed<T>& from) {
  for (std::size_t i = 0; i < from.size(); ++i) to.push_back(from[i]);
}

template <std::same_as<trajectory_batch> Rollouts>
void append_rollouts(Rollouts& to, const Rollouts& from) {
  const auto append = [](auto& all, const auto& more) { all.insert(all.end(), more.begin(), more.end()); };
  append(to.prompts, from.prompts);
  append(to.prompt_texts, from.prompt_texts);
  append(to.response_texts, from.response_texts);
  append(to.finished, from.finished);
  append(to.empty, from.empty);
  append_packed(to.batch.prompts, from.batch.prompts);
  append_packed(to.batch.responses, from.batch.responses);
  append_packed(to.value_prompts, from.value_prompts);
  append_array(to.recorded_log_probs, from.recorded_log_probs);
  append_array(to.old_log_probs, from.old_log_probs);
  append_array(to.reference_log_probs, from.reference_log_probs);
  append_array(to.values, from.values);
  append_array(to.model_scores, from.model_scores);
  append_array(to.sequence_rewards, from.sequence_rewards);
  append_array(to.rewards, from.rewards);
  append_array(to.advantages, from.advantages);
  append_array(to.returns, from.returns);
  to.shaped_reward_sum += from.shaped_reward_sum;
}

template <std::same_as<trajectory_batch> Rollouts>
void write_rollouts(const Rollouts& from, byte_writer& to) {
  const auto sequences = [&](const packed<token>& p) {
    to.array(p.values);
    to.array(p.offsets);
  };
  to.number(static_cast<std::uint64_t>(from.size()));
  for (std::size_t i = 0; i < from.size(); ++i) {
    const rl_prompt& prompt = from.prompts[i];
    to.array(prompt.tokens);
    to.array(prompt.text);
    to.number(prompt.type);
    to.number(prompt.length_multiplier);
    to.number(static_cast<std::uint64_t>(prompt.principles.size()));
    for (const auto& line : prompt.principles) to.array(line);
    to.number(prompt.key);
    to.array(prompt.value_tokens);
    to.array(from.prompt_texts[i]);
    to.array(from.response_texts[i]);
  }
  sequences(from.batch.prompts);
  sequences(from.batch.responses);
  sequences(from.value_prompts);
  to.array(from.finished);
  to.array(from.empty);
  for (const Eigen::ArrayXd* a :
       {&from.recorded_log_probs, &from.old_log_probs, &from.reference_log_probs, &from.values, &from.model_scores,
        &from.sequence_rewards, &from.rewards, &from.advantages, &from.returns})
    to.array(*a);
  to.number(from.shaped_reward_sum);
}

template <std::same_as<trajectory_batch> Rollouts = trajectory_batch>
Rollouts read_rollouts(byte_reader from) {
  Rollouts out;
  const auto sequences = [&](packed<token>& p) {
    p.values = from.array<std::vector<token>>();
    p.offsets = from.array<std::vector<std::size_t>>();
  };
  const auto count = from.number<std::uint64_t>();
  for (std::uint64_t i = 0; i < count; ++i) {
    rl_prompt& prompt = out.prompts.emplace_back();
    prompt.tokens = from.array<std::vector<token>>();
    prompt.text = from.array<std::string>();
    prompt.type = from.number<prompt_type>();
    prompt.length_multiplier = from.number<double>();
    const auto lines = from.number<std::uint64_t>();
    for (std::uint64_t k = 0; k < lines; ++k) prompt.principles.push_back(from.array<std::string>());
    prompt.key = from.number<std::uint64_t>();
    prompt.value_tokens = from.array<std::vector<token>>();
    out.prompt_texts.push_back(from.array<std::string>());
    out.response_texts.push_back(from.array<std::string>());
  }
  sequences(out.batch.prompts);
  sequences(out.batch.responses);
  sequences(out.value_prompts);
  out.finished = from.array<std::vector<std::uint8_t>>();
  out.empty = from.array<std::vector<std::uint8_t>>();
  for (Eigen::ArrayXd* a : {&out.recorded_log_probs, &out.old_log_probs, &out.reference_log_probs, &out.values,
                            &out.model_scores, &out.sequence_rewards, &out.rewards, &out.advantages, &out.returns})
    *a = from.array<Eigen::ArrayXd>();
  out.shaped_reward_sum = from.number<double>();
  return out;
}

/// Rollouts of this rank's `count` sequences, each share by itself: what a share's passes hold does not depend on how
/// many shares a rank has. `evaluate(begin, end)` makes those of a range of them. `count` may be 0.
template <class Communicator, class Evaluate>
trajectory_batch by_shares(std::size_t count, Communicator& ranks, Evaluate evaluate) {
  const std::size_t shares = share_count(ranks), size = static_cast<std::size_t>(ranks.size());
  trajectory_batch out;
  if (shares <= size) {
    if (count > 0) out = evaluate(std::size_t{0}, count);
    return out;
  }
  std::vector<double> counts(size, 0.0);
  counts[static_cast<std::size_t>(ranks.rank())] = static_cast<double>(count);
  ranks.all_reduce_sum(span_of(counts));
  std::size_t first = 0, total = 0;
  for (std::size_t r = 0; r < size; ++r) {
    if (r < static_cast<std::size_t>(ranks.rank())) first += static_cast<std::size_t>(counts[r]);
    total += static_cast<std::size_t>(counts[r]);
  }
  for (std::size_t s = 0; s < shares; ++s) {
    const index_range part = part_of(total, s, shares);
    const std::size_t begin = std::max(part.begin, first), end = std::min(part.end, first + count);
    if (begin < end) append_rollouts(out, evaluate(begin - first, end - first));
  }
  return out;
}

}  // namespace detail

/// The rollouts of all ranks on each, in the order of the ranks: a few megabytes for hundreds of responses, against
/// gradients of gigabytes. What follows is then computed as one process would. All ranks call together; a rank may
/// have none.
///
///     rollouts = coho::gather_rollouts(std::move(rollouts), ranks);
struct gather_rollouts_fn {
  template <communicator Communicator>
  trajectory_batch operator()(trajectory_batch mine, Communicator& ranks) const {
    if (ranks.size() == 1) return mine;
    detail::byte_writer bytes;
    detail::write_rollouts(mine, bytes);
    trajectory_batch out;
    for (const auto& each : all_gather(detail::span_of(bytes.bytes()), ranks))
      detail::append_rollouts(out, detail::read_rollouts(detail::byte_reader(detail::span_of(each))));
    require_argument(out.recorded_log_probs.size() == 0 || out.recorded_log_probs.size() == out.old_log_probs.size(),
                     "the rollouts of some ranks have log_probs of their sampler, those of others have none");
    return out;
  }
};
inline constexpr gather_rollouts_fn gather_rollouts{};

}  // namespace coho
