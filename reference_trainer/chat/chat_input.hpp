#pragma once

#include <string>
#include <string_view>

namespace coho::trainer {

/// A line that a chat takes as a command: a slash and a word of letters ("/save talk.jsonl"). Anything else, a
/// path like "/etc/hosts" included, is a question.
struct chat_command {
  std::string name;      ///< "save"; empty: the line is a question
  std::string argument;  ///< what follows, without white space around it
};
/// A line "/name argument"; one that is not a command has an empty name. White space around each is dropped; names are
/// of lower-case ASCII letters.
chat_command parse_command(std::string_view line);

}  // namespace coho::trainer
