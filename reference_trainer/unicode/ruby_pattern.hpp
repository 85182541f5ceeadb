#pragma once

#include <string>
#include <string_view>

namespace coho::trainer {

/// The regular expressions of tokenizer.json are in Oniguruma's default syntax, that of Ruby. This is the same
/// expression in the syntax of PCRE2, with the options that `text_pattern` sets. What differs between the two:
///
///  - `\s`, `\w` and POSIX brackets are other sets of characters; `\h` is a hexadecimal digit;
///  - `{n,m}+` repeats the repetition, `{n}?` makes it optional, `{,n}` begins at 0;
///  - `\uHHHH` is a character.
///
/// Throws `argument_error` naming what has no equivalent: intersections of classes and classes within classes, options
/// other than `i`, borders of words, back references, calls, conditions, comments, bytes beyond ASCII.
std::string ruby_to_pcre2(std::string_view expression);

}  // namespace coho::trainer
