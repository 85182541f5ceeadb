#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "chat_template/builtins/globals.hpp"
#include "chat_template/lexer.hpp"
#include "chat_template/syntax_tree.hpp"
#include "chat_template/values/sandbox.hpp"

namespace coho::trainer::jinja {

/// What was assigned in a block. Blocks of loops, macros and the like have their own; names that are not in it are
/// those of the block around it.
struct scope {
  explicit scope(std::shared_ptr<scope> around) : parent(std::move(around)) {}

  const value* find(std::string_view name) const;
  void set(std::string_view name, value item);

  std::shared_ptr<scope> parent;
  std::vector<std::pair<std::string, value>> names;
};

/// One rendering of a template.
class interpreter {
 public:
  using span = std::pair<std::size_t, std::size_t>;

  /// All must outlive it.
  interpreter(const template_source& source, const dictionary& variables, const template_limits& limits,
              const clock_function& now);

  /// Throws `template_error`.
  void render(const statements& body);

  const std::string& text() const noexcept { return text_; }
  /// The bytes of the text from generation blocks, in the order of their ends.
  const std::vector<span>& generated() const noexcept { return generated_; }

 private:
  enum class flow : std::uint8_t { on, leave, again };
  class new_scope;

  flow execute(const statements& body);
  flow execute(const statement& s);
  flow run(const text_statement& s);
  flow run(const print_statement& s);
  flow run(const if_statement& s);
  flow run(const for_statement& s);
  flow run(const set_statement& s);
  flow run(const set_block_statement& s);
  flow run(const filter_statement& s);
  flow run(const with_statement& s);
  flow run(const macro_statement& s);
  flow run(const generation_statement& s);
  flow run(const break_statement&) { return flow::leave; }
  flow run(const continue_statement&) { return flow::again; }

  value evaluate(const expression& e);
  value result(const literal& e);
  value result(const name_reference& e);
  value result(const sequence_display& e);
  value result(const dict_display& e);
  value result(const unary_operation& e);
  value result(const binary_operation& e);
  value result(const logical_operation& e);
  value result(const concatenation& e);
  value result(const comparison& e);
  value result(const conditional& e);
  value result(const attribute_access& e);
  value result(const item_access& e);
  value result(const slice_access& e);
  value result(const call_expression& e);
  value result(const filter_expression& e);
  value result(const test_expression& e);

  value find(std::string_view name);
  arguments evaluated(const call_arguments& given);
  bool compare(comparison_operator op, const value& left, const value& right);
  /// The items of a loop that pass its condition.
  value filtered(const for_statement& s, const value& iterable);
  value call_macro(const macro_definition& macro, const std::shared_ptr<scope>& around, const arguments& given);
  void bind(const macro_definition& macro, const arguments& given);
  void assign(const target& to, value item);
  /// What an assignment filled, as a value: that of a tuple is a tuple.
  value filled(const target& to);
  void write(std::string_view words);
  /// What statements write, and how they end.
  std::pair<std::string, flow> captured(const statements& body);
  value through(const expression_ptr& filters, std::string words);

  const template_source& source_;
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
