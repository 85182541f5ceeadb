#include "chat_template/builtins/methods.hpp"

#include <algorithm>
#include <array>
#include <iterator>
#include <span>
#include <string>

#include "chat_template/builtins/parameters.hpp"
#include "chat_template/values/comparison.hpp"
#include "chat_template/values/iteration.hpp"

namespace coho::trainer::jinja {

namespace {

// dict.keys(), dict.values() and dict.items().
template <view_part Part>
value view_method(sandbox& box, const value& self, const arguments& given) {
  const parameters none("this method", given, {}, 0);
  return box.make_view(self, Part);
}

// dict.get(key, default=None).
value get_method(sandbox&, const value& self, const arguments& given) {
  const positional_parameters p("get", given, {"key", "default"}, 1);
  const auto* const found = self.object_as<dict_object>().items.find(p[0]);
  return found != nullptr ? *found : p.value_or_none(1);
}

// dict.copy() and list.copy(): the object itself, which nothing can change.
value copy_method(sandbox&, const value& self, const arguments& given) {
  const parameters none("copy", given, {}, 0);
  return self;
}

// list.count(value): the items that are equal.
value count_method(sandbox& box, const value& self, const arguments& given) {
  const positional_parameters p("count", given, {"value"}, 1);
  std::int64_t out = 0;
  for (const auto& item : items_of(box, self)) out += is_equal(box, item, p[0]) ? 1 : 0;
  return value::integer(out);
}

// list.index(value, start, stop). Throws `failure` if no item is equal.
value index_method(sandbox& box, const value& self, const arguments& given) {
  const positional_parameters p("index", given, {"value", "start", "stop"}, 1);
  const auto items = items_of(box, self);
  const auto size = static_cast<std::int64_t>(items.size());
  const auto bound = [&](std::size_t i, std::int64_t otherwise) {
    const auto at = p.integer(i, otherwise);
    return std::clamp<std::int64_t>(at < 0 ? at + size : at, 0, size);
  };
  for (auto at = bound(1, 0); at < bound(2, size); ++at)
    if (is_equal(box, items[static_cast<std::size_t>(at)], p[0])) return value::integer(at);
  throw failure("the value is not in the " + std::string(type_name(self)));
}

constexpr named_method dict_methods[] = {
    {"get", get_method},
    {"items", view_method<view_part::items>},
    {"keys", view_method<view_part::keys>},
    {"values", view_method<view_part::values>},
    {"copy", copy_method},
};
constexpr named_method list_methods[] = {{"count", count_method}, {"index", index_method}, {"copy", copy_method}};
constexpr named_method tuple_methods[] = {{"count", count_method}, {"index", index_method}};

using names = std::span<const std::string_view>;

bool contains_name(names list, std::string_view name) { return std::ranges::find(list, name) != list.end(); }

constexpr std::string_view list_changes[] = {"append", "clear", "extend", "insert", "pop", "remove", "reverse", "sort"};
constexpr std::string_view dict_changes[] = {"clear", "pop", "popitem", "setdefault", "update"};

constexpr std::string_view other_text[] = {"casefold",     "encode",    "expandtabs", "format_map",
                                           "isidentifier", "isnumeric", "maketrans",  "translate"};
constexpr std::string_view other_dict[] = {"fromkeys"};
constexpr std::string_view other_number[] = {"as_integer_ratio", "bit_count", "bit_length", "conjugate", "denominator",
                                             "from_bytes",       "fromhex",   "hex",        "imag",      "is_integer",
                                             "numerator",        "real",      "to_bytes"};
constexpr std::string_view other_view[] = {"isdisjoint", "mapping"};
constexpr std::string_view other_generator[] = {"close",        "gi_code", "gi_frame", "gi_running",
                                                "gi_yieldfrom", "send",    "throw"};
constexpr std::string_view other_function[] = {"arguments", "caller", "catch_kwargs", "catch_varargs",
                                               "explicit_caller"};

}  // namespace

std::span<const named_method> methods_of(kind kind) {
  switch (kind) {
    case kind::text:
      return text_methods();
    case kind::dict:
      return dict_methods;
    case kind::list:
      return list_methods;
    case kind::tuple:
    case kind::range:
      return tuple_methods;
    default:
      return {};
  }
}

method find_method(kind kind, std::string_view name) {
  const auto methods = methods_of(kind);
  const auto found = std::ranges::find(methods, name, &named_method::name);
  return found != methods.end() ? found->call : nullptr;
}

bool is_mutating_attribute(kind kind, std::string_view name) {
  return (kind == kind::list && contains_name(list_changes, name)) ||
         (kind == kind::dict && contains_name(dict_changes, name));
}

bool is_unsupported_attribute(kind kind, std::string_view name) {
  switch (kind) {
    case kind::text:
      return contains_name(other_text, name);
    case kind::dict:
      return contains_name(other_dict, name);
    case kind::boolean:
    case kind::integer:
    case kind::real:
      return contains_name(other_number, name);
    case kind::view:
      return contains_name(other_view, name);
    case kind::generator:
      return contains_name(other_generator, name);
    case kind::function:
      return contains_name(other_function, name);
    default:
      return false;
  }
}

}  // namespace coho::trainer::jinja
