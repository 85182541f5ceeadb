#pragma once

#include <filesystem>

#include <coho/prompt/chat_format.hpp>

namespace coho::trainer {

/// Reads a user-defined chat format, a JSON object. Every member is optional, but something must separate question and
/// answer:
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
/// The texts are those of `chat_format`; text that spells a special token of the model's tokenizer, such as
/// "<|im_start|>", becomes that token. "place": before_user, or inside_user (after the first user prefix).
/// "begin_token": conversation (at the start), or each_exchange (before each user message). "end_token": none, or
/// each_reply (after each earlier reply). "trim": whether to strip white space around messages. Missing texts are
/// empty, missing choices the first of those listed here, the name is the file's.
///
/// Throws `file_error` naming file and field for an unknown field, a value of the wrong type, text that spells a begin
/// or end token (the two choices place those), an empty stop string, and a format in which nothing separates question
/// and answer.
chat_format load_chat_format(const std::filesystem::path& path);

}  // namespace coho::trainer
