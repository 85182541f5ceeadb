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
  expression_ptr parse_expression(bool with_condition = true);
  /// Expressions with commas between them are a tuple, even without parentheses.
  expression_ptr parse_tuple(bool with_condition = true, std::string_view end_name = {});
  /// `| filter | filter` after `input`, which is null for the filters of a block; `without_bar`: the first name follows
  /// at once, as after the tag `filter`.
  expression_ptr parse_filters(expression_ptr input, bool without_bar);
  /// Whether filters and tests that are not known are refused only where rendering reaches them, as Jinja does within
  /// an `if`. Returns the setting before.
  bool set_deferring_unknown(bool deferring) { return std::exchange(deferring_unknown_, deferring); }
  /// Called for each name, for macros that take any arguments.
  std::function<void(std::string_view)> on_name;

  /// One level of recursion, as long as the object lives. Its constructor throws `template_error` at 200 levels, which
  /// the stack holds; every recursive rule has one.
  class depth_guard {
   public:
    explicit depth_guard(expression_parser& parser);
    ~depth_guard() { --parser_.depth_; }
    depth_guard(const depth_guard&) = delete;
    depth_guard& operator=(const depth_guard&) = delete;

   private:
    expression_parser& parser_;
  };

 private:
  using form_type = jinja::expression::form_type;
  /// Throws `template_error` for the first unknown name of the expression just read, unless they are deferred.
  void refuse_unknown();
  /// A node; `depth`: of the deepest expression in it. Throws `template_error` beyond 200.
  expression_ptr make_expression(std::size_t offset, std::size_t depth, form_type form);

  // A rule of the grammar each, in increasing precedence.
  expression_ptr parse_conditional();
  expression_ptr parse_logical(bool is_or);  ///< `or`, or else `and`
  expression_ptr parse_negation();
  expression_ptr parse_comparison();
  /// `==`, `in`, `not in` and so on; none if there is none here.
  std::optional<comparison_operator> take_comparison_operator();
  expression_ptr parse_sum();
  expression_ptr parse_concatenation();
  expression_ptr parse_product();
  expression_ptr parse_power();
  /// `operand operator operand …`.
  expression_ptr parse_left_associative(std::initializer_list<std::pair<std::string_view, binary_operator>> operators,
                                        expression_ptr (expression_parser::*operand)());
  expression_ptr parse_unary(bool with_filters = true);  ///< without filters after a sign, as in Jinja
  expression_ptr parse_primary();                        ///< a name, a constant, or something in brackets
  expression_ptr parse_string();
  expression_ptr parse_list();
  expression_ptr parse_dict();
  /// `.name`, `[key]` and `(…)` after an object.
  expression_ptr parse_postfix(expression_ptr object);
  /// `| filter`, `is test` and `(…)` after an expression.
  expression_ptr parse_filters_and_tests(expression_ptr input);
  expression_ptr parse_subscript(expression_ptr object);
  expression_ptr parse_call(expression_ptr function);
  expression_ptr parse_test(expression_ptr tested);
  /// Names of filters and tests may have dots.
  std::string parse_dotted_name();
  /// `(a, name=b, *more, **named)`; `depth` rises to that of the deepest. Throws `template_error` for a wrong order.
  call_arguments parse_arguments(std::size_t& depth);

  token_stream& tokens_;
  std::size_t depth_ = 0;
  bool deferring_unknown_ = false;
  bool within_ = false;                                       ///< an expression is being read
  std::vector<std::pair<std::size_t, std::string>> unknown_;  ///< where, and why, within the expression that is read
};

}  // namespace coho::trainer::jinja
