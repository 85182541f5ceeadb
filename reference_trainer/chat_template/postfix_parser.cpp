// What follows an operand: attributes, items, calls, filters and tests.
#include <algorithm>
#include <string>
#include <utility>

#include "chat_template/expression_parser.hpp"

namespace coho::trainer::jinja {

expression_ptr expression_parser::parse_postfix(expression_ptr object) {
  while (true) {
    if (tokens_.is_symbol(".") || tokens_.is_symbol("["))
      object = parse_subscript(std::move(object));
    else if (tokens_.is_symbol("("))
      object = parse_call(std::move(object));
    else
      return object;
  }
}

expression_ptr expression_parser::parse_filters_and_tests(expression_ptr input) {
  while (true) {
    if (tokens_.is_symbol("|"))
      input = parse_filters(std::move(input), false);
    else if (tokens_.is_keyword("is"))
      input = parse_test(std::move(input));
    else if (tokens_.is_symbol("("))
      input = parse_call(std::move(input));
    else
      return input;
  }
}

expression_ptr expression_parser::parse_subscript(expression_ptr object) {
  const auto offset = tokens_.offset();
  auto depth = object->depth;
  if (tokens_.take_symbol(".")) {
    if (tokens_.is_kind(token_kind::integer)) {
      auto key = make_expression(tokens_.offset(), 0, literal{value::integer(tokens_.current().integer)});
      tokens_.advance();
      return make_expression(offset, depth, item_access{std::move(object), std::move(key)});
    }
    return make_expression(offset, depth, attribute_access{std::move(object), tokens_.take_identifier()});
  }
  tokens_.expect_symbol("[");
  expression_ptr bounds[3];
  std::size_t colons = 0;
  while (!tokens_.is_symbol("]")) {
    if (colons < 2 && tokens_.take_symbol(":"))
      ++colons;
    else if (!bounds[colons])
      bounds[colons] = parse_expression();
    else
      tokens_.refuse_token("]");
  }
  tokens_.advance();
  for (const auto& bound : bounds) depth = std::max(depth, bound ? bound->depth : 0);
  if (colons > 0)
    return make_expression(
        offset, depth,
        slice_access{std::move(object), std::move(bounds[0]), std::move(bounds[1]), std::move(bounds[2])});
  if (!bounds[0]) tokens_.refuse(offset, "expected an expression, got ']'");
  return make_expression(offset, depth, item_access{std::move(object), std::move(bounds[0])});
}

call_arguments expression_parser::parse_arguments(std::size_t& depth) {
  call_arguments out;
  const auto offset = tokens_.offset();
  const auto add = [&](expression_ptr e) {
    depth = std::max(depth, e->depth);
    return e;
  };
  const auto require = [&](bool valid) {
    if (!valid) tokens_.refuse(offset, "invalid syntax for function call expression");
  };
  tokens_.expect_symbol("(");
  while (!tokens_.is_symbol(")")) {
    if (tokens_.take_symbol("*")) {
      require(!out.more && !out.more_named);
      out.more = add(parse_expression());
    } else if (tokens_.take_symbol("**")) {
      require(!out.more_named);
      out.more_named = add(parse_expression());
    } else if (tokens_.is_kind(token_kind::name) && tokens_.lookahead().is_symbol("=")) {
      require(!out.more_named);
      auto name = tokens_.take_identifier();
      tokens_.advance();
      for (const auto& given : out.named)
        if (given.first == name) tokens_.refuse(offset, "keyword argument repeated: " + name);
      out.named.emplace_back(std::move(name), add(parse_expression()));
    } else {
      require(!out.more && !out.more_named && out.named.empty());
      out.positional.push_back(add(parse_expression()));
    }
    if (!tokens_.take_symbol(",")) break;
  }
  tokens_.expect_symbol(")");
  return out;
}

expression_ptr expression_parser::parse_call(expression_ptr function) {
  const auto offset = tokens_.offset();
  auto depth = function->depth;
  auto given = parse_arguments(depth);
  return make_expression(offset, depth, call_expression{std::move(function), std::move(given)});
}

std::string expression_parser::parse_dotted_name() {
  auto name = tokens_.take_identifier();
  while (tokens_.take_symbol(".")) name += '.' + tokens_.take_identifier();
  return name;
}

expression_ptr expression_parser::parse_filters(expression_ptr input, bool without_bar) {
  while (without_bar || tokens_.is_symbol("|")) {
    if (!without_bar) tokens_.advance();
    without_bar = false;
    const auto offset = tokens_.offset();
    const auto name = parse_dotted_name();
    const filter apply = find_filter(name);
    if (apply == nullptr) unknown_.emplace_back(offset, unknown_filter_message(name));
    std::size_t depth = input ? input->depth : 0;
    auto given = tokens_.is_symbol("(") ? parse_arguments(depth) : call_arguments();
    input = make_expression(offset, depth, filter_expression{std::move(input), name, apply, std::move(given)});
  }
  if (!within_) refuse_unknown();
  return input;
}

expression_ptr expression_parser::parse_test(expression_ptr tested) {
  tokens_.expect_keyword("is");
  const bool negated = tokens_.take_keyword("not");
  const auto offset = tokens_.offset();
  const auto name = parse_dotted_name();
  const jinja::test ask = find_test(name);
  if (ask == nullptr) unknown_.emplace_back(offset, unknown_test_message(name));
  auto depth = tested->depth;
  call_arguments given;
  const auto kind = tokens_.current().kind;
  const bool operand = kind == token_kind::name || kind == token_kind::string || kind == token_kind::integer ||
                       kind == token_kind::real || tokens_.is_symbol("[") || tokens_.is_symbol("{");
  if (tokens_.is_symbol("(")) {
    given = parse_arguments(depth);
  } else if (operand && !tokens_.is_keyword("else") && !tokens_.is_keyword("or") && !tokens_.is_keyword("and")) {
    if (tokens_.is_keyword("is")) tokens_.refuse(tokens_.offset(), "You cannot chain multiple tests with is");
    const depth_guard deeper(*this);
    given.positional.push_back(parse_postfix(parse_primary()));
    depth = std::max(depth, given.positional.back()->depth);
  }
  return make_expression(offset, depth, test_expression{std::move(tested), name, ask, negated, std::move(given)});
}

}  // namespace coho::trainer::jinja
