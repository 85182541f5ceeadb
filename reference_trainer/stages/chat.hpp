#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include <coho/prompt/chat_prompt.hpp>

#include "cli/application.hpp"
#include "data/jsonl.hpp"
#include "stages/prompting.hpp"

namespace coho::trainer {

/// `coho chat`: a conversation in the terminal, or with questions piped in, one a line. Answers appear as they are
/// sampled. An empty line is skipped. Commands: "/reset" (or "/new") forgets the conversation, "/system TEXT" sets the
/// system text and starts again, "/save FILE" writes the conversation as a JSON record of messages, "/help" lists them,
/// "/exit" or the end of input (Ctrl-D) ends. In a terminal Ctrl-C stops the answer; what was said so far stays in the
/// conversation. When the model's positions are full the oldest exchanges are left out, which is said once.
///
/// Keys: model.*, chat.adapter, chat.system, generation.*, prompt.*. In the plain format each question stands alone.
subcommand make_chat_command();

/// The tokens of a conversation, its oldest exchanges left out until they are at most `limit`; the system message and
/// the last question stay in any case. What was left out is removed from `messages`.
std::vector<token> fit_conversation(const prompter& prompts, std::vector<chat_message>& messages, std::size_t limit);

/// {"messages": [{"role", "content"}, …]}, a form that prompts and sft records are read from.
json conversation_json(std::span<const chat_message> messages);

}  // namespace coho::trainer
