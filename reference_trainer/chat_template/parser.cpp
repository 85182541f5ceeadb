#include "chat_template/parser.hpp"

#include <algorithm>
#include <initializer_list>
#include <string>
#include <utility>

#include "chat_template/expression_parser.hpp"

namespace coho::trainer::jinja {

namespace {

class parser {
 public:
  explicit parser(const template_source& source) : tokens_(source), expressions_(tokens_) {
    expressions_.on_name = [this](std::string_view name) {
      if (name == "caller" && macro_ != nullptr)
        tokens_.refuse(tokens_.offset(), "'caller' in a macro is not supported");
      if (macro_ != nullptr && name == "varargs") macro_->takes_varargs = true;
      if (macro_ != nullptr && name == "kwargs") macro_->takes_kwargs = true;
    };
  }

  statements whole() {
    statements out;
    until({}, out);
    return out;
  }

 private:
  using names = std::initializer_list<std::string_view>;

  // Statements up to a tag of one of these names, which is returned, its name taken.
  std::string until(names ends, statements& out) {
    const expression_parser::level deeper(expressions_);
    while (!tokens_.is(token_kind::end)) {
      const auto offset = tokens_.offset();
      if (tokens_.is(token_kind::data)) {
        out.push_back({offset, text_statement{tokens_.next().text}});
      } else if (tokens_.is(token_kind::variable_begin)) {
        tokens_.next();
        out.push_back({offset, print_statement{expressions_.tuple()}});
        tokens_.expect(token_kind::variable_end, "}}");
      } else {
        tokens_.expect(token_kind::block_begin, "a tag");
        if (!tokens_.is(token_kind::name)) tokens_.unexpected("the name of a tag");
        const auto& tag = tokens_.current().text;
        if (std::ranges::find(ends, tag) != ends.end()) return tokens_.name();
        statement_of(tag, out, ends);
        tokens_.expect(token_kind::block_end, "%}");
      }
    }
    if (ends.size() == 0) return {};
    tokens_.refuse(open_.back().second,
                   "the tag '" + open_.back().first + "' is not closed by '" + std::string(*(ends.end() - 1)) + "'");
  }

  // The body of a tag that is being read, from the end of its first part.
  // `optional`: the bodies of an `if`, of which one may not be reached.
  std::string body(names ends, statements& out, bool optional = false) {
    const bool before = expressions_.set_optional(optional);
    tokens_.take_symbol(":");
    tokens_.expect(token_kind::block_end, "%}");
    auto end = until(ends, out);
    expressions_.set_optional(before);
    return end;
  }

  void statement_of(const std::string& tag, statements& out, names ends) {
    const auto offset = tokens_.offset();
    open_.emplace_back(tag, offset);
    tokens_.next();
    const auto name = open_.back().first;
    if (name == "if")
      out.push_back({offset, if_tag()});
    else if (name == "for")
      out.push_back({offset, for_tag()});
    else if (name == "set")
      out.push_back(set_tag(offset));
    else if (name == "print")
      print_tag(offset, out);
    else if (name == "macro")
      out.push_back({offset, macro_tag()});
    else if (name == "generation")
      out.push_back({offset, generation_statement{closed_body("endgeneration", true)}});
    else if (name == "filter")
      out.push_back({offset, filter_tag()});
    else if (name == "with")
      out.push_back({offset, with_tag()});
    else if (name == "break" || name == "continue")
      out.push_back(loop_control(name, offset));
    else
      unknown_tag(name, offset, ends);
    open_.pop_back();
  }

  [[noreturn]] void unknown_tag(const std::string& name, std::size_t offset, names ends) {
    for (const std::string_view known : {"call", "include", "import", "from", "extends", "block", "autoescape"})
      if (name == known) tokens_.refuse(offset, "the tag '" + name + "' is not supported in chat templates");
    std::string cause = "unknown tag '" + name + "'";
    if (ends.size() > 0) cause += "; expected '" + std::string(*(ends.end() - 1)) + "'";
    tokens_.refuse(offset, cause);
  }

  statement loop_control(const std::string& name, std::size_t offset) {
    if (loops_ == 0) tokens_.refuse(offset, "'" + name + "' outside loop");
    if (name == "break") return {offset, break_statement{}};
    return {offset, continue_statement{}};
  }

  // A body that a function of its own renders, whose statements cannot leave a loop around it.
  statements closed_body(std::string_view end, bool function) {
    const auto loops = loops_;
    if (function) loops_ = 0;
    statements out;
    body({end}, out);
    loops_ = loops;
    return out;
  }

  if_statement if_tag() {
    if_statement out;
    for (std::string end = "elif"; end == "elif";) {
      const bool before = expressions_.set_optional(true);
      auto condition = expressions_.tuple(false);
      expressions_.set_optional(before);
      statements branch;
      end = body({"elif", "else", "endif"}, branch, true);
      out.branches.emplace_back(std::move(condition), std::move(branch));
      if (end == "else") body({"endif"}, out.otherwise, true);
    }
    return out;
  }

  for_statement for_tag() {
    for_statement out;
    out.item = assigned("in", false);
    tokens_.expect_name("in");
    out.iterable = expressions_.tuple(false, "recursive");
    if (tokens_.take_name("if")) out.condition = expressions_.expression();
    if (tokens_.is_name("recursive")) tokens_.refuse(tokens_.offset(), "recursive loops are not supported");
    ++loops_;
    const auto end = body({"else", "endfor"}, out.body);
    --loops_;
    if (end == "else") body({"endfor"}, out.otherwise);
    return out;
  }

  // A target: names, or attributes of namespaces, with commas between them.
  target assigned(std::string_view end, bool attributes) {
    target out;
    out.offset = tokens_.offset();
    const auto ends = [&] {
      return tokens_.is_symbol("=") || tokens_.is(token_kind::block_end) || tokens_.is_name(end);
    };
    do {
      if (!out.targets.empty() && (ends() || tokens_.is_symbol(")"))) {
        out.is_tuple = true;
        break;
      }
      out.targets.push_back(one_target(attributes));
      out.is_tuple = out.targets.size() > 1;
    } while (tokens_.take_symbol(","));
    if (out.is_tuple) return out;
    auto only = std::move(out.targets.front());
    return only;
  }

  target one_target(bool attributes) {
    const expression_parser::level deeper(expressions_);
    if (tokens_.take_symbol("(")) {
      auto out = assigned(")", attributes);
      tokens_.expect_symbol(")");
      return out;
    }
    target out;
    out.offset = tokens_.offset();
    out.name = tokens_.name();
    for (const std::string_view constant : {"true", "false", "none", "True", "False", "None"})
      if (out.name == constant) tokens_.refuse(out.offset, "can't assign to '" + out.name + "'");
    if (!attributes && out.name == "loop") tokens_.refuse(out.offset, "can't assign to the special variable 'loop'");
    if (attributes && tokens_.take_symbol(".")) out.attribute = tokens_.name();
    return out;
  }

  statement set_tag(std::size_t offset) {
    auto to = assigned({}, true);
    if (tokens_.take_symbol("=")) return {offset, set_statement{std::move(to), expressions_.tuple()}};
    auto filters = tokens_.is_symbol("|") ? expressions_.filters(nullptr, false) : nullptr;
    return {offset, set_block_statement{std::move(to), std::move(filters), closed_body("endset", false)}};
  }

  void print_tag(std::size_t offset, statements& out) {
    while (!tokens_.is(token_kind::block_end)) {
      out.push_back({offset, print_statement{expressions_.expression()}});
      if (!tokens_.take_symbol(",")) break;
    }
  }

  filter_statement filter_tag() {
    auto filters = expressions_.filters(nullptr, true);
    return {std::move(filters), closed_body("endfilter", false)};
  }

  with_statement with_tag() {
    with_statement out;
    while (!tokens_.is(token_kind::block_end)) {
      auto to = assigned({}, false);
      tokens_.expect_symbol("=");
      out.assignments.emplace_back(std::move(to), expressions_.expression());
      if (!tokens_.take_symbol(",")) break;
    }
    out.body = closed_body("endwith", false);
    return out;
  }

  macro_statement macro_tag() {
    auto macro = std::make_shared<macro_definition>();
    auto* const outer = std::exchange(macro_, macro.get());
    macro->name = tokens_.name();
    tokens_.expect_symbol("(");
    while (!tokens_.is_symbol(")")) {
      const auto offset = tokens_.offset();
      auto name = tokens_.name();
      for (const auto& [other, otherwise] : macro->parameters)
        if (other == name) tokens_.refuse(offset, "duplicate argument '" + name + "' in a macro");
      auto otherwise = tokens_.take_symbol("=") ? expressions_.expression() : nullptr;
      if (!otherwise && !macro->parameters.empty() && macro->parameters.back().second)
        tokens_.refuse(offset, "non-default argument follows default argument");
      macro->parameters.emplace_back(std::move(name), std::move(otherwise));
      if (!tokens_.take_symbol(",")) break;
    }
    tokens_.expect_symbol(")");
    macro->body = closed_body("endmacro", true);
    macro_ = outer;
    return {std::move(macro)};
  }

  token_stream tokens_;
  expression_parser expressions_;
  std::vector<std::pair<std::string, std::size_t>> open_;  ///< the tags that are being read, and where they are
  macro_definition* macro_ = nullptr;                      ///< the innermost that is being read
  int loops_ = 0;                                          ///< around what is being read, in the same function
};

}  // namespace

statements parse(const template_source& source) { return parser(source).whole(); }

}  // namespace coho::trainer::jinja
