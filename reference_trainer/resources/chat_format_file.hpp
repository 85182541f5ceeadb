#pragma once

#include <filesystem>

#include <coho/prompt/chat_prompt.hpp>

namespace coho::trainer {

/// Reads a chat format of the user's own, a JSON object whose members may all be left out but that must put something
/// between question and answer:
///
///     {
///       "name": "mine",
///       "system": {"default": "", "prefix": "<|system|>\n", "suffix": "\n", "place": "before_user"},
///       "user": {"prefix": "<|user|>\n", "suffix": "\n"},
///       "assistant": {"prefix": "<|assistant|>", "response_prefix": "\n", "history_gap": "", "suffix": "\n"},
///       "begin_token": "conversation",
///       "end_token": "each_reply",
///       "trim": false,
///       "stop": ["<|user|>"]
///     }
///
/// The texts are those of `chat_format`; what spells a special token of the model's tokenizer, such as "<|im_start|>",
/// is that token. "place": before_user, or inside_user (behind the first user prefix). "begin_token": conversation (in
/// front of all), or each_exchange (of each user message). "end_token": none, or each_reply (behind each earlier
/// reply). "trim": whether white space around messages is dropped. Missing texts are empty, missing choices the first
/// of those named here, the name is the file's.
///
/// Throws `file_error` naming file and field for an unknown field, a value of the wrong type, text that spells a begin
/// or end token (the two choices say where those go), an empty stop string, and a format in which nothing parts
/// question and answer.
chat_format load_chat_format(const std::filesystem::path& path);

}  // namespace coho::trainer
