#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include <coho/prompt/chat_prompt.hpp>

#include "jsonl/jsonl.hpp"
#include "models/prompter.hpp"

namespace coho::trainer {

/// The tokens of a conversation, with the oldest exchanges dropped until at most `limit` remain; the system message and
/// the last question always stay. Dropped exchanges are removed from `messages`.
std::vector<token> fit_conversation(const prompter& prompts, std::vector<chat_message>& messages, std::size_t limit);

/// {"messages": [{"role", "content"}, …]}, a format that prompts and sft records are read from.
json conversation_json(std::span<const chat_message> messages);

}  // namespace coho::trainer
