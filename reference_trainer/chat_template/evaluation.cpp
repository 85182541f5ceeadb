// Expressions.
#include <algorithm>
#include <string>

#include "chat_template/builtins/access.hpp"
#include "chat_template/builtins/arithmetic.hpp"
#include "chat_template/errors/template_error.hpp"
#include "chat_template/interpreter.hpp"
#include "chat_template/values/comparison.hpp"
#include "chat_template/values/iteration.hpp"
#include "chat_template/values/value_text.hpp"

namespace coho::trainer::jinja {

value interpreter::evaluate(const expression& e) {
  try {
    const sandbox::depth_guard deeper(box_);
    box_.count_steps();
    return std::visit([&](const auto& form) { return evaluate(form); }, e.form);
  } catch (const failure& problem) {
    source_.refuse(e.offset, problem.what());
  }
}

value interpreter::find_variable(std::string_view name) {
  if (const auto* const assigned = scope_->find(name)) return *assigned;
  if (const auto* const given = variables_.find(name)) return *given;
  if (const auto global = find_global(box_, name, now_)) return *global;
  return box_.make_undefined("'" + std::string(name) + "' is undefined");
}

value interpreter::evaluate(const literal& e) { return e.constant; }

value interpreter::evaluate(const name_reference& e) { return find_variable(e.name); }

value interpreter::evaluate(const sequence_display& e) {
  std::vector<value> items;
  items.reserve(e.items.size());
  for (const auto& item : e.items) items.push_back(evaluate(*item));
  return box_.make_sequence(e.type, std::move(items));
}

value interpreter::evaluate(const dict_display& e) {
  dictionary items;
  for (const auto& [key, item] : e.entries) {
    auto name = evaluate(*key);
    items.set(std::move(name), evaluate(*item));
  }
  return box_.make_dict(std::move(items));
}

value interpreter::evaluate(const unary_operation& e) {
  const auto operand = evaluate(*e.operand);
  if (e.op == unary_operator::logical_not) return value::boolean(!is_true(operand));
  return e.op == unary_operator::negative ? negate(operand) : unary_plus(operand);
}

value interpreter::evaluate(const binary_operation& e) {
  const auto left = evaluate(*e.left), right = evaluate(*e.right);
  return apply_binary_operator(box_, e.op, left, right);
}

value interpreter::evaluate(const logical_operation& e) {
  value out;
  for (const auto& operand : e.operands) {
    out = evaluate(*operand);
    if (is_true(out) == e.is_or) break;
  }
  return out;
}

value interpreter::evaluate(const concatenation& e) {
  std::string out;
  for (const auto& part : e.parts) {
    const auto words = text_of(box_, evaluate(*part));
    box_.require_string_fits(out.size() + words.size());
    out += words;
  }
  return box_.make_text(std::move(out));
}

bool interpreter::evaluate_comparison(comparison_operator op, const value& left, const value& right) {
  switch (op) {
    case comparison_operator::equal:
      return is_equal(box_, left, right);
    case comparison_operator::unequal:
      return !is_equal(box_, left, right);
    case comparison_operator::less:
      return is_less(box_, left, right);
    case comparison_operator::less_equal:
      return is_less_or_equal(box_, left, right);
    case comparison_operator::greater:
      return is_less(box_, right, left);
    case comparison_operator::greater_equal:
      return is_less_or_equal(box_, right, left);
    case comparison_operator::in:
      return contains(box_, right, left);
    case comparison_operator::not_in:
      return !contains(box_, right, left);
  }
  return false;
}

value interpreter::evaluate(const comparison& e) {
  auto left = evaluate(*e.first);
  for (const auto& [op, other] : e.others) {
    auto right = evaluate(*other);
    if (!evaluate_comparison(op, left, right)) return value::boolean(false);
    left = std::move(right);
  }
  return value::boolean(true);
}

value interpreter::evaluate(const conditional& e) {
  if (is_true(evaluate(*e.condition))) return evaluate(*e.then);
  if (e.otherwise) return evaluate(*e.otherwise);
  return box_.make_undefined("the inline if-expression evaluated to false and no else section was defined.");
}

value interpreter::evaluate(const attribute_access& e) { return get_attribute(box_, evaluate(*e.object), e.name); }

value interpreter::evaluate(const item_access& e) {
  const auto object = evaluate(*e.object);
  return get_item(box_, object, evaluate(*e.key));
}

value interpreter::evaluate(const slice_access& e) {
  const auto object = evaluate(*e.object);
  const auto bound = [&](const expression_ptr& written) { return written ? evaluate(*written) : value(); };
  const auto start = bound(e.start), stop = bound(e.stop);
  return get_slice(box_, object, start, stop, bound(e.step));
}

arguments interpreter::evaluate_arguments(const call_arguments& given) {
  arguments out;
  for (const auto& e : given.positional) out.positional.push_back(evaluate(*e));
  for (const auto& [name, e] : given.named) out.named.emplace_back(name, evaluate(*e));
  if (given.more)
    for (auto& item : items_of(box_, evaluate(*given.more))) out.positional.push_back(std::move(item));
  if (!given.more_named) return out;
  const auto more = evaluate(*given.more_named);
  if (!more.is_kind(kind::dict))
    throw failure("argument after ** must be a mapping, not " + std::string(type_name(more)));
  for (const auto& [name, item] : more.object_as<dict_object>().items.entries()) {
    if (!name.is_kind(kind::text)) throw failure("keywords must be strings");
    const auto same = [&](const auto& each) { return each.first == name.text(); };
    if (std::ranges::any_of(out.named, same))
      throw failure("got multiple values for keyword argument '" + name.text() + "'");
    out.named.emplace_back(name.text(), item);
  }
  return out;
}

value interpreter::evaluate(const call_expression& e) {
  const auto function = evaluate(*e.function);
  return call_function(function, evaluate_arguments(e.given));
}

value interpreter::evaluate(const filter_expression& e) {
  if (e.apply == nullptr) throw failure(unknown_filter_message(e.name));
  const auto input = e.input ? evaluate(*e.input) : std::exchange(block_, value());
  return e.apply(box_, input, evaluate_arguments(e.given));
}

value interpreter::evaluate(const test_expression& e) {
  if (e.ask == nullptr) throw failure(unknown_test_message(e.name));
  const auto tested = evaluate(*e.tested);
  return value::boolean(e.ask(box_, tested, evaluate_arguments(e.given)) != e.negated);
}

}  // namespace coho::trainer::jinja
