#include "chat_template/expression_parser.hpp"

#include <algorithm>
#include <string>
#include <utility>

namespace coho::trainer::jinja {

namespace {

// Expressions within each other; the stack must hold each of them, when they are evaluated and when they are released.
constexpr std::size_t deepest = 200;

std::size_t depth_of(const expression_ptr& e) { return e ? e->depth : 0; }

std::size_t depth_of(const expressions& all) {
  std::size_t out = 0;
  for (const auto& e : all) out = std::max(out, e->depth);
  return out;
}

value constant_text(std::string words) { return {kind::text, std::make_shared<text_object>(std::move(words))}; }

}  // namespace

expression_parser::level::level(expression_parser& parser) : parser_(parser) {
  if (parser.level_ >= deepest)
    parser.tokens_.refuse(parser.tokens_.offset(), "expressions within each other, more than 200 deep");
  ++parser.level_;
}

expression_ptr expression_parser::make(std::size_t offset, std::size_t depth, form_type form) {
  if (depth >= deepest) tokens_.refuse(offset, "expressions within each other, more than 200 deep");
  return std::make_unique<const jinja::expression>(jinja::expression{offset, depth + 1, std::move(form)});
}

expression_ptr expression_parser::expression(bool with_condition) {
  const level deeper(*this);
  const auto known = std::exchange(within_, true);
  auto out = with_condition ? conditional_expression() : logical(true);
  within_ = known;
  if (!within_) require_known();
  return out;
}

void expression_parser::require_known() {
  if (!unknown_.empty() && !optional_) tokens_.refuse(unknown_.front().first, unknown_.front().second);
  unknown_.clear();
}

expression_ptr expression_parser::tuple(bool with_condition, std::string_view end_name) {
  const auto offset = tokens_.offset();
  expressions items;
  bool is_tuple = false;
  const auto ends = [&] {
    return tokens_.is(token_kind::variable_end) || tokens_.is(token_kind::block_end) || tokens_.is_symbol(")") ||
           (!end_name.empty() && tokens_.is_name(end_name));
  };
  while (!ends()) {
    items.push_back(expression(with_condition));
    if (!tokens_.take_symbol(",")) break;
    is_tuple = true;
  }
  if (!is_tuple && items.size() == 1) return std::move(items.front());
  if (items.empty() && !tokens_.is_symbol(")")) tokens_.unexpected("an expression");
  const auto depth = depth_of(items);
  return make(offset, depth, sequence_display{kind::tuple, std::move(items)});
}

expression_ptr expression_parser::conditional_expression() {
  const auto before = unknown_.size();
  auto out = logical(true);
  while (tokens_.is_name("if")) {
    const auto offset = tokens_.next().offset;
    auto condition = logical(true);
    auto otherwise = tokens_.take_name("else") ? expression() : nullptr;
    const auto depth = std::max({depth_of(out), depth_of(condition), depth_of(otherwise)});
    out = make(offset, depth, conditional{std::move(condition), std::move(out), std::move(otherwise)});
    unknown_.resize(before);
  }
  return out;
}

expression_ptr expression_parser::logical(bool is_or) {
  const auto offset = tokens_.offset();
  const auto operand = [&] { return is_or ? logical(false) : negation(); };
  expressions operands;
  operands.push_back(operand());
  while (tokens_.take_name(is_or ? "or" : "and")) operands.push_back(operand());
  if (operands.size() == 1) return std::move(operands.front());
  const auto depth = depth_of(operands);
  return make(offset, depth, logical_operation{is_or, std::move(operands)});
}

expression_ptr expression_parser::negation() {
  if (!tokens_.is_name("not")) return comparison();
  const level deeper(*this);
  const auto offset = tokens_.next().offset;
  auto operand = negation();
  const auto depth = operand->depth;
  return make(offset, depth, unary_operation{unary_operator::logical_not, std::move(operand)});
}

std::optional<comparison_operator> expression_parser::take_comparison() {
  static constexpr std::pair<std::string_view, comparison_operator> symbols[] = {
      {"==", comparison_operator::equal},  {"!=", comparison_operator::unequal},
      {"<", comparison_operator::less},    {"<=", comparison_operator::less_equal},
      {">", comparison_operator::greater}, {">=", comparison_operator::greater_equal}};
  for (const auto& [symbol, op] : symbols)
    if (tokens_.take_symbol(symbol)) return op;
  if (tokens_.take_name("in")) return comparison_operator::in;
  if (!tokens_.is_name("not") || !tokens_.following().is_name("in")) return std::nullopt;
  tokens_.next();
  tokens_.next();
  return comparison_operator::not_in;
}

expression_ptr expression_parser::comparison() {
  const auto offset = tokens_.offset();
  auto first = sum();
  std::vector<std::pair<comparison_operator, expression_ptr>> others;
  auto depth = first->depth;
  while (const auto op = take_comparison()) {
    others.emplace_back(*op, sum());
    depth = std::max(depth, others.back().second->depth);
  }
  if (others.empty()) return first;
  return make(offset, depth, jinja::comparison{std::move(first), std::move(others)});
}

expression_ptr expression_parser::left_associative(
    std::initializer_list<std::pair<std::string_view, binary_operator>> operators,
    expression_ptr (expression_parser::*operand)()) {
  auto left = (this->*operand)();
  while (true) {
    const auto* const found =
        std::ranges::find_if(operators, [&](const auto& each) { return tokens_.is_symbol(each.first); });
    if (found == operators.end()) return left;
    const auto offset = tokens_.next().offset;
    auto right = (this->*operand)();
    const auto depth = std::max(left->depth, right->depth);
    left = make(offset, depth, binary_operation{found->second, std::move(left), std::move(right)});
  }
}

expression_ptr expression_parser::sum() {
  return left_associative({{"+", binary_operator::add}, {"-", binary_operator::subtract}},
                          &expression_parser::concatenation);
}

expression_ptr expression_parser::concatenation() {
  const auto offset = tokens_.offset();
  expressions parts;
  parts.push_back(product());
  while (tokens_.take_symbol("~")) parts.push_back(product());
  if (parts.size() == 1) return std::move(parts.front());
  const auto depth = depth_of(parts);
  return make(offset, depth, jinja::concatenation{std::move(parts)});
}

expression_ptr expression_parser::product() {
  return left_associative({{"*", binary_operator::multiply},
                           {"/", binary_operator::divide},
                           {"//", binary_operator::floor_divide},
                           {"%", binary_operator::modulo}},
                          &expression_parser::power);
}

expression_ptr expression_parser::power() {
  auto left = unary();
  while (tokens_.is_symbol("**")) {
    const auto offset = tokens_.next().offset;
    auto right = unary();
    const auto depth = std::max(left->depth, right->depth);
    left = make(offset, depth, binary_operation{binary_operator::power, std::move(left), std::move(right)});
  }
  return left;
}

expression_ptr expression_parser::unary(bool with_filters) {
  const level deeper(*this);
  expression_ptr out;
  if (tokens_.is_symbol("-") || tokens_.is_symbol("+")) {
    const bool minus = tokens_.is_symbol("-");
    const auto offset = tokens_.next().offset;
    auto operand = unary(false);
    const auto depth = operand->depth;
    out = make(offset, depth,
               unary_operation{minus ? unary_operator::negative : unary_operator::positive, std::move(operand)});
  } else {
    out = primary();
  }
  out = postfix(std::move(out));
  return with_filters ? with_filters_and_tests(std::move(out)) : std::move(out);
}

expression_ptr expression_parser::primary() {
  const auto offset = tokens_.offset();
  switch (tokens_.current().kind) {
    case token_kind::name: {
      const auto& name = tokens_.next().text;
      if (name == "true" || name == "True") return make(offset, 0, literal{value::boolean(true)});
      if (name == "false" || name == "False") return make(offset, 0, literal{value::boolean(false)});
      if (name == "none" || name == "None") return make(offset, 0, literal{value()});
      if (on_name) on_name(name);
      return make(offset, 0, name_reference{name});
    }
    case token_kind::string:
      return string();
    case token_kind::integer:
      return make(offset, 0, literal{value::integer(tokens_.next().integer)});
    case token_kind::real:
      return make(offset, 0, literal{value::real(tokens_.next().real)});
    default:
      break;
  }
  if (tokens_.take_symbol("(")) {
    const level deeper(*this);
    auto out = tuple();
    tokens_.expect_symbol(")");
    return out;
  }
  if (tokens_.is_symbol("[")) return list();
  if (tokens_.is_symbol("{")) return dict();
  tokens_.unexpected("an expression");
}

expression_ptr expression_parser::string() {
  const auto offset = tokens_.offset();
  std::string words;
  while (tokens_.is(token_kind::string)) words += tokens_.next().text;
  return make(offset, 0, literal{constant_text(std::move(words))});
}

expression_ptr expression_parser::list() {
  const auto offset = tokens_.next().offset;
  expressions items;
  while (!tokens_.is_symbol("]")) {
    items.push_back(expression());
    if (!tokens_.take_symbol(",")) break;
  }
  tokens_.expect_symbol("]");
  const auto depth = depth_of(items);
  return make(offset, depth, sequence_display{kind::list, std::move(items)});
}

expression_ptr expression_parser::dict() {
  const auto offset = tokens_.next().offset;
  dict_display out;
  std::size_t depth = 0;
  while (!tokens_.is_symbol("}")) {
    auto key = expression();
    tokens_.expect_symbol(":");
    auto item = expression();
    depth = std::max({depth, key->depth, item->depth});
    out.entries.emplace_back(std::move(key), std::move(item));
    if (!tokens_.take_symbol(",")) break;
  }
  tokens_.expect_symbol("}");
  return make(offset, depth, std::move(out));
}

}  // namespace coho::trainer::jinja
