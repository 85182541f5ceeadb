#include <algorithm>
#include <string>
#include <utility>

#include "chat_template/builtins/filters.hpp"
#include "chat_template/builtins/parameters.hpp"
#include "chat_template/values/operators.hpp"
#include "chat_template/values/python_text.hpp"
#include "chat_template/values/value_text.hpp"
#include "text/utf8.hpp"

namespace coho::trainer::jinja {

// A name for this file, so that several files can be compiled as one.
namespace sequence_filtering {
namespace {

value length(sandbox& box, const value& input, const arguments& given) {
  const parameters none("length", given, {}, 0);
  if (input.is(kind::text)) box.work(input.text().size());
  if (input.is(kind::loop)) return get_attribute(box, input, "length");
  const auto found = length_of(input);
  if (!found) throw failure("object of type '" + std::string(type_name(input)) + "' has no len()");
  return value::integer(static_cast<std::int64_t>(*found));
}

value default_of(sandbox& box, const value& input, const arguments& given) {
  const parameters p("default", given, {"default_value", "boolean"}, 0);
  const bool missing = input.is_undefined() || (p.flag(1, false) && !is_true(input));
  if (!missing) return input;
  return p.has(0) ? p[0] : box.text("");
}

value list(sandbox& box, const value& input, const arguments& given) {
  const parameters none("list", given, {}, 0);
  return box.list(items_of(box, input));
}

value first(sandbox& box, const value& input, const arguments& given) {
  const parameters none("first", given, {}, 0);
  auto item = iterate(box, input)();
  return item ? *item : box.undefined("No first item, sequence was empty.");
}

std::vector<value> backwards(sandbox& box, const value& input) {
  auto items = items_of(box, input);
  std::ranges::reverse(items);
  return items;
}

// What Python's `reversed` refuses.
bool is_reversible(const value& input) { return !input.is(kind::generator) && !input.is(kind::loop); }

value last(sandbox& box, const value& input, const arguments& given) {
  const parameters none("last", given, {}, 0);
  if (!is_reversible(input)) throw failure("'" + std::string(type_name(input)) + "' object is not reversible");
  const auto items = items_of(box, input);
  return items.empty() ? box.undefined("No last item, sequence was empty.") : items.back();
}

value over(sandbox& box, std::vector<value> items) {
  const auto kept = box.list(std::move(items));
  return box.generator(iterate(box, kept), kept);
}

// A generator of items that are made when the first is asked for, as in Jinja: only then does a wrong input fail.
template <class Make>
value deferred(sandbox& box, const value& input, const arguments& given, Make make) {
  return box.generator(
      [&box, input, given, make, next = next_item()]() mutable {
        if (!next) next = iterate(box, box.list(make(box, input, given)));
        return next();
      },
      input);
}

value reverse(sandbox& box, const value& input, const arguments& given) {
  const parameters none("reverse", given, {}, 0);
  if (input.is(kind::text)) {
    const auto length = static_cast<std::ptrdiff_t>(count_utf8_characters(input.text()));
    box.work(input.text().size());
    return box.text(sliced(input.text(), length - 1, -1, -1, static_cast<std::size_t>(length)), input.is_markup());
  }
  auto items = backwards(box, input);
  return is_reversible(input) ? over(box, std::move(items)) : box.list(std::move(items));
}

value join(sandbox& box, const value& input, const arguments& given) {
  const parameters p("join", given, {"d", "attribute"}, 0);
  const auto separator = p.has(0) ? text_of(box, p[0]) : std::string();
  std::string out;
  bool begun = false;
  const auto next = iterate(box, input);
  for (auto item = next(); item; item = next()) {
    const auto found = p.get(1).is_none() ? *item : follow_attribute(box, *item, p[1]);
    const auto part = text_of(box, found);
    box.work(separator.size() + part.size());
    box.require_string(out.size() + separator.size() + part.size());
    if (begun) out += separator;
    out += part;
    begun = true;
  }
  return box.text(std::move(out));
}

std::vector<value> item_pairs(sandbox& box, const value& input, const arguments&) {
  if (input.is_undefined()) return {};
  if (!input.is(kind::dict)) throw failure("Can only get item pairs from a mapping.");
  return items_of(box, box.view(input, view_part::items));
}

value items(sandbox& box, const value& input, const arguments& given) {
  const parameters none("items", given, {}, 0);
  return deferred(box, input, given, item_pairs);
}

value dictsort(sandbox& box, const value& input, const arguments& given) {
  const parameters p("dictsort", given, {"case_sensitive", "by", "reverse"}, 0);
  const auto by = p.text(1, "key");
  if (by != "key" && by != "value") throw failure("You can only sort by either \"key\" or \"value\"");
  if (input.is_undefined()) refuse_undefined(input);
  if (!input.is(kind::dict)) throw failure("'" + std::string(type_name(input)) + "' object has no attribute 'items'");
  auto entries = items_of(box, box.view(input, view_part::items));
  const bool with_case = p.flag(0, false), reversed = p.flag(2, false);
  const auto key = [&](const value& entry) {
    const auto& found = entry.items()[by == "key" ? 0 : 1];
    return with_case ? found : without_case(box, found);
  };
  sort_values(entries, [&](const value& a, const value& b) {
    return reversed ? less(box, key(b), key(a)) : less(box, key(a), key(b));
  });
  return box.list(std::move(entries));
}

// The attributes of `sort(attribute="a,b")`, or the item itself, as one key.
value sort_key(sandbox& box, const value& item, const value& attributes, bool with_case) {
  std::vector<value> out;
  const auto add = [&](const value& found) { out.push_back(with_case ? found : without_case(box, found)); };
  if (attributes.is(kind::text))
    for (const auto part : split_at(attributes.text(), ",", -1, false))
      add(follow_attribute(box, item, box.text(std::string(part))));
  else
    add(follow_attribute(box, item, attributes));
  return box.list(std::move(out));
}

value sort(sandbox& box, const value& input, const arguments& given) {
  const parameters p("sort", given, {"reverse", "case_sensitive", "attribute"}, 0);
  std::vector<std::pair<value, value>> keyed;
  for (const auto& item : items_of(box, input))
    keyed.emplace_back(sort_key(box, item, p.get(2), p.flag(1, false)), item);
  const bool reversed = p.flag(0, false);
  sort_values(keyed, [&](const auto& a, const auto& b) {
    return reversed ? less(box, b.first, a.first) : less(box, a.first, b.first);
  });
  std::vector<value> out;
  out.reserve(keyed.size());
  for (auto& [key, item] : keyed) out.push_back(std::move(item));
  return box.list(std::move(out));
}

std::vector<value> unique_items(sandbox& box, const value& input, const arguments& given) {
  const parameters p("unique", given, {"case_sensitive", "attribute"}, 0);
  dictionary seen;
  std::vector<value> out;
  for (const auto& item : items_of(box, input)) {
    const auto found = follow_attribute(box, item, p.get(1));
    const auto key = p.flag(0, false) ? found : without_case(box, found);
    if (seen.find(key) != nullptr) continue;
    seen.set(key, value());
    out.push_back(item);
  }
  return out;
}

value unique(sandbox& box, const value& input, const arguments& given) {
  const parameters known("unique", given, {"case_sensitive", "attribute"}, 0);
  return deferred(box, input, given, unique_items);
}

value extreme(sandbox& box, const value& input, const parameters& p, bool greatest) {
  std::optional<value> best, best_key;
  for (const auto& item : items_of(box, input)) {
    const auto found = follow_attribute(box, item, p.get(1));
    const auto key = p.flag(0, false) ? found : without_case(box, found);
    if (best && !(greatest ? less(box, *best_key, key) : less(box, key, *best_key))) continue;
    best = item;
    best_key = key;
  }
  return best ? *best : box.undefined("No aggregated item, sequence was empty.");
}

value least(sandbox& box, const value& input, const arguments& given) {
  return extreme(box, input, parameters("min", given, {"case_sensitive", "attribute"}, 0), false);
}

value greatest(sandbox& box, const value& input, const arguments& given) {
  return extreme(box, input, parameters("max", given, {"case_sensitive", "attribute"}, 0), true);
}

value sum(sandbox& box, const value& input, const arguments& given) {
  const parameters p("sum", given, {"attribute", "start"}, 0);
  value out = p.has(1) ? p[1] : value::integer(0);
  if (out.is(kind::text)) throw failure("sum() can't sum strings [use ''.join(seq) instead]");
  const auto next = iterate(box, input);
  for (auto item = next(); item; item = next())
    out = binary(box, binary_operator::add, out, follow_attribute(box, *item, p.get(0)));
  return out;
}

std::vector<value> batches(sandbox& box, const value& input, const arguments& given) {
  const parameters p("batch", given, {"linecount", "fill_with"}, 1);
  const auto size = p.integer(0);
  std::vector<value> out, row;
  const auto next = iterate(box, input);
  for (auto item = next(); item; item = next()) {
    if (static_cast<std::int64_t>(row.size()) == size) out.push_back(box.list(std::exchange(row, {})));
    row.push_back(std::move(*item));
  }
  if (!row.empty()) {
    if (!p.get(1).is_none() && size > 0) {
      box.require_items(static_cast<std::size_t>(size));
      while (static_cast<std::int64_t>(row.size()) < size) row.push_back(p[1]);
    }
    out.push_back(box.list(std::move(row)));
  }
  return out;
}

value batch(sandbox& box, const value& input, const arguments& given) {
  const parameters known("batch", given, {"linecount", "fill_with"}, 1);
  return deferred(box, input, given, batches);
}

value attribute(sandbox& box, const value& input, const arguments& given) {
  const parameters p("attr", given, {"name"}, 1);
  if (auto found = find_attribute(box, input, p.text(0))) return *found;
  return box.undefined("'" + std::string(type_name(input)) + " object' has no attribute '" + p.text(0) + "'");
}

constexpr named_filter filters[] = {
    {"length", length},     {"count", length}, {"default", default_of}, {"d", default_of}, {"list", list},
    {"first", first},       {"last", last},    {"reverse", reverse},    {"join", join},    {"items", items},
    {"dictsort", dictsort}, {"sort", sort},    {"unique", unique},      {"min", least},    {"max", greatest},
    {"sum", sum},           {"batch", batch},  {"attr", attribute},
};

}  // namespace
}  // namespace sequence_filtering

std::span<const named_filter> sequence_filters() { return sequence_filtering::filters; }

}  // namespace coho::trainer::jinja
