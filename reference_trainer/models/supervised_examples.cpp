#include "models/supervised_examples.hpp"

#include <algorithm>
#include <string>
#include <vector>

#include "jsonl/dropped_parts.hpp"

namespace coho::trainer {

std::vector<chat_message> trained_messages(const sft_record& record, trained_replies replies) {
  auto messages = record.messages();
  const auto is_reply = [](const chat_message& message) { return message.role == chat_role::assistant; };
  const auto* chosen =
      replies == trained_replies::first ? &*std::ranges::find_if(messages, is_reply) : &messages.back();
  for (auto& message : messages)
    if (replies != trained_replies::all && &message != chosen) message.weight = 0;
  return messages;
}

supervised_example make_supervised_example(const sft_record& record, const prompter& prompts,
                                           std::size_t max_response_tokens, trained_replies replies,
                                           std::string_view limit_key) {
  const auto talk = prompts.training_tokens(trained_messages(record, replies));
  std::vector<double> weights(talk.tokens.size(), 0.0);
  std::size_t first = talk.tokens.size(), last = 0;
  for (const auto& reply : talk.replies) {
    if (!(reply.weight > 0) || reply.size == 0) continue;
    std::size_t size = reply.size;
    // A reply that was cut does not end there, so no end token is trained.
    if (max_response_tokens > 0 && size - reply.ended >= max_response_tokens) {
      if (size > max_response_tokens)
        dropped_parts::of_run().add("a reply of " + std::to_string(max_response_tokens) + " tokens or more (" +
                                        std::string(limit_key) + "): only those are trained on, without an end token",
                                    record.prompt.text() + record.response);
      size = max_response_tokens;
    }
    std::fill_n(weights.begin() + static_cast<std::ptrdiff_t>(reply.first), size, reply.weight);
    first = std::min(first, reply.first);
    last = std::max(last, reply.first + size);
  }
  if (first >= last) return {};
  const auto at = [](const auto& list, std::size_t i) { return list.begin() + static_cast<std::ptrdiff_t>(i); };
  supervised_example out{.prompt = {talk.tokens.begin(), at(talk.tokens, first)},
                         .response = {at(talk.tokens, first), at(talk.tokens, last)},
                         .token_weights = {at(weights, first), at(weights, last)}};
  if (std::ranges::all_of(out.token_weights, [](double w) { return w == 1; })) out.token_weights.clear();
  return out;
}

}  // namespace coho::trainer
