// map, select, reject, selectattr and rejectattr: generators that apply filters or tests by name.
#include <algorithm>
#include <string>

#include "chat_template/builtins/filters.hpp"
#include "chat_template/builtins/parameters.hpp"
#include "chat_template/values/iteration.hpp"

namespace coho::trainer::jinja {

// A name for this file, so that several files can be compiled as one.
namespace lazy_filtering {
namespace {

// The arguments after the first so many.
arguments arguments_after(const arguments& given, std::size_t count) {
  arguments out;
  for (auto i = count; i < given.positional.size(); ++i) out.positional.push_back(given.positional[i]);
  out.named = given.named;
  return out;
}

// The name of a filter or test that is given as an argument.
std::string builtin_name(const value& given) {
  if (!given.is_kind(kind::text)) throw failure("the name of a filter or test must be a string");
  return given.text();
}

// Generators are not evaluated before they are asked, as in Jinja: what they would refuse may never be reached.
value make_lazy_generator(sandbox& box, const value& input, std::function<next_item()> begin) {
  if (!is_true(input)) return box.make_generator([] { return std::optional<value>(); }, input);
  return box.make_generator(
      [begin = std::move(begin), next = next_item()]() mutable {
        if (!next) next = begin();
        return next();
      },
      input);
}

// map(name, …), or map(attribute=, default=).
value map_filter(sandbox& box, const value& input, const arguments& given) {
  if (given.positional.empty() &&
      std::ranges::any_of(given.named, [](const auto& n) { return n.first == "attribute"; })) {
    return make_lazy_generator(box, input, [&box, input, given]() -> next_item {
      const parameters p("map", given, {"attribute", "default"}, 0);
      return [&box, next = iterate_items(box, input), path = p.value_or_none(0),
              otherwise = p.value_or_none(1)]() -> std::optional<value> {
        const auto item = next();
        if (!item) return std::nullopt;
        return follow_attribute(box, *item, path, otherwise);
      };
    });
  }
  return make_lazy_generator(box, input, [&box, input, given]() -> next_item {
    if (given.positional.empty()) throw failure("map requires a filter argument");
    const auto name = builtin_name(given.positional[0]);
    const filter apply = find_filter(name);
    if (apply == nullptr) throw failure("no filter named '" + name + "'");
    return [&box, next = iterate_items(box, input), apply, rest = arguments_after(given, 1)]() -> std::optional<value> {
      const auto item = next();
      return item ? std::optional(apply(box, *item, rest)) : std::nullopt;
    };
  });
}

// The filters select and reject, and, with `OfAttribute`, selectattr and rejectattr, which test an attribute of each
// item. Kept are the items for which the test answers `Wanted`; without a test their truth decides.
template <bool Wanted, bool OfAttribute>
value select_filter(sandbox& box, const value& input, const arguments& given) {
  return make_lazy_generator(box, input, [&box, input, given]() -> next_item {
    constexpr std::size_t before = OfAttribute ? 1 : 0;
    if (given.positional.size() < before) throw failure("Missing parameter for attribute name");
    test ask = nullptr;
    if (given.positional.size() > before) {
      const auto name = builtin_name(given.positional[before]);
      ask = find_test(name);
      if (ask == nullptr) throw failure("no test named '" + name + "'");
    }
    const value path = OfAttribute ? given.positional[0] : value();
    return [&box, next = iterate_items(box, input), ask, path,
            rest = arguments_after(given, before + 1)]() -> std::optional<value> {
      for (auto item = next(); item; item = next()) {
        const auto tested = OfAttribute ? follow_attribute(box, *item, path) : *item;
        if ((ask != nullptr ? ask(box, tested, rest) : is_true(tested)) == Wanted) return item;
      }
      return std::nullopt;
    };
  });
}

constexpr named_filter filters[] = {
    {"map", map_filter},
    {"select", select_filter<true, false>},
    {"reject", select_filter<false, false>},
    {"selectattr", select_filter<true, true>},
    {"rejectattr", select_filter<false, true>},
};

}  // namespace
}  // namespace lazy_filtering

std::span<const named_filter> lazy_filters() { return lazy_filtering::filters; }

}  // namespace coho::trainer::jinja
