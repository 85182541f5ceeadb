#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "chat_template/builtins/globals.hpp"
#include "chat_template/scope_analysis.hpp"
#include "chat_template/syntax_tree.hpp"
#include "chat_template/template_source.hpp"
#include "chat_template/values/sandbox.hpp"

namespace coho::trainer::jinja {

/// What was assigned in a block. Blocks of loops, macros and the like have their own; names that are not in it are
/// those of the block around it.
struct scope {
  explicit scope(std::shared_ptr<scope> around) : parent(std::move(around)) {}

  /// From this scope outwards; null if none has it.
  const value* find(std::string_view name) const;
  /// In this scope, whatever those around it have.
  void set(std::string_view name, value item);

  std::shared_ptr<scope> parent;
  std::vector<std::pair<std::string, value>> names;
};

/// One rendering of a template.
class interpreter {
 public:
  using span = std::pair<std::size_t, std::size_t>;

  /// All must outlive it.
  interpreter(const template_source& source, const undefined_names& undefined, const dictionary& variables,
              const template_limits& limits, const clock_function& now);

  /// Appends what the statements write to `text`. Throws `template_error`. Called once.
  void render(const statements& body);

  /// What was rendered.
  const std::string& text() const noexcept { return text_; }
  /// The bytes of the text from generation blocks, in the order of their ends.
  const std::vector<span>& generation_spans() const noexcept { return generated_; }

 private:
  enum class flow : std::uint8_t { normal, break_loop, continue_loop };
  class scope_guard;

  // Statements write, and tell how they end: on, or at break or continue. A `failure` gets the place of the innermost
  // statement or expression.
  flow execute(const statements& body);
  flow execute(const statement& s);
  flow execute(const text_statement& s);
  flow execute(const print_statement& s);
  flow execute(const if_statement& s);
  flow execute(const for_statement& s);
  flow execute(const set_statement& s);
  flow execute(const set_block_statement& s);
  flow execute(const filter_statement& s);
  flow execute(const with_statement& s);
  flow execute(const macro_statement& s);
  flow execute(const generation_statement& s);
  flow execute(const break_statement&) { return flow::break_loop; }
  flow execute(const continue_statement&) { return flow::continue_loop; }

  // Expressions, with Jinja's values.
  value evaluate(const expression& e);
  value evaluate(const literal& e);
  value evaluate(const name_reference& e);
  value evaluate(const sequence_display& e);
  value evaluate(const dict_display& e);
  value evaluate(const unary_operation& e);
  value evaluate(const binary_operation& e);
  value evaluate(const logical_operation& e);
  value evaluate(const concatenation& e);
  value evaluate(const comparison& e);
  value evaluate(const conditional& e);
  value evaluate(const attribute_access& e);
  value evaluate(const item_access& e);
  value evaluate(const slice_access& e);
  value evaluate(const call_expression& e);
  value evaluate(const filter_expression& e);
  value evaluate(const test_expression& e);

  /// A name of the scopes, else a variable of the rendering, else a function of `find_global`, else Undefined.
  value find_variable(std::string_view name);
  /// In order, `*more` and `**named` unpacked. Throws `failure` for a name that is given twice.
  arguments evaluate_arguments(const call_arguments& given);
  bool evaluate_comparison(comparison_operator op, const value& left, const value& right);
  /// The items of a loop that pass its condition.
  value filtered_items(const for_statement& s, const value& iterable);
  /// The text of a macro in a scope within `around`.
  value call_macro(const macro_definition& macro, const std::shared_ptr<scope>& around, const arguments& given);
  /// Sets a macro's parameters, varargs and kwargs in the current scope. Throws `failure` for arguments it does not
  /// take.
  void bind_parameters(const macro_definition& macro, const arguments& given);
  /// Throws `failure` for the wrong number of items, and for an attribute of what is not a namespace.
  void assign_target(const target& to, value item);
  /// Begins the scope of a body: sets the names of `find_undefined_names`.
  void set_undefined_names(const statements& body);
  /// The inverse of `assign_target`: the values of the target's names, for a tuple as a tuple.
  value assigned_value(const target& to);
  /// To the rendered text, or what captures it. Throws `failure` at `output_bytes` or `string_bytes`.
  void write_text(std::string_view words);
  /// What statements write, and how they end.
  std::pair<std::string, flow> capture_output(const statements& body);
  /// The value of a block's filters for its text; the text if `filters` is null.
  value apply_block_filters(const expression_ptr& filters, std::string words);

  const template_source& source_;
  const undefined_names& undefined_;
  const dictionary& variables_;
  const clock_function& now_;
  std::string text_;
  std::vector<span> generated_;
  sandbox box_;
  std::shared_ptr<scope> scope_;
  std::string* out_ = &text_;
  value block_;  ///< what the filters of a block are applied to
};

}  // namespace coho::trainer::jinja
