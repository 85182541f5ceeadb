// What follows an operand: attributes, items, calls, filters and tests.
#include <algorithm>
#include <string>
#include <utility>

#include "chat_template/expression_parser.hpp"

namespace coho::trainer::jinja {

expression_ptr expression_parser::postfix(expression_ptr object) {
  while (true) {
    if (tokens_.is_symbol(".") || tokens_.is_symbol("["))
      object = subscript(std::move(object));
    else if (tokens_.is_symbol("("))
      object = call(std::move(object));
    else
      return object;
  }
}

expression_ptr expression_parser::with_filters_and_tests(expression_ptr input) {
  while (true) {
    if (tokens_.is_symbol("|"))
      input = filters(std::move(input), false);
    else if (tokens_.is_name("is"))
      input = test(std::move(input));
    else if (tokens_.is_symbol("("))
      input = call(std::move(input));
    else
      return input;
  }
}

expression_ptr expression_parser::subscript(expression_ptr object) {
  const auto offset = tokens_.offset();
  auto depth = object->depth;
  if (tokens_.take_symbol(".")) {
    if (tokens_.is(token_kind::integer)) {
      auto key = make(tokens_.offset(), 0, literal{value::integer(tokens_.current().integer)});
      tokens_.next();
      return make(offset, depth, item_access{std::move(object), std::move(key)});
    }
    return make(offset, depth, attribute_access{std::move(object), tokens_.name()});
  }
  tokens_.expect_symbol("[");
  expression_ptr bounds[3];
  std::size_t colons = 0;
  while (!tokens_.is_symbol("]")) {
    if (colons < 2 && tokens_.take_symbol(":"))
      ++colons;
    else if (!bounds[colons])
      bounds[colons] = expression();
    else
      tokens_.unexpected("]");
  }
  tokens_.next();
  for (const auto& bound : bounds) depth = std::max(depth, bound ? bound->depth : 0);
  if (colons > 0)
    return make(offset, depth,
                slice_access{std::move(object), std::move(bounds[0]), std::move(bounds[1]), std::move(bounds[2])});
  if (!bounds[0]) tokens_.refuse(offset, "expected an expression, got ']'");
  return make(offset, depth, item_access{std::move(object), std::move(bounds[0])});
}

call_arguments expression_parser::arguments(std::size_t& depth) {
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
      out.more = add(expression());
    } else if (tokens_.take_symbol("**")) {
      require(!out.more_named);
      out.more_named = add(expression());
    } else if (tokens_.is(token_kind::name) && tokens_.following().is_symbol("=")) {
      require(!out.more_named);
      auto name = tokens_.name();
      tokens_.next();
      for (const auto& given : out.named)
        if (given.first == name) tokens_.refuse(offset, "keyword argument repeated: " + name);
      out.named.emplace_back(std::move(name), add(expression()));
    } else {
      require(!out.more && !out.more_named && out.named.empty());
      out.positional.push_back(add(expression()));
    }
    if (!tokens_.take_symbol(",")) break;
  }
  tokens_.expect_symbol(")");
  return out;
}

expression_ptr expression_parser::call(expression_ptr function) {
  const auto offset = tokens_.offset();
  auto depth = function->depth;
  auto given = arguments(depth);
  return make(offset, depth, call_expression{std::move(function), std::move(given)});
}

std::string expression_parser::dotted_name() {
  auto name = tokens_.name();
  while (tokens_.take_symbol(".")) name += '.' + tokens_.name();
  return name;
}

expression_ptr expression_parser::filters(expression_ptr input, bool without_bar) {
  while (without_bar || tokens_.is_symbol("|")) {
    if (!without_bar) tokens_.next();
    without_bar = false;
    const auto offset = tokens_.offset();
    const auto name = dotted_name();
    const filter apply = find_filter(name);
    if (apply == nullptr) unknown_.emplace_back(offset, unknown_filter(name));
    std::size_t depth = input ? input->depth : 0;
    auto given = tokens_.is_symbol("(") ? arguments(depth) : call_arguments();
    input = make(offset, depth, filter_expression{std::move(input), name, apply, std::move(given)});
  }
  if (!within_) require_known();
  return input;
}

expression_ptr expression_parser::test(expression_ptr tested) {
  tokens_.expect_name("is");
  const bool negated = tokens_.take_name("not");
  const auto offset = tokens_.offset();
  const auto name = dotted_name();
  const jinja::test ask = find_test(name);
  if (ask == nullptr) unknown_.emplace_back(offset, unknown_test(name));
  auto depth = tested->depth;
  call_arguments given;
  const auto kind = tokens_.current().kind;
  const bool operand = kind == token_kind::name || kind == token_kind::string || kind == token_kind::integer ||
                       kind == token_kind::real || tokens_.is_symbol("[") || tokens_.is_symbol("{");
  if (tokens_.is_symbol("(")) {
    given = arguments(depth);
  } else if (operand && !tokens_.is_name("else") && !tokens_.is_name("or") && !tokens_.is_name("and")) {
    if (tokens_.is_name("is")) tokens_.refuse(tokens_.offset(), "You cannot chain multiple tests with is");
    const level deeper(*this);
    given.positional.push_back(postfix(primary()));
    depth = std::max(depth, given.positional.back()->depth);
  }
  return make(offset, depth, test_expression{std::move(tested), name, ask, negated, std::move(given)});
}

}  // namespace coho::trainer::jinja
