#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include <coho/prompt/chat_prompt.hpp>

#include "jsonl/jsonl.hpp"
#include "models/prompter.hpp"

namespace coho::trainer {

/// The tokens of a conversation, its oldest exchanges left out until they are at most `limit`; the system message and
/// the last question stay in any case. What was left out is removed from `messages`.
std::vector<token> fit_conversation(const prompter& prompts, std::vector<chat_message>& messages, std::size_t limit);

/// {"messages": [{"role", "content"}, …]}, a form that prompts and sft records are read from.
json conversation_json(std::span<const chat_message> messages);

}  // namespace coho::trainer
