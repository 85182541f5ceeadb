// The rules are those of Jinja's idtracking.py: `load`, `store` and `declare_parameter`.
#include "chat_template/scope_analysis.hpp"

#include <algorithm>
#include <string_view>
#include <unordered_set>
#include <utility>

namespace coho::trainer::jinja {

namespace {

// The names that one scope mentions, with the scope around it.
struct name_scope {
  const name_scope* parent = nullptr;
  std::unordered_set<std::string_view> mentioned;
  std::vector<std::string> undefined;

  // Whether this scope or one around it mentions the name.
  bool knows(std::string_view name) const {
    return mentioned.contains(name) || (parent != nullptr && parent->knows(name));
  }
};

class scope_analyzer {
 public:
  explicit scope_analyzer(undefined_names& out) : out_(out) {}

  // A scope whose parameters are in `scope` already; then the scopes within it.
  void analyze(const statements& body, name_scope& scope) {
    visit_statements(body, scope, false);
    if (!scope.undefined.empty()) out_.emplace(&body, scope.undefined);
    enter_scopes(body, scope);
  }

 private:
  static void read_name(std::string_view name, name_scope& scope) {
    if (!scope.knows(name)) scope.mentioned.insert(name);
  }

  // `conditional`: within an `if`, where the name keeps the variable's value.
  static void assign_name(const std::string& name, name_scope& scope, bool conditional) {
    if (scope.mentioned.contains(name)) return;
    if (!conditional && !scope.knows(name)) scope.undefined.push_back(name);
    scope.mentioned.insert(name);
  }

  static void assign_target(const target& to, name_scope& scope, bool conditional) {
    for (const auto& part : to.targets) assign_target(part, scope, conditional);
    if (to.is_tuple) return;
    if (to.attribute.empty())
      assign_name(to.name, scope, conditional);
    else
      read_name(to.name, scope);
  }

  static void declare_parameters(const target& to, name_scope& scope) {
    for (const auto& part : to.targets) declare_parameters(part, scope);
    if (!to.is_tuple) scope.mentioned.insert(to.name);
  }

  // The names that an expression reads; it may be null.
  static void visit_expression(const expression_ptr& e, name_scope& scope) {
    if (!e) return;
    const auto read = [&](const auto&... each) { (visit_expression(each, scope), ...); };
    const auto read_all = [&](const expressions& all) {
      for (const auto& each : all) read(each);
    };
    const auto read_arguments = [&](const call_arguments& given) {
      read_all(given.positional);
      for (const auto& [name, each] : given.named) read(each);
      read(given.more, given.more_named);
    };
    std::visit(
        [&]<class Form>(const Form& form) {
          if constexpr (std::is_same_v<Form, name_reference>) {
            read_name(form.name, scope);
          } else if constexpr (std::is_same_v<Form, sequence_display>) {
            read_all(form.items);
          } else if constexpr (std::is_same_v<Form, dict_display>) {
            for (const auto& [key, item] : form.entries) read(key, item);
          } else if constexpr (std::is_same_v<Form, unary_operation> || std::is_same_v<Form, logical_operation>) {
            if constexpr (requires { form.operands; })
              read_all(form.operands);
            else
              read(form.operand);
          } else if constexpr (std::is_same_v<Form, binary_operation>) {
            read(form.left, form.right);
          } else if constexpr (std::is_same_v<Form, concatenation>) {
            read_all(form.parts);
          } else if constexpr (std::is_same_v<Form, comparison>) {
            read(form.first);
            for (const auto& [op, other] : form.others) read(other);
          } else if constexpr (std::is_same_v<Form, conditional>) {
            read(form.condition, form.then, form.otherwise);
          } else if constexpr (std::is_same_v<Form, attribute_access>) {
            read(form.object);
          } else if constexpr (std::is_same_v<Form, item_access>) {
            read(form.object, form.key);
          } else if constexpr (std::is_same_v<Form, slice_access>) {
            read(form.object, form.start, form.stop, form.step);
          } else if constexpr (std::is_same_v<Form, call_expression>) {
            read(form.function);
            read_arguments(form.given);
          } else if constexpr (std::is_same_v<Form, filter_expression>) {
            read(form.input);
            read_arguments(form.given);
          } else if constexpr (std::is_same_v<Form, test_expression>) {
            read(form.tested);
            read_arguments(form.given);
          }
        },
        e->form);
  }

  // What the statements mention in this scope, without the scopes within it.
  static void visit_statements(const statements& body, name_scope& scope, bool conditional) {
    for (const auto& s : body)
      std::visit(
          [&]<class Form>(const Form& form) {
            if constexpr (std::is_same_v<Form, print_statement>) {
              visit_expression(form.printed, scope);
            } else if constexpr (std::is_same_v<Form, if_statement>) {
              for (const auto& [condition, branch] : form.branches) visit_expression(condition, scope);
              for (const auto& [condition, branch] : form.branches) visit_statements(branch, scope, true);
              visit_statements(form.otherwise, scope, true);
            } else if constexpr (std::is_same_v<Form, for_statement>) {
              visit_expression(form.iterable, scope);
            } else if constexpr (std::is_same_v<Form, set_statement>) {
              visit_expression(form.from, scope);
              assign_target(form.to, scope, conditional);
            } else if constexpr (std::is_same_v<Form, set_block_statement>) {
              assign_target(form.to, scope, conditional);
            } else if constexpr (std::is_same_v<Form, filter_statement>) {
              visit_expression(form.filters, scope);
            } else if constexpr (std::is_same_v<Form, with_statement>) {
              for (const auto& [to, from] : form.assignments) visit_expression(from, scope);
            } else if constexpr (std::is_same_v<Form, macro_statement>) {
              assign_name(form.macro->name, scope, conditional);
            }
          },
          s.form);
  }

  void enter_scopes(const statements& body, const name_scope& scope) {
    for (const auto& s : body)
      std::visit(
          [&]<class Form>(const Form& form) {
            name_scope inner{&scope, {}, {}};
            if constexpr (std::is_same_v<Form, if_statement>) {
              for (const auto& [condition, branch] : form.branches) enter_scopes(branch, scope);
              enter_scopes(form.otherwise, scope);
            } else if constexpr (std::is_same_v<Form, for_statement>) {
              name_scope otherwise{&scope, {}, {}};
              analyze(form.otherwise, otherwise);
              inner.mentioned.insert("loop");
              declare_parameters(form.item, inner);
              analyze(form.body, inner);
            } else if constexpr (std::is_same_v<Form, with_statement>) {
              for (const auto& [to, from] : form.assignments) declare_parameters(to, inner);
              analyze(form.body, inner);
            } else if constexpr (std::is_same_v<Form, macro_statement>) {
              for (const auto& [name, otherwise] : form.macro->parameters) inner.mentioned.insert(name);
              for (const auto& [name, otherwise] : form.macro->parameters) visit_expression(otherwise, inner);
              analyze(form.macro->body, inner);
            } else if constexpr (requires { form.body; }) {
              analyze(form.body, inner);
            }
          },
          s.form);
  }

  undefined_names& out_;
};

}  // namespace

undefined_names find_undefined_names(const statements& body) {
  undefined_names out;
  name_scope outermost;
  scope_analyzer(out).analyze(body, outermost);
  return out;
}

}  // namespace coho::trainer::jinja
