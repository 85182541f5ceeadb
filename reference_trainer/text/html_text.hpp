#pragma once

#include <string>
#include <string_view>

namespace coho::trainer {

/// A character reference ("&lt;", "&#39;", "&#x27;") at the start of `text`: its length in bytes and the text that it
/// represents. Length 0: there is none, or its name is not a common one.
struct character_reference {
  std::size_t length = 0;
  std::string text{};
};
/// Read as HTML: a name is looked up, a number is a code point (decimal, or hexadecimal after x).
character_reference read_character_reference(std::string_view text);

/// Replaces each character reference by its text; anything else stays.
std::string decode_character_references(std::string_view text);

/// A tag, or a comment (named "!--"), at the start of a text.
struct html_tag {
  std::size_t length = 0;         ///< in bytes; 0: there is no tag
  std::string name{};             ///< lower case
  bool closing = false;           ///< "</p>"
  std::string_view attributes{};  ///< as they are written; points into the text
};
/// A ">" within quotes does not end a tag. Length 0 for a "<" that begins no tag, and for one that does not end.
html_tag read_html_tag(std::string_view text);

/// The text of an HTML fragment as a person would write it: paragraphs separated, one line per list item with "- ",
/// `pre` as a fenced block with its language, `code` in backticks, no tags, references decoded.
///
///     html_to_text("<p>Sort <code>a</code></p><ul><li>up</li></ul>");  // "Sort `a`\n\n- up"
std::string html_to_text(std::string_view html);

}  // namespace coho::trainer
