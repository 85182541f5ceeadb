#pragma once

#include <string>
#include <string_view>

namespace coho::trainer {

/// A message as it was typed, out of one that was copied from the page of a chat, as exports of ShareGPT hold it.
///
/// - A message that is an HTML fragment as a whole becomes text; in others the tags of the page (`div` and `span` with
///   its classes) are taken out, and HTML that the message speaks of stays.
/// - A message whose every "&" begins a character reference, and which does not speak of HTML, is decoded.
/// - The button "Copy code" and the language before it at the head of code; "Copy…chars / …words".
/// - The pager "2 / 3" between versions of a message, on a line of its own at an end.
///
///     without_page_residue("Fix this\n```pythonCopy code\nx=1\n```");  // "Fix this\n```python\nx=1\n```"
std::string without_page_residue(std::string_view message);

}  // namespace coho::trainer
