// Statements.
#include "chat_template/interpreter.hpp"

#include <algorithm>

#include "chat_template/builtins/loop.hpp"
#include "chat_template/errors/template_error.hpp"
#include "chat_template/values/iteration.hpp"
#include "chat_template/values/value_text.hpp"

namespace coho::trainer::jinja {

const value* scope::find(std::string_view name) const {
  for (const auto* at = this; at != nullptr; at = at->parent.get())
    for (const auto& [known, item] : at->names)
      if (known == name) return &item;
  return nullptr;
}

void scope::set(std::string_view name, value item) {
  for (auto& [known, old] : names)
    if (known == name) {
      old = std::move(item);
      return;
    }
  names.emplace_back(name, std::move(item));
}

// A scope within another one, as long as the object lives.
class interpreter::scope_guard {
 public:
  scope_guard(interpreter& in, std::shared_ptr<scope> around)
      : in_(in), before_(std::exchange(in.scope_, std::make_shared<scope>(std::move(around)))) {}
  explicit scope_guard(interpreter& in) : scope_guard(in, in.scope_) {}
  ~scope_guard() { in_.scope_ = std::move(before_); }
  scope_guard(const scope_guard&) = delete;
  scope_guard& operator=(const scope_guard&) = delete;

 private:
  interpreter& in_;
  std::shared_ptr<scope> before_;
};

interpreter::interpreter(const template_source& source, const undefined_names& undefined, const dictionary& variables,
                         const template_limits& limits, const clock_function& now)
    : source_(source),
      undefined_(undefined),
      variables_(variables),
      now_(now),
      box_(limits),
      scope_(std::make_shared<scope>(nullptr)) {}

void interpreter::set_undefined_names(const statements& body) {
  if (undefined_.empty()) return;
  const auto found = undefined_.find(&body);
  if (found == undefined_.end()) return;
  for (const auto& name : found->second) scope_->set(name, box_.make_undefined("'" + name + "' is undefined"));
}

void interpreter::render(const statements& body) {
  set_undefined_names(body);
  execute(body);
}

void interpreter::write_text(std::string_view words) {
  if (out_ != &text_)
    box_.require_string_fits(out_->size() + words.size());
  else if (text_.size() + words.size() > box_.limits().output_bytes)
    box_.refuse_beyond_limit("output_bytes", box_.limits().output_bytes);
  box_.count_bytes(words.size());
  out_->append(words);
}

std::pair<std::string, interpreter::flow> interpreter::capture_output(const statements& body) {
  std::string words;
  struct redirection {
    redirection(interpreter& in, std::string* to) : in_(in), before_(std::exchange(in.out_, to)) {}
    ~redirection() { in_.out_ = before_; }
    interpreter& in_;
    std::string* before_;
  };
  const redirection to(*this, &words);
  const auto end = execute(body);
  return {std::move(words), end};
}

interpreter::flow interpreter::execute(const statements& body) {
  for (const auto& s : body)
    if (const auto end = execute(s); end != flow::normal) return end;
  return flow::normal;
}

interpreter::flow interpreter::execute(const statement& s) {
  try {
    const sandbox::depth_guard deeper(box_);
    box_.count_steps();
    return std::visit([&](const auto& form) { return execute(form); }, s.form);
  } catch (const failure& problem) {
    source_.refuse(s.offset, problem.what());
  }
}

interpreter::flow interpreter::execute(const text_statement& s) {
  write_text(s.text);
  return flow::normal;
}

interpreter::flow interpreter::execute(const print_statement& s) {
  const auto printed = evaluate(*s.printed);
  if (printed.is_kind(kind::text))
    write_text(printed.text());
  else
    write_text(text_of(box_, printed));
  return flow::normal;
}

interpreter::flow interpreter::execute(const if_statement& s) {
  for (const auto& [condition, body] : s.branches)
    if (is_true(evaluate(*condition))) return execute(body);
  return execute(s.otherwise);
}

value interpreter::filtered_items(const for_statement& s, const value& iterable) {
  // The scope is not kept alive: it may hold the loop that holds this function.
  return box_.make_generator(
      [this, &s, next = iterate_items(box_, iterable), around = std::weak_ptr(scope_)]() -> std::optional<value> {
        for (auto item = next(); item; item = next()) {
          const auto outer = around.lock();
          if (!outer) throw failure("a loop with a condition was used after the block around it");
          const scope_guard inner(*this, outer);
          assign_target(s.item, *item);
          // As Jinja: what was unpacked is packed again, as a tuple.
          if (is_true(evaluate(*s.condition))) return assigned_value(s.item);
        }
        return std::nullopt;
      },
      iterable);
}

interpreter::flow interpreter::execute(const for_statement& s) {
  auto over = evaluate(*s.iterable);
  if (s.condition) over = filtered_items(s, over);
  const auto loop = box_.make_loop(iterate_items(box_, over), over);
  bool any = false;
  while (advance_loop(loop.object_as<loop_object>())) {
    const scope_guard inner(*this);
    scope_->set("loop", loop);
    set_undefined_names(s.body);
    assign_target(s.item, loop.object_as<loop_object>().current);
    const auto end = execute(s.body);
    // As Jinja: a loop whose passes are all left by break or continue runs its else.
    any = any || end == flow::normal;
    if (end == flow::break_loop) break;
  }
  if (any) return flow::normal;
  const scope_guard inner(*this);
  set_undefined_names(s.otherwise);
  return execute(s.otherwise);
}

void interpreter::assign_target(const target& to, value item) {
  if (to.is_tuple) {
    const auto items = items_of(box_, item);
    if (items.size() != to.targets.size())
      throw failure(items.size() > to.targets.size()
                        ? "too many values to unpack (expected " + std::to_string(to.targets.size()) + ")"
                        : "not enough values to unpack (expected " + std::to_string(to.targets.size()) + ", got " +
                              std::to_string(items.size()) + ")");
    for (std::size_t i = 0; i < items.size(); ++i) assign_target(to.targets[i], items[i]);
    return;
  }
  if (to.attribute.empty()) {
    scope_->set(to.name, std::move(item));
    return;
  }
  const auto space = find_variable(to.name);
  if (!space.is_kind(kind::name_space)) throw failure("cannot assign attribute on non-namespace object");
  box_.set_namespace_attribute(space.object_as<namespace_object>(), to.attribute, std::move(item));
}

value interpreter::assigned_value(const target& to) {
  if (!to.is_tuple) return find_variable(to.name);
  std::vector<value> items;
  for (const auto& each : to.targets) items.push_back(assigned_value(each));
  return box_.make_tuple(std::move(items));
}

interpreter::flow interpreter::execute(const set_statement& s) {
  assign_target(s.to, evaluate(*s.from));
  return flow::normal;
}

value interpreter::apply_block_filters(const expression_ptr& filters, std::string words) {
  auto text = box_.make_text(std::move(words));
  if (!filters) return text;
  block_ = std::move(text);
  return evaluate(*filters);
}

interpreter::flow interpreter::execute(const set_block_statement& s) {
  std::pair<std::string, flow> body;
  {
    const scope_guard inner(*this);
    set_undefined_names(s.body);
    body = capture_output(s.body);
  }
  if (body.second == flow::normal) assign_target(s.to, apply_block_filters(s.filters, std::move(body.first)));
  return body.second;
}

interpreter::flow interpreter::execute(const filter_statement& s) {
  const scope_guard inner(*this);
  set_undefined_names(s.body);
  auto [words, end] = capture_output(s.body);
  if (end != flow::normal) return end;
  const auto filtered = apply_block_filters(s.filters, std::move(words));
  if (!filtered.is_kind(kind::text))
    throw failure("the filters of a block must make a str, not " + std::string(type_name(filtered)));
  write_text(filtered.text());
  return end;
}

interpreter::flow interpreter::execute(const with_statement& s) {
  std::vector<value> items;
  for (const auto& [to, from] : s.assignments) items.push_back(evaluate(*from));
  const scope_guard inner(*this);
  set_undefined_names(s.body);
  for (std::size_t i = 0; i < items.size(); ++i) assign_target(s.assignments[i].first, items[i]);
  return execute(s.body);
}

interpreter::flow interpreter::execute(const generation_statement& s) {
  const scope_guard inner(*this);
  set_undefined_names(s.body);
  const auto words = capture_output(s.body).first;
  // As transformers: the place is that in the whole text, even if a macro writes it elsewhere later.
  generated_.emplace_back(text_.size(), text_.size() + words.size());
  write_text(words);
  return flow::normal;
}

interpreter::flow interpreter::execute(const macro_statement& s) {
  // The scope is not kept alive: it holds the macro.
  const auto body = [this, macro = s.macro, around = std::weak_ptr(scope_)](const arguments& given) {
    const auto outer = around.lock();
    if (!outer) throw failure("the macro '" + macro->name + "' was called after the block that defines it");
    return call_macro(*macro, outer, given);
  };
  scope_->set(s.macro->name, box_.make_function(s.macro->name, body));
  return flow::normal;
}

value interpreter::call_macro(const macro_definition& macro, const std::shared_ptr<scope>& around,
                              const arguments& given) {
  const scope_guard inner(*this, around);
  set_undefined_names(macro.body);
  bind_parameters(macro, given);
  return box_.make_text(capture_output(macro.body).first);
}

void interpreter::bind_parameters(const macro_definition& macro, const arguments& given) {
  auto named = given.named;
  for (std::size_t i = 0; i < macro.parameters.size(); ++i) {
    const auto& [name, otherwise] = macro.parameters[i];
    const auto found = std::ranges::find(named, name, &std::pair<std::string, value>::first);
    if (i < given.positional.size()) {
      scope_->set(name, given.positional[i]);
    } else if (found != named.end()) {
      scope_->set(name, found->second);
      named.erase(found);
    } else {
      scope_->set(name,
                  otherwise ? evaluate(*otherwise) : box_.make_undefined("parameter '" + name + "' was not provided"));
    }
  }
  if (macro.takes_kwargs) {
    dictionary rest;
    for (auto& [name, item] : named) rest.set(box_.make_text(name), std::move(item));
    scope_->set("kwargs", box_.make_dict(std::move(rest)));
  } else if (!named.empty()) {
    throw failure("macro '" + macro.name + "' takes no keyword argument '" + named.front().first + "'");
  }
  const auto count = std::min(macro.parameters.size(), given.positional.size());
  if (macro.takes_varargs)
    scope_->set("varargs", box_.make_tuple({given.positional.begin() + static_cast<std::ptrdiff_t>(count),
                                            given.positional.end()}));
  else if (count < given.positional.size())
    throw failure("macro '" + macro.name + "' takes not more than " + std::to_string(macro.parameters.size()) +
                  " argument(s)");
}

}  // namespace coho::trainer::jinja
