#pragma once

#include <string>
#include <string_view>

namespace coho::trainer {

/// The message as it was typed, recovered from a copy of a chat page, as in exports of ShareGPT.
///
/// - A message that is an HTML fragment as a whole becomes text; in others the tags of the page (`div` and `span` with
///   its classes) are removed, and HTML that the message itself is about stays.
/// - A message whose every "&" begins a character reference, and which is not about HTML, is decoded.
/// - Removes the button "Copy code" and the language before it at the head of code, and "Copy…chars / …words".
/// - Removes the pager "2 / 3" between versions of a message, on a line of its own at either end.
///
///     clean_chat_export("Fix this\n```pythonCopy code\nx=1\n```");  // "Fix this\n```python\nx=1\n```"
std::string clean_chat_export(std::string_view message);

}  // namespace coho::trainer
