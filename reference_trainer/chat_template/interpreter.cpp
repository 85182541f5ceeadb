// Statements.
#include "chat_template/interpreter.hpp"

#include <algorithm>

#include "chat_template/builtins/loop.hpp"
#include "chat_template/template_error.hpp"
#include "chat_template/values/operators.hpp"
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
class interpreter::new_scope {
 public:
  new_scope(interpreter& in, std::shared_ptr<scope> around)
      : in_(in), before_(std::exchange(in.scope_, std::make_shared<scope>(std::move(around)))) {}
  explicit new_scope(interpreter& in) : new_scope(in, in.scope_) {}
  ~new_scope() { in_.scope_ = std::move(before_); }
  new_scope(const new_scope&) = delete;
  new_scope& operator=(const new_scope&) = delete;

 private:
  interpreter& in_;
  std::shared_ptr<scope> before_;
};

interpreter::interpreter(const template_source& source, const dictionary& variables, const template_limits& limits,
                         const clock_function& now)
    : source_(source), variables_(variables), now_(now), box_(limits), scope_(std::make_shared<scope>(nullptr)) {}

void interpreter::render(const statements& body) { execute(body); }

void interpreter::write(std::string_view words) {
  if (out_ != &text_)
    box_.require_string(out_->size() + words.size());
  else if (text_.size() + words.size() > box_.limits().output_bytes)
    box_.refuse("output_bytes", box_.limits().output_bytes);
  box_.work(words.size());
  out_->append(words);
}

std::pair<std::string, interpreter::flow> interpreter::captured(const statements& body) {
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
    if (const auto end = execute(s); end != flow::on) return end;
  return flow::on;
}

interpreter::flow interpreter::execute(const statement& s) {
  try {
    const sandbox::level deeper(box_);
    box_.step();
    return std::visit([&](const auto& form) { return run(form); }, s.form);
  } catch (const failure& problem) {
    source_.refuse(s.offset, problem.what());
  }
}

interpreter::flow interpreter::run(const text_statement& s) {
  write(s.text);
  return flow::on;
}

interpreter::flow interpreter::run(const print_statement& s) {
  const auto printed = evaluate(*s.printed);
  if (printed.is(kind::text))
    write(printed.text());
  else
    write(text_of(box_, printed));
  return flow::on;
}

interpreter::flow interpreter::run(const if_statement& s) {
  for (const auto& [condition, body] : s.branches)
    if (is_true(evaluate(*condition))) return execute(body);
  return execute(s.otherwise);
}

value interpreter::filtered(const for_statement& s, const value& iterable) {
  // The scope is not kept alive: it may hold the loop that holds this function.
  return box_.generator(
      [this, &s, next = iterate(box_, iterable), around = std::weak_ptr(scope_)]() -> std::optional<value> {
        for (auto item = next(); item; item = next()) {
          const auto outer = around.lock();
          if (!outer) throw failure("a loop with a condition was used after the block around it");
          const new_scope inner(*this, outer);
          assign(s.item, *item);
          // As Jinja: what was unpacked is packed again, as a tuple.
          if (is_true(evaluate(*s.condition))) return filled(s.item);
        }
        return std::nullopt;
      },
      iterable);
}

interpreter::flow interpreter::run(const for_statement& s) {
  auto over = evaluate(*s.iterable);
  if (s.condition) over = filtered(s, over);
  const auto loop = box_.loop(iterate(box_, over), over);
  bool any = false;
  while (advance(loop.as<loop_object>())) {
    const new_scope inner(*this);
    scope_->set("loop", loop);
    assign(s.item, loop.as<loop_object>().current);
    const auto end = execute(s.body);
    // As Jinja: a loop whose passes are all left by break or continue runs its else.
    any = any || end == flow::on;
    if (end == flow::leave) break;
  }
  if (any) return flow::on;
  const new_scope inner(*this);
  return execute(s.otherwise);
}

void interpreter::assign(const target& to, value item) {
  if (to.is_tuple) {
    const auto items = items_of(box_, item);
    if (items.size() != to.targets.size())
      throw failure(items.size() > to.targets.size()
                        ? "too many values to unpack (expected " + std::to_string(to.targets.size()) + ")"
                        : "not enough values to unpack (expected " + std::to_string(to.targets.size()) + ", got " +
                              std::to_string(items.size()) + ")");
    for (std::size_t i = 0; i < items.size(); ++i) assign(to.targets[i], items[i]);
    return;
  }
  if (to.attribute.empty()) {
    scope_->set(to.name, std::move(item));
    return;
  }
  const auto space = find(to.name);
  if (!space.is(kind::name_space)) throw failure("cannot assign attribute on non-namespace object");
  box_.set_attribute(space.as<namespace_object>(), to.attribute, std::move(item));
}

value interpreter::filled(const target& to) {
  if (!to.is_tuple) return find(to.name);
  std::vector<value> items;
  for (const auto& each : to.targets) items.push_back(filled(each));
  return box_.tuple(std::move(items));
}

interpreter::flow interpreter::run(const set_statement& s) {
  assign(s.to, evaluate(*s.from));
  return flow::on;
}

value interpreter::through(const expression_ptr& filters, std::string words) {
  auto text = box_.text(std::move(words));
  if (!filters) return text;
  block_ = std::move(text);
  return evaluate(*filters);
}

interpreter::flow interpreter::run(const set_block_statement& s) {
  std::pair<std::string, flow> body;
  {
    const new_scope inner(*this);
    body = captured(s.body);
  }
  if (body.second == flow::on) assign(s.to, through(s.filters, std::move(body.first)));
  return body.second;
}

interpreter::flow interpreter::run(const filter_statement& s) {
  const new_scope inner(*this);
  auto [words, end] = captured(s.body);
  if (end != flow::on) return end;
  const auto filtered = through(s.filters, std::move(words));
  if (!filtered.is(kind::text))
    throw failure("the filters of a block must make a str, not " + std::string(type_name(filtered)));
  write(filtered.text());
  return end;
}

interpreter::flow interpreter::run(const with_statement& s) {
  std::vector<value> items;
  for (const auto& [to, from] : s.assignments) items.push_back(evaluate(*from));
  const new_scope inner(*this);
  for (std::size_t i = 0; i < items.size(); ++i) assign(s.assignments[i].first, items[i]);
  return execute(s.body);
}

interpreter::flow interpreter::run(const generation_statement& s) {
  const new_scope inner(*this);
  const auto words = captured(s.body).first;
  // As transformers: the place is that in the whole text, even if a macro writes it elsewhere later.
  generated_.emplace_back(text_.size(), text_.size() + words.size());
  write(words);
  return flow::on;
}

interpreter::flow interpreter::run(const macro_statement& s) {
  // The scope is not kept alive: it holds the macro.
  const auto body = [this, macro = s.macro, around = std::weak_ptr(scope_)](const arguments& given) {
    const auto outer = around.lock();
    if (!outer) throw failure("the macro '" + macro->name + "' was called after the block that defines it");
    return call_macro(*macro, outer, given);
  };
  scope_->set(s.macro->name, box_.function(s.macro->name, body));
  return flow::on;
}

value interpreter::call_macro(const macro_definition& macro, const std::shared_ptr<scope>& around,
                              const arguments& given) {
  const new_scope inner(*this, around);
  bind(macro, given);
  return box_.text(captured(macro.body).first);
}

void interpreter::bind(const macro_definition& macro, const arguments& given) {
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
      scope_->set(name, otherwise ? evaluate(*otherwise) : box_.undefined("parameter '" + name + "' was not provided"));
    }
  }
  if (macro.takes_kwargs) {
    dictionary rest;
    for (auto& [name, item] : named) rest.set(box_.text(name), std::move(item));
    scope_->set("kwargs", box_.dict(std::move(rest)));
  } else if (!named.empty()) {
    throw failure("macro '" + macro.name + "' takes no keyword argument '" + named.front().first + "'");
  }
  const auto count = std::min(macro.parameters.size(), given.positional.size());
  if (macro.takes_varargs)
    scope_->set("varargs",
                box_.tuple({given.positional.begin() + static_cast<std::ptrdiff_t>(count), given.positional.end()}));
  else if (count < given.positional.size())
    throw failure("macro '" + macro.name + "' takes not more than " + std::to_string(macro.parameters.size()) +
                  " argument(s)");
}

}  // namespace coho::trainer::jinja
