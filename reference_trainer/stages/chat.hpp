#pragma once

#include <cstddef>
#include <vector>

#include <coho/prompt/chat_prompt.hpp>

#include "cli/application.hpp"
#include "stages/prompting.hpp"

namespace coho::trainer {

/// `coho chat`: a conversation in the terminal, or with questions piped in, one a line. Answers appear as they are
/// sampled. An empty line is skipped, "/new" forgets the conversation, the end of input (Ctrl-D) ends it.
///
/// Keys: model.*, chat.adapter, chat.system, generation.*, prompt.*. In the plain format each question stands alone.
subcommand make_chat_command();

/// The tokens of a conversation, its oldest exchanges left out until they are at most `limit`; the system message and
/// the last question stay in any case. What was left out is removed from `messages`.
std::vector<token> fit_conversation(const prompter& prompts, std::vector<chat_message>& messages, std::size_t limit);

}  // namespace coho::trainer
