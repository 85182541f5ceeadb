#include "chat_template/expression_parser.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include "chat_template/builtins/arithmetic.hpp"

namespace coho::trainer::jinja {

namespace {

// Expressions within each other; the stack must hold each of them, when they are evaluated and when they are released.
constexpr std::size_t max_depth = 200;

// 0 for null.
std::size_t depth_of(const expression_ptr& e) { return e ? e->depth : 0; }

// Of the deepest.
std::size_t depth_of(const expressions& all) {
  std::size_t out = 0;
  for (const auto& e : all) out = std::max(out, e->depth);
  return out;
}

// A constant belongs to the template, not to a rendering: its memory is not counted.
value make_text_constant(std::string words) { return {kind::text, std::make_shared<text_object>(std::move(words))}; }

}  // namespace

expression_parser::depth_guard::depth_guard(expression_parser& parser) : parser_(parser) {
  if (parser.depth_ >= max_depth)
    parser.tokens_.refuse(parser.tokens_.offset(), "expressions within each other, more than 200 deep");
  ++parser.depth_;
}

expression_ptr expression_parser::make_expression(std::size_t offset, std::size_t depth, form_type form) {
  if (depth >= max_depth) tokens_.refuse(offset, "expressions within each other, more than 200 deep");
  return std::make_unique<const jinja::expression>(jinja::expression{offset, depth + 1, std::move(form)});
}

expression_ptr expression_parser::parse_expression(bool with_condition) {
  const depth_guard deeper(*this);
  const auto known = std::exchange(within_, true);
  auto out = with_condition ? parse_conditional() : parse_logical(true);
  within_ = known;
  if (!within_) refuse_unknown();
  return out;
}

void expression_parser::refuse_unknown() {
  if (!unknown_.empty() && !deferring_unknown_) tokens_.refuse(unknown_.front().first, unknown_.front().second);
  unknown_.clear();
}

expression_ptr expression_parser::parse_tuple(bool with_condition, std::string_view end_name) {
  const auto offset = tokens_.offset();
  expressions items;
  bool is_tuple = false;
  const auto ends = [&] {
    return tokens_.is_kind(token_kind::variable_end) || tokens_.is_kind(token_kind::block_end) ||
           tokens_.is_symbol(")") || (!end_name.empty() && tokens_.is_keyword(end_name));
  };
  while (!ends()) {
    items.push_back(parse_expression(with_condition));
    if (!tokens_.take_symbol(",")) break;
    is_tuple = true;
  }
  if (!is_tuple && items.size() == 1) return std::move(items.front());
  if (items.empty() && !tokens_.is_symbol(")")) tokens_.refuse_token("an expression");
  const auto depth = depth_of(items);
  return make_expression(offset, depth, sequence_display{kind::tuple, std::move(items)});
}

expression_ptr expression_parser::parse_conditional() {
  const auto before = unknown_.size();
  auto out = parse_logical(true);
  while (tokens_.is_keyword("if")) {
    const auto offset = tokens_.advance().offset;
    auto condition = parse_logical(true);
    auto otherwise = tokens_.take_keyword("else") ? parse_expression() : nullptr;
    const auto depth = std::max({depth_of(out), depth_of(condition), depth_of(otherwise)});
    out = make_expression(offset, depth, conditional{std::move(condition), std::move(out), std::move(otherwise)});
    unknown_.resize(before);
  }
  return out;
}

expression_ptr expression_parser::parse_logical(bool is_or) {
  const auto offset = tokens_.offset();
  const auto operand = [&] { return is_or ? parse_logical(false) : parse_negation(); };
  expressions operands;
  operands.push_back(operand());
  while (tokens_.take_keyword(is_or ? "or" : "and")) operands.push_back(operand());
  if (operands.size() == 1) return std::move(operands.front());
  const auto depth = depth_of(operands);
  return make_expression(offset, depth, logical_operation{is_or, std::move(operands)});
}

expression_ptr expression_parser::parse_negation() {
  if (!tokens_.is_keyword("not")) return parse_comparison();
  const depth_guard deeper(*this);
  const auto offset = tokens_.advance().offset;
  auto operand = parse_negation();
  const auto depth = operand->depth;
  return make_expression(offset, depth, unary_operation{unary_operator::logical_not, std::move(operand)});
}

std::optional<comparison_operator> expression_parser::take_comparison_operator() {
  static constexpr std::pair<std::string_view, comparison_operator> symbols[] = {
      {"==", comparison_operator::equal},  {"!=", comparison_operator::unequal},
      {"<", comparison_operator::less},    {"<=", comparison_operator::less_equal},
      {">", comparison_operator::greater}, {">=", comparison_operator::greater_equal}};
  for (const auto& [symbol, op] : symbols)
    if (tokens_.take_symbol(symbol)) return op;
  if (tokens_.take_keyword("in")) return comparison_operator::in;
  if (!tokens_.is_keyword("not") || !tokens_.lookahead().is_keyword("in")) return std::nullopt;
  tokens_.advance();
  tokens_.advance();
  return comparison_operator::not_in;
}

expression_ptr expression_parser::parse_comparison() {
  const auto offset = tokens_.offset();
  auto first = parse_sum();
  std::vector<std::pair<comparison_operator, expression_ptr>> others;
  auto depth = first->depth;
  while (const auto op = take_comparison_operator()) {
    others.emplace_back(*op, parse_sum());
    depth = std::max(depth, others.back().second->depth);
  }
  if (others.empty()) return first;
  return make_expression(offset, depth, jinja::comparison{std::move(first), std::move(others)});
}

expression_ptr expression_parser::parse_left_associative(
    std::initializer_list<std::pair<std::string_view, binary_operator>> operators,
    expression_ptr (expression_parser::*operand)()) {
  auto left = (this->*operand)();
  while (true) {
    const auto* const found =
        std::ranges::find_if(operators, [&](const auto& each) { return tokens_.is_symbol(each.first); });
    if (found == operators.end()) return left;
    const auto offset = tokens_.advance().offset;
    auto right = (this->*operand)();
    const auto depth = std::max(left->depth, right->depth);
    left = make_expression(offset, depth, binary_operation{found->second, std::move(left), std::move(right)});
  }
}

expression_ptr expression_parser::parse_sum() {
  return parse_left_associative({{"+", binary_operator::add}, {"-", binary_operator::subtract}},
                                &expression_parser::parse_concatenation);
}

expression_ptr expression_parser::parse_concatenation() {
  const auto offset = tokens_.offset();
  expressions parts;
  parts.push_back(parse_product());
  while (tokens_.take_symbol("~")) parts.push_back(parse_product());
  if (parts.size() == 1) return std::move(parts.front());
  const auto depth = depth_of(parts);
  return make_expression(offset, depth, jinja::concatenation{std::move(parts)});
}

expression_ptr expression_parser::parse_product() {
  return parse_left_associative({{"*", binary_operator::multiply},
                                 {"/", binary_operator::divide},
                                 {"//", binary_operator::floor_divide},
                                 {"%", binary_operator::modulo}},
                                &expression_parser::parse_power);
}

expression_ptr expression_parser::parse_power() {
  auto left = parse_unary();
  while (tokens_.is_symbol("**")) {
    const auto offset = tokens_.advance().offset;
    auto right = parse_unary();
    const auto depth = std::max(left->depth, right->depth);
    left = make_expression(offset, depth, binary_operation{binary_operator::power, std::move(left), std::move(right)});
  }
  return left;
}

expression_ptr expression_parser::parse_unary(bool with_filters) {
  const depth_guard deeper(*this);
  expression_ptr out;
  if (tokens_.is_symbol("-") || tokens_.is_symbol("+")) {
    const bool minus = tokens_.is_symbol("-");
    const auto offset = tokens_.advance().offset;
    auto operand = parse_unary(false);
    const auto depth = operand->depth;
    out = make_expression(
        offset, depth,
        unary_operation{minus ? unary_operator::negative : unary_operator::positive, std::move(operand)});
  } else {
    out = parse_primary();
  }
  out = parse_postfix(std::move(out));
  return with_filters ? parse_filters_and_tests(std::move(out)) : std::move(out);
}

expression_ptr expression_parser::parse_primary() {
  const auto offset = tokens_.offset();
  switch (tokens_.current().kind) {
    case token_kind::name: {
      const auto& name = tokens_.advance().text;
      if (name == "true" || name == "True") return make_expression(offset, 0, literal{value::boolean(true)});
      if (name == "false" || name == "False") return make_expression(offset, 0, literal{value::boolean(false)});
      if (name == "none" || name == "None") return make_expression(offset, 0, literal{value()});
      if (on_name) on_name(name);
      return make_expression(offset, 0, name_reference{name});
    }
    case token_kind::string:
      return parse_string();
    case token_kind::integer:
      return make_expression(offset, 0, literal{value::integer(tokens_.advance().integer)});
    case token_kind::real:
      return make_expression(offset, 0, literal{value::real(tokens_.advance().real)});
    default:
      break;
  }
  if (tokens_.take_symbol("(")) {
    const depth_guard deeper(*this);
    auto out = parse_tuple();
    tokens_.expect_symbol(")");
    return out;
  }
  if (tokens_.is_symbol("[")) return parse_list();
  if (tokens_.is_symbol("{")) return parse_dict();
  tokens_.refuse_token("an expression");
}

expression_ptr expression_parser::parse_string() {
  const auto offset = tokens_.offset();
  std::string words;
  while (tokens_.is_kind(token_kind::string)) words += tokens_.advance().text;
  return make_expression(offset, 0, literal{make_text_constant(std::move(words))});
}

expression_ptr expression_parser::parse_list() {
  const auto offset = tokens_.advance().offset;
  expressions items;
  while (!tokens_.is_symbol("]")) {
    items.push_back(parse_expression());
    if (!tokens_.take_symbol(",")) break;
  }
  tokens_.expect_symbol("]");
  const auto depth = depth_of(items);
  return make_expression(offset, depth, sequence_display{kind::list, std::move(items)});
}

expression_ptr expression_parser::parse_dict() {
  const auto offset = tokens_.advance().offset;
  dict_display out;
  std::size_t depth = 0;
  while (!tokens_.is_symbol("}")) {
    auto key = parse_expression();
    tokens_.expect_symbol(":");
    auto item = parse_expression();
    depth = std::max({depth, key->depth, item->depth});
    out.entries.emplace_back(std::move(key), std::move(item));
    if (!tokens_.take_symbol(",")) break;
  }
  tokens_.expect_symbol("}");
  return make_expression(offset, depth, std::move(out));
}

}  // namespace coho::trainer::jinja
