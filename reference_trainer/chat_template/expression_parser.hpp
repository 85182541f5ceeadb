#pragma once

#include <cstddef>
#include <functional>
#include <initializer_list>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "chat_template/syntax_tree.hpp"
#include "chat_template/token_stream.hpp"

namespace coho::trainer::jinja {

/// Expressions, with the precedence of Jinja's grammar, which differs from Python's in places: `-2 ** 2` is 4, and `**`
/// associates to the left.
class expression_parser {
 public:
  explicit expression_parser(token_stream& tokens) : tokens_(tokens) {}

  /// One expression, with or without `a if b else c`.
  expression_ptr expression(bool with_condition = true);
  /// Expressions with commas between them are a tuple, even without parentheses.
  expression_ptr tuple(bool with_condition = true, std::string_view end_name = {});
  /// `| filter | filter` after `input`, which may be null; the first bar is there or not.
  expression_ptr filters(expression_ptr input, bool without_bar);
  /// Within an `if` a filter or test that is not known is refused only where it is reached, as in Jinja. Returns what
  /// was set before.
  bool set_optional(bool optional) { return std::exchange(optional_, optional); }
  /// Called for each name, for macros that take any arguments.
  std::function<void(std::string_view)> on_name;

  /// Refuses to go deeper than the stack allows. Call it in recursive rules.
  class level {
   public:
    explicit level(expression_parser& parser);
    ~level() { --parser_.level_; }
    level(const level&) = delete;
    level& operator=(const level&) = delete;

   private:
    expression_parser& parser_;
  };

 private:
  using form_type = jinja::expression::form_type;
  void require_known();
  expression_ptr make(std::size_t offset, std::size_t depth, form_type form);

  expression_ptr conditional_expression();
  expression_ptr logical(bool is_or);
  expression_ptr negation();
  expression_ptr comparison();
  std::optional<comparison_operator> take_comparison();
  expression_ptr sum();
  expression_ptr concatenation();
  expression_ptr product();
  expression_ptr power();
  expression_ptr left_associative(std::initializer_list<std::pair<std::string_view, binary_operator>> operators,
                                  expression_ptr (expression_parser::*operand)());
  expression_ptr unary(bool with_filters = true);
  expression_ptr primary();
  expression_ptr string();
  expression_ptr list();
  expression_ptr dict();
  expression_ptr postfix(expression_ptr object);
  expression_ptr with_filters_and_tests(expression_ptr input);
  expression_ptr subscript(expression_ptr object);
  expression_ptr call(expression_ptr function);
  expression_ptr test(expression_ptr tested);
  std::string dotted_name();
  call_arguments arguments(std::size_t& depth);

  token_stream& tokens_;
  std::size_t level_ = 0;
  bool optional_ = false;
  bool within_ = false;                                       ///< an expression is being read
  std::vector<std::pair<std::size_t, std::string>> unknown_;  ///< where, and why, within the expression that is read
};

}  // namespace coho::trainer::jinja
