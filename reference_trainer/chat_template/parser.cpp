#include "chat_template/parser.hpp"

#include <algorithm>
#include <initializer_list>
#include <string>
#include <utility>

#include "chat_template/expression_parser.hpp"

namespace coho::trainer::jinja {

namespace {

class statement_parser {
 public:
  explicit statement_parser(const template_source& source) : tokens_(source), expressions_(tokens_) {
    expressions_.on_name = [this](std::string_view name) {
      if (name == "caller" && macro_ != nullptr)
        tokens_.refuse(tokens_.offset(), "'caller' in a macro is not supported");
      if (macro_ != nullptr && name == "varargs") macro_->takes_varargs = true;
      if (macro_ != nullptr && name == "kwargs") macro_->takes_kwargs = true;
    };
  }

  // The whole template. Called once.
  statements parse_statements() {
    statements out;
    parse_until({}, out);
    return out;
  }

 private:
  using names = std::initializer_list<std::string_view>;

  // Statements up to a tag of one of these names, which is returned, its name taken.
  std::string parse_until(names ends, statements& out) {
    const expression_parser::depth_guard deeper(expressions_);
    while (!tokens_.is_kind(token_kind::end)) {
      const auto offset = tokens_.offset();
      if (tokens_.is_kind(token_kind::data)) {
        out.push_back({offset, text_statement{tokens_.advance().text}});
      } else if (tokens_.is_kind(token_kind::variable_begin)) {
        tokens_.advance();
        out.push_back({offset, print_statement{expressions_.parse_tuple()}});
        tokens_.expect_kind(token_kind::variable_end, "}}");
      } else {
        tokens_.expect_kind(token_kind::block_begin, "a tag");
        if (!tokens_.is_kind(token_kind::name)) tokens_.refuse_token("the name of a tag");
        const auto& tag = tokens_.current().text;
        if (std::ranges::find(ends, tag) != ends.end()) return tokens_.take_identifier();
        parse_tag(tag, out, ends);
        tokens_.expect_kind(token_kind::block_end, "%}");
      }
    }
    if (ends.size() == 0) return {};
    tokens_.refuse(open_.back().second,
                   "the tag '" + open_.back().first + "' is not closed by '" + std::string(*(ends.end() - 1)) + "'");
  }

  // The body of a tag that is being read, from the end of its first part.
  // `optional`: the bodies of an `if`, of which one may not be reached.
  std::string parse_body(names ends, statements& out, bool optional = false) {
    const bool before = expressions_.set_deferring_unknown(optional);
    tokens_.take_symbol(":");
    tokens_.expect_kind(token_kind::block_end, "%}");
    auto end = parse_until(ends, out);
    expressions_.set_deferring_unknown(before);
    return end;
  }

  // The statement of a tag, its name still to be taken; the end of the tag is left. `ends`: for the message of a tag
  // that is not known.
  void parse_tag(const std::string& tag, statements& out, names ends) {
    const auto offset = tokens_.offset();
    open_.emplace_back(tag, offset);
    tokens_.advance();
    const auto name = open_.back().first;
    if (name == "if")
      out.push_back({offset, parse_if()});
    else if (name == "for")
      out.push_back({offset, parse_for()});
    else if (name == "set")
      out.push_back(parse_set(offset));
    else if (name == "print")
      parse_print(offset, out);
    else if (name == "macro")
      out.push_back({offset, parse_macro()});
    else if (name == "generation")
      out.push_back({offset, generation_statement{parse_block_body("endgeneration", true)}});
    else if (name == "filter")
      out.push_back({offset, parse_filter_block()});
    else if (name == "with")
      out.push_back({offset, parse_with()});
    else if (name == "break" || name == "continue")
      out.push_back(parse_loop_control(name, offset));
    else
      refuse_unknown_tag(name, offset, ends);
    open_.pop_back();
  }

  // Tells a tag of Jinja that is not supported from one that Jinja does not know.
  [[noreturn]] void refuse_unknown_tag(const std::string& name, std::size_t offset, names ends) {
    for (const std::string_view known : {"call", "include", "import", "from", "extends", "block", "autoescape"})
      if (name == known) tokens_.refuse(offset, "the tag '" + name + "' is not supported in chat templates");
    std::string cause = "unknown tag '" + name + "'";
    if (ends.size() > 0) cause += "; expected '" + std::string(*(ends.end() - 1)) + "'";
    tokens_.refuse(offset, cause);
  }

  // break or continue. Throws `template_error` outside of a loop of the same function.
  statement parse_loop_control(const std::string& name, std::size_t offset) {
    if (loops_ == 0) tokens_.refuse(offset, "'" + name + "' outside loop");
    if (name == "break") return {offset, break_statement{}};
    return {offset, continue_statement{}};
  }

  // A body that a function of its own renders, whose statements cannot leave a loop around it.
  statements parse_block_body(std::string_view end, bool function) {
    const auto loops = loops_;
    if (function) loops_ = 0;
    statements out;
    parse_body({end}, out);
    loops_ = loops;
    return out;
  }

  // From the condition of `if` to `endif`.
  if_statement parse_if() {
    if_statement out;
    for (std::string end = "elif"; end == "elif";) {
      const bool before = expressions_.set_deferring_unknown(true);
      auto condition = expressions_.parse_tuple(false);
      expressions_.set_deferring_unknown(before);
      statements branch;
      end = parse_body({"elif", "else", "endif"}, branch, true);
      out.branches.emplace_back(std::move(condition), std::move(branch));
      if (end == "else") parse_body({"endif"}, out.otherwise, true);
    }
    return out;
  }

  // From the target of `for` to `endfor`.
  for_statement parse_for() {
    for_statement out;
    out.item = parse_target("in", false);
    tokens_.expect_keyword("in");
    out.iterable = expressions_.parse_tuple(false, "recursive");
    if (tokens_.take_keyword("if")) out.condition = expressions_.parse_expression();
    if (tokens_.is_keyword("recursive")) tokens_.refuse(tokens_.offset(), "recursive loops are not supported");
    ++loops_;
    const auto end = parse_body({"else", "endfor"}, out.body);
    --loops_;
    if (end == "else") parse_body({"endfor"}, out.otherwise);
    return out;
  }

  // A target: names, or attributes of namespaces, with commas between them.
  target parse_target(std::string_view end, bool attributes) {
    target out;
    out.offset = tokens_.offset();
    const auto ends = [&] {
      return tokens_.is_symbol("=") || tokens_.is_kind(token_kind::block_end) || tokens_.is_keyword(end);
    };
    do {
      if (!out.targets.empty() && (ends() || tokens_.is_symbol(")"))) {
        out.is_tuple = true;
        break;
      }
      out.targets.push_back(parse_single_target(attributes));
      out.is_tuple = out.targets.size() > 1;
    } while (tokens_.take_symbol(","));
    if (out.is_tuple) return out;
    auto only = std::move(out.targets.front());
    return only;
  }

  // A name, an attribute of a namespace, or a target in parentheses. Throws `template_error` for constants and `loop`.
  target parse_single_target(bool attributes) {
    const expression_parser::depth_guard deeper(expressions_);
    if (tokens_.take_symbol("(")) {
      auto out = parse_target(")", attributes);
      tokens_.expect_symbol(")");
      return out;
    }
    target out;
    out.offset = tokens_.offset();
    out.name = tokens_.take_identifier();
    for (const std::string_view constant : {"true", "false", "none", "True", "False", "None"})
      if (out.name == constant) tokens_.refuse(out.offset, "can't assign to '" + out.name + "'");
    if (!attributes && out.name == "loop") tokens_.refuse(out.offset, "can't assign to the special variable 'loop'");
    if (attributes && tokens_.take_symbol(".")) out.attribute = tokens_.take_identifier();
    return out;
  }

  // An assignment, or a block whose text is assigned, to `endset`.
  statement parse_set(std::size_t offset) {
    auto to = parse_target({}, true);
    if (tokens_.take_symbol("=")) return {offset, set_statement{std::move(to), expressions_.parse_tuple()}};
    auto filters = tokens_.is_symbol("|") ? expressions_.parse_filters(nullptr, false) : nullptr;
    return {offset, set_block_statement{std::move(to), std::move(filters), parse_block_body("endset", false)}};
  }

  // `{% print a, b %}`: a statement for each expression.
  void parse_print(std::size_t offset, statements& out) {
    while (!tokens_.is_kind(token_kind::block_end)) {
      out.push_back({offset, print_statement{expressions_.parse_expression()}});
      if (!tokens_.take_symbol(",")) break;
    }
  }

  // From the first filter to `endfilter`.
  filter_statement parse_filter_block() {
    auto filters = expressions_.parse_filters(nullptr, true);
    return {std::move(filters), parse_block_body("endfilter", false)};
  }

  // From the first assignment to `endwith`.
  with_statement parse_with() {
    with_statement out;
    while (!tokens_.is_kind(token_kind::block_end)) {
      auto to = parse_target({}, false);
      tokens_.expect_symbol("=");
      out.assignments.emplace_back(std::move(to), expressions_.parse_expression());
      if (!tokens_.take_symbol(",")) break;
    }
    out.body = parse_block_body("endwith", false);
    return out;
  }

  // From the name to `endmacro`. Throws `template_error` for parameters of one name, and for those without a default
  // after those with one.
  macro_statement parse_macro() {
    auto macro = std::make_shared<macro_definition>();
    auto* const outer = std::exchange(macro_, macro.get());
    macro->name = tokens_.take_identifier();
    tokens_.expect_symbol("(");
    while (!tokens_.is_symbol(")")) {
      const auto offset = tokens_.offset();
      auto name = tokens_.take_identifier();
      for (const auto& [other, otherwise] : macro->parameters)
        if (other == name) tokens_.refuse(offset, "duplicate argument '" + name + "' in a macro");
      auto otherwise = tokens_.take_symbol("=") ? expressions_.parse_expression() : nullptr;
      if (!otherwise && !macro->parameters.empty() && macro->parameters.back().second)
        tokens_.refuse(offset, "non-default argument follows default argument");
      macro->parameters.emplace_back(std::move(name), std::move(otherwise));
      if (!tokens_.take_symbol(",")) break;
    }
    tokens_.expect_symbol(")");
    macro->body = parse_block_body("endmacro", true);
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

statements parse_template(const template_source& source) { return statement_parser(source).parse_statements(); }

}  // namespace coho::trainer::jinja
