// map, select, reject, selectattr and rejectattr: generators that apply filters or tests by name.
#include <algorithm>
#include <string>

#include "chat_template/builtins/filters.hpp"
#include "chat_template/builtins/parameters.hpp"
#include "chat_template/values/operators.hpp"
#include "chat_template/values/python_text.hpp"
#include "chat_template/values/value_text.hpp"

namespace coho::trainer::jinja {

// A name for this file, so that several files can be compiled as one.
namespace selecting {
namespace {

// The arguments after the first so many.
arguments after(const arguments& given, std::size_t count) {
  arguments out;
  for (auto i = count; i < given.positional.size(); ++i) out.positional.push_back(given.positional[i]);
  out.named = given.named;
  return out;
}

std::string name_of(const value& given) {
  if (!given.is(kind::text)) throw failure("the name of a filter or test must be a string");
  return given.text();
}

// Generators are not evaluated before they are asked, as in Jinja: what they would refuse may never be reached.
value lazy(sandbox& box, const value& input, std::function<next_item()> begin) {
  if (!is_true(input)) return box.generator([] { return std::optional<value>(); }, input);
  return box.generator(
      [begin = std::move(begin), next = next_item()]() mutable {
        if (!next) next = begin();
        return next();
      },
      input);
}

value map(sandbox& box, const value& input, const arguments& given) {
  if (given.positional.empty() &&
      std::ranges::any_of(given.named, [](const auto& n) { return n.first == "attribute"; })) {
    return lazy(box, input, [&box, input, given]() -> next_item {
      const parameters p("map", given, {"attribute", "default"}, 0);
      return [&box, next = iterate(box, input), path = p.get(0), otherwise = p.get(1)]() -> std::optional<value> {
        const auto item = next();
        if (!item) return std::nullopt;
        return follow_attribute(box, *item, path, otherwise);
      };
    });
  }
  return lazy(box, input, [&box, input, given]() -> next_item {
    if (given.positional.empty()) throw failure("map requires a filter argument");
    const auto name = name_of(given.positional[0]);
    const filter apply = find_filter(name);
    if (apply == nullptr) throw failure("no filter named '" + name + "'");
    return [&box, next = iterate(box, input), apply, rest = after(given, 1)]() -> std::optional<value> {
      const auto item = next();
      return item ? std::optional(apply(box, *item, rest)) : std::nullopt;
    };
  });
}

// `wanted`: the answer of those that are kept.
template <bool Wanted, bool OfAttribute>
value select(sandbox& box, const value& input, const arguments& given) {
  return lazy(box, input, [&box, input, given]() -> next_item {
    constexpr std::size_t before = OfAttribute ? 1 : 0;
    if (given.positional.size() < before) throw failure("Missing parameter for attribute name");
    test ask = nullptr;
    if (given.positional.size() > before) {
      const auto name = name_of(given.positional[before]);
      ask = find_test(name);
      if (ask == nullptr) throw failure("no test named '" + name + "'");
    }
    const value path = OfAttribute ? given.positional[0] : value();
    return [&box, next = iterate(box, input), ask, path, rest = after(given, before + 1)]() -> std::optional<value> {
      for (auto item = next(); item; item = next()) {
        const auto tested = OfAttribute ? follow_attribute(box, *item, path) : *item;
        if ((ask != nullptr ? ask(box, tested, rest) : is_true(tested)) == Wanted) return item;
      }
      return std::nullopt;
    };
  });
}

constexpr named_filter filters[] = {
    {"map", map},
    {"select", select<true, false>},
    {"reject", select<false, false>},
    {"selectattr", select<true, true>},
    {"rejectattr", select<false, true>},
};

}  // namespace
}  // namespace selecting

std::span<const named_filter> selecting_filters() { return selecting::filters; }

filter find_filter(std::string_view name) {
  for (const auto filters : {text_filters(), number_filters(), sequence_filters(), selecting_filters()})
    if (const auto found = std::ranges::find(filters, name, &named_filter::name); found != filters.end())
      return found->apply;
  return nullptr;
}

value follow_attribute(sandbox& box, value object, const value& path, const value& otherwise) {
  if (path.is_none()) return object;
  const auto follow = [&](const value& key) {
    object = get_item(box, object, key);
    if (object.is_undefined() && !otherwise.is_none()) object = otherwise;
  };
  if (!path.is(kind::text)) {
    follow(path);
    return object;
  }
  for (const auto part : split_at(path.text(), ".", -1, false)) {
    const bool number = all_are(part, "ascii") && all_are(part, "decimal") && part.size() < 18;
    follow(number ? value::integer(std::stoll(std::string(part))) : box.text(std::string(part)));
  }
  return object;
}

value without_case(sandbox& box, const value& value) {
  if (!value.is(kind::text)) return value;
  box.work(value.text().size());
  return box.text(lower(value.text()));
}

}  // namespace coho::trainer::jinja
