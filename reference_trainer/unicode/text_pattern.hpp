#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace coho::trainer {

/// A part of a text: a match of a pattern, or what is between two.
struct pattern_part {
  std::size_t begin = 0, end = 0;
  bool match = false;
};

/// What Split and Replace look for: a literal text, or a regular expression in the syntax of tokenizer.json, compiled
/// to machine code by PCRE2. Copies share the program; matching is safe from several threads.
///
///     std::vector<pattern_part> parts;
///     text_pattern::regex(R"(\s+)").split("a b", parts);  // {0, 1, false}, {1, 2, true}, {2, 3, false}
class text_pattern {
 public:
  /// An empty text never matches.
  static text_pattern literal(std::string text);
  /// Throws `argument_error` with what is wrong with the expression, or what of it is not supported.
  static text_pattern regex(std::string_view expression);

  /// Replaces `parts` by the parts of a UTF-8 text, in order, without gaps. Throws `argument_error` if the expression
  /// needs more steps or memory than PCRE2 allows.
  void split(std::string_view text, std::vector<pattern_part>& parts) const;

  /// The text with `content` in place of each match, verbatim: there are no references to groups.
  std::string replace_all(std::string_view text, std::string_view content) const;

 private:
  struct program;
  /// `split` for a literal.
  void split_literal(std::string_view text, std::vector<pattern_part>& parts) const;
  /// The first match at or after `from`; false if there is none.
  bool search(std::string_view text, std::size_t from, pattern_part& found) const;

  std::string text_;  ///< of a literal
  std::shared_ptr<const program> program_;
};

}  // namespace coho::trainer
