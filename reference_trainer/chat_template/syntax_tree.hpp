#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "chat_template/builtins/arithmetic.hpp"
#include "chat_template/builtins/filters.hpp"
#include "chat_template/values/value.hpp"

/// What a template says. Every node knows the byte of the source where it begins.
namespace coho::trainer::jinja {

struct expression;
using expression_ptr = std::unique_ptr<const expression>;
using expressions = std::vector<expression_ptr>;

/// The arguments of a call: (a, name=b, *more, **named).
struct call_arguments {
  expressions positional;
  std::vector<std::pair<std::string, expression_ptr>> named;
  expression_ptr more, more_named;  ///< null if there are none
};

struct literal {
  value constant;
};
struct name_reference {
  std::string name;
};
struct sequence_display {
  kind type;  ///< list or tuple
  expressions items;
};
struct dict_display {
  std::vector<std::pair<expression_ptr, expression_ptr>> entries;
};
enum class unary_operator : std::uint8_t { logical_not, negative, positive };
struct unary_operation {
  unary_operator op;
  expression_ptr operand;
};
struct binary_operation {
  binary_operator op;
  expression_ptr left, right;
};
/// `a and b and c`, or with `or`.
struct logical_operation {
  bool is_or;
  expressions operands;
};
/// `a ~ b ~ c`.
struct concatenation {
  expressions parts;
};
enum class comparison_operator : std::uint8_t { equal, unequal, less, less_equal, greater, greater_equal, in, not_in };
/// `a < b <= c`.
struct comparison {
  expression_ptr first;
  std::vector<std::pair<comparison_operator, expression_ptr>> others;
};
/// `a if condition else b`; without else it is Undefined where the condition is false.
struct conditional {
  expression_ptr condition, then, otherwise;
};
struct attribute_access {
  expression_ptr object;
  std::string name;
};
struct item_access {
  expression_ptr object, key;
};
/// `object[start:stop:step]`, each null if it is not written.
struct slice_access {
  expression_ptr object, start, stop, step;
};
struct call_expression {
  expression_ptr function;
  call_arguments given;
};
struct filter_expression {
  expression_ptr input;  ///< null for the block of a filter
  std::string name;
  filter apply;  ///< null if there is none of that name: it fails where it is reached
  call_arguments given;
};
struct test_expression {
  expression_ptr tested;
  std::string name;
  test ask;  ///< null if there is none of that name
  bool negated;
  call_arguments given;
};

/// Of the errors for names that `find_filter` and `find_test` do not know.
inline std::string unknown_filter_message(const std::string& name) {
  return "the filter '" + name + "' is not supported";
}
inline std::string unknown_test_message(const std::string& name) { return "the test '" + name + "' is not supported"; }

struct expression {
  using form_type =
      std::variant<literal, name_reference, sequence_display, dict_display, unary_operation, binary_operation,
                   logical_operation, concatenation, comparison, conditional, attribute_access, item_access,
                   slice_access, call_expression, filter_expression, test_expression>;
  std::size_t offset;
  std::size_t depth;  ///< of expressions within this one, itself included
  form_type form;
};

struct statement;
using statements = std::vector<statement>;

/// What an assignment fills: a name, an attribute of a namespace, or several of these.
struct target {
  std::size_t offset = 0;
  std::string name;
  std::string attribute;        ///< empty if it is not an attribute
  std::vector<target> targets;  ///< of a tuple
  bool is_tuple = false;
};

struct text_statement {
  std::string text;
};
struct print_statement {
  expression_ptr printed;
};
struct if_statement {
  std::vector<std::pair<expression_ptr, statements>> branches;
  statements otherwise;
};
struct for_statement {
  target item;
  expression_ptr iterable, condition;  ///< the condition may be null
  statements body, otherwise;
};
struct set_statement {
  target to;
  expression_ptr from;
};
/// {% set name | filter %}…{% endset %}
struct set_block_statement {
  target to;
  expression_ptr filters;  ///< of the rendered body, or null
  statements body;
};
struct filter_statement {
  expression_ptr filters;
  statements body;
};
struct with_statement {
  std::vector<std::pair<target, expression_ptr>> assignments;
  statements body;
};
struct macro_definition {
  std::string name;
  std::vector<std::pair<std::string, expression_ptr>> parameters;  ///< with the default, or null
  bool takes_varargs = false, takes_kwargs = false;
  statements body;
};
struct macro_statement {
  std::shared_ptr<const macro_definition> macro;
};
/// {% generation %}…{% endgeneration %}
struct generation_statement {
  statements body;
};
struct break_statement {};
struct continue_statement {};

struct statement {
  using form_type = std::variant<text_statement, print_statement, if_statement, for_statement, set_statement,
                                 set_block_statement, filter_statement, with_statement, macro_statement,
                                 generation_statement, break_statement, continue_statement>;
  std::size_t offset;
  form_type form;
};

}  // namespace coho::trainer::jinja
