#include <algorithm>
#include <string>
#include <utility>

#include "chat_template/builtins/access.hpp"
#include "chat_template/builtins/arithmetic.hpp"
#include "chat_template/builtins/filters.hpp"
#include "chat_template/builtins/parameters.hpp"
#include "chat_template/values/comparison.hpp"
#include "chat_template/values/iteration.hpp"
#include "chat_template/values/python_text.hpp"
#include "chat_template/values/value_text.hpp"
#include "text/utf8.hpp"

namespace coho::trainer::jinja {

// A name for this file, so that several files can be compiled as one.
namespace sequence_filtering {
namespace {

// length: of a text its characters. Throws `failure` for what has no length.
value length_filter(sandbox& box, const value& input, const arguments& given) {
  const parameters none("length", given, {}, 0);
  if (input.is_kind(kind::text)) box.count_bytes(input.text().size());
  if (input.is_kind(kind::loop)) return get_attribute(box, input, "length");
  const auto found = length_of(input);
  if (!found) throw failure("object of type '" + std::string(type_name(input)) + "' has no len()");
  return value::integer(static_cast<std::int64_t>(*found));
}

// default(default_value='', boolean=false): for Undefined, and for false values if `boolean` is true.
value default_filter(sandbox& box, const value& input, const arguments& given) {
  const parameters p("default", given, {"default_value", "boolean"}, 0);
  const bool missing = input.is_undefined() || (p.flag(1, false) && !is_true(input));
  if (!missing) return input;
  return p.is_given(0) ? p[0] : box.make_text("");
}

// list: of a text its characters, of a dict its keys.
value list_filter(sandbox& box, const value& input, const arguments& given) {
  const parameters none("list", given, {}, 0);
  return box.make_list(items_of(box, input));
}

// first: Undefined if there is none.
value first_filter(sandbox& box, const value& input, const arguments& given) {
  const parameters none("first", given, {}, 0);
  auto item = iterate_items(box, input)();
  return item ? *item : box.make_undefined("No first item, sequence was empty.");
}

// All items, the last one first.
std::vector<value> reversed_items(sandbox& box, const value& input) {
  auto items = items_of(box, input);
  std::ranges::reverse(items);
  return items;
}

// What Python's `reversed` refuses.
bool is_reversible(const value& input) { return !input.is_kind(kind::generator) && !input.is_kind(kind::loop); }

// last: Undefined if there is none. Throws `failure` for generators.
value last_filter(sandbox& box, const value& input, const arguments& given) {
  const parameters none("last", given, {}, 0);
  if (!is_reversible(input)) throw failure("'" + std::string(type_name(input)) + "' object is not reversible");
  const auto items = items_of(box, input);
  return items.empty() ? box.make_undefined("No last item, sequence was empty.") : items.back();
}

// A generator of items that exist already.
value make_list_generator(sandbox& box, std::vector<value> items) {
  const auto kept = box.make_list(std::move(items));
  return box.make_generator(iterate_items(box, kept), kept);
}

// A generator of items that are made when the first is asked for, as in Jinja: only then does a wrong input fail.
template <class Make>
value make_deferred_generator(sandbox& box, const value& input, const arguments& given, Make make) {
  return box.make_generator(
      [&box, input, given, make, next = next_item()]() mutable {
        if (!next) next = iterate_items(box, box.make_list(make(box, input, given)));
        return next();
      },
      input);
}

// reverse: a text of a text, else a generator.
value reverse_filter(sandbox& box, const value& input, const arguments& given) {
  const parameters none("reverse", given, {}, 0);
  if (input.is_kind(kind::text)) {
    const auto length = static_cast<std::ptrdiff_t>(count_utf8_characters(input.text()));
    box.count_bytes(input.text().size());
    return box.make_text(slice_text(input.text(), length - 1, -1, -1, static_cast<std::size_t>(length)),
                         input.is_markup());
  }
  auto items = reversed_items(box, input);
  return is_reversible(input) ? make_list_generator(box, std::move(items)) : box.make_list(std::move(items));
}

// join(d='', attribute=None): the texts of all items.
value join_filter(sandbox& box, const value& input, const arguments& given) {
  const parameters p("join", given, {"d", "attribute"}, 0);
  const auto separator = p.is_given(0) ? text_of(box, p[0]) : std::string();
  std::string out;
  bool begun = false;
  const auto next = iterate_items(box, input);
  for (auto item = next(); item; item = next()) {
    const auto found = p.value_or_none(1).is_none() ? *item : follow_attribute(box, *item, p[1]);
    const auto part = text_of(box, found);
    box.count_bytes(separator.size() + part.size());
    box.require_string_fits(out.size() + separator.size() + part.size());
    if (begun) out += separator;
    out += part;
    begun = true;
  }
  return box.make_text(std::move(out));
}

// (key, value) tuples; none of Undefined.
std::vector<value> item_pairs(sandbox& box, const value& input, const arguments&) {
  if (input.is_undefined()) return {};
  if (!input.is_kind(kind::dict)) throw failure("Can only get item pairs from a mapping.");
  return items_of(box, box.make_view(input, view_part::items));
}

// items: a generator of (key, value). Throws `failure` when it is asked, if the input is not a dict.
value items_filter(sandbox& box, const value& input, const arguments& given) {
  const parameters none("items", given, {}, 0);
  return make_deferred_generator(box, input, given, item_pairs);
}

// dictsort(case_sensitive=false, by='key', reverse=false): a list of (key, value).
value dictsort_filter(sandbox& box, const value& input, const arguments& given) {
  const parameters p("dictsort", given, {"case_sensitive", "by", "reverse"}, 0);
  const auto by = p.text(1, "key");
  if (by != "key" && by != "value") throw failure("You can only sort by either \"key\" or \"value\"");
  if (input.is_undefined()) refuse_undefined(input);
  if (!input.is_kind(kind::dict))
    throw failure("'" + std::string(type_name(input)) + "' object has no attribute 'items'");
  auto entries = items_of(box, box.make_view(input, view_part::items));
  const bool with_case = p.flag(0, false), reversed = p.whole_flag(2, false);
  const auto key = [&](const value& entry) {
    const auto& found = entry.items()[by == "key" ? 0 : 1];
    return with_case ? found : lower_case_key(box, found);
  };
  stable_sort_values(entries, [&](const value& a, const value& b) {
    return reversed ? is_less(box, key(b), key(a)) : is_less(box, key(a), key(b));
  });
  return box.make_list(std::move(entries));
}

// The attributes of `sort(attribute="a,b")`, or the item itself, as one key.
value sort_key(sandbox& box, const value& item, const value& attributes, bool with_case) {
  std::vector<value> out;
  const auto add = [&](const value& found) { out.push_back(with_case ? found : lower_case_key(box, found)); };
  if (attributes.is_kind(kind::text))
    for (const auto part : split_at_separator(attributes.text(), ",", -1, false))
      add(follow_attribute(box, item, box.make_text(std::string(part))));
  else
    add(follow_attribute(box, item, attributes));
  return box.make_list(std::move(out));
}

// sort(reverse=false, case_sensitive=false, attribute=None): a list; items that are equal keep their order.
value sort_filter(sandbox& box, const value& input, const arguments& given) {
  const parameters p("sort", given, {"reverse", "case_sensitive", "attribute"}, 0);
  std::vector<std::pair<value, value>> keyed;
  for (const auto& item : items_of(box, input))
    keyed.emplace_back(sort_key(box, item, p.value_or_none(2), p.flag(1, false)), item);
  const bool reversed = p.whole_flag(0, false);
  stable_sort_values(keyed, [&](const auto& a, const auto& b) {
    return reversed ? is_less(box, b.first, a.first) : is_less(box, a.first, b.first);
  });
  std::vector<value> out;
  out.reserve(keyed.size());
  for (auto& [key, item] : keyed) out.push_back(std::move(item));
  return box.make_list(std::move(out));
}

// The first of each key, in the order of the input.
std::vector<value> unique_items(sandbox& box, const value& input, const arguments& given) {
  const parameters p("unique", given, {"case_sensitive", "attribute"}, 0);
  dictionary seen;
  std::vector<value> out;
  for (const auto& item : items_of(box, input)) {
    const auto found = follow_attribute(box, item, p.value_or_none(1));
    const auto key = p.flag(0, false) ? found : lower_case_key(box, found);
    if (seen.find(key) != nullptr) continue;
    seen.set(key, value());
    out.push_back(item);
  }
  return out;
}

// unique(case_sensitive=false, attribute=None): a generator.
value unique_filter(sandbox& box, const value& input, const arguments& given) {
  const parameters known("unique", given, {"case_sensitive", "attribute"}, 0);
  return make_deferred_generator(box, input, given, unique_items);
}

// The first of the least or greatest items; Undefined if there is none.
value extreme_item(sandbox& box, const value& input, const parameters& p, bool greatest) {
  std::optional<value> best, best_key;
  for (const auto& item : items_of(box, input)) {
    const auto found = follow_attribute(box, item, p.value_or_none(1));
    const auto key = p.flag(0, false) ? found : lower_case_key(box, found);
    if (best && !(greatest ? is_less(box, *best_key, key) : is_less(box, key, *best_key))) continue;
    best = item;
    best_key = key;
  }
  return best ? *best : box.make_undefined("No aggregated item, sequence was empty.");
}

// min(case_sensitive=false, attribute=None).
value min_filter(sandbox& box, const value& input, const arguments& given) {
  return extreme_item(box, input, parameters("min", given, {"case_sensitive", "attribute"}, 0), false);
}

// max(case_sensitive=false, attribute=None).
value max_filter(sandbox& box, const value& input, const arguments& given) {
  return extreme_item(box, input, parameters("max", given, {"case_sensitive", "attribute"}, 0), true);
}

// sum(attribute=None, start=0). Throws `failure` for texts, as Python.
value sum_filter(sandbox& box, const value& input, const arguments& given) {
  const parameters p("sum", given, {"attribute", "start"}, 0);
  value out = p.is_given(1) ? p[1] : value::integer(0);
  if (out.is_kind(kind::text)) throw failure("sum() can't sum strings [use ''.join(seq) instead]");
  const auto next = iterate_items(box, input);
  for (auto item = next(); item; item = next())
    out = apply_binary_operator(box, binary_operator::add, out, follow_attribute(box, *item, p.value_or_none(0)));
  return out;
}

// Lists of `linecount` items, the last one filled up if `fill_with` is given.
std::vector<value> batches(sandbox& box, const value& input, const arguments& given) {
  const parameters p("batch", given, {"linecount", "fill_with"}, 1);
  const auto size = p.integer(0);
  std::vector<value> out, row;
  const auto next = iterate_items(box, input);
  for (auto item = next(); item; item = next()) {
    if (static_cast<std::int64_t>(row.size()) == size) out.push_back(box.make_list(std::exchange(row, {})));
    row.push_back(std::move(*item));
  }
  if (!row.empty()) {
    if (!p.value_or_none(1).is_none() && size > 0) {
      box.require_items_fit(static_cast<std::size_t>(size));
      while (static_cast<std::int64_t>(row.size()) < size) row.push_back(p[1]);
    }
    out.push_back(box.make_list(std::move(row)));
  }
  return out;
}

// batch(linecount, fill_with=None): a generator of lists.
value batch_filter(sandbox& box, const value& input, const arguments& given) {
  const parameters known("batch", given, {"linecount", "fill_with"}, 1);
  return make_deferred_generator(box, input, given, batches);
}

// attr(name): the attribute, never the item.
value attr_filter(sandbox& box, const value& input, const arguments& given) {
  const parameters p("attr", given, {"name"}, 1);
  if (auto found = find_attribute(box, input, p.text(0))) return *found;
  return box.make_undefined("'" + std::string(type_name(input)) + " object' has no attribute '" + p.text(0) + "'");
}

constexpr named_filter filters[] = {
    {"length", length_filter}, {"count", length_filter}, {"default", default_filter},   {"d", default_filter},
    {"list", list_filter},     {"first", first_filter},  {"last", last_filter},         {"reverse", reverse_filter},
    {"join", join_filter},     {"items", items_filter},  {"dictsort", dictsort_filter}, {"sort", sort_filter},
    {"unique", unique_filter}, {"min", min_filter},      {"max", max_filter},           {"sum", sum_filter},
    {"batch", batch_filter},   {"attr", attr_filter},
};

}  // namespace
}  // namespace sequence_filtering

std::span<const named_filter> sequence_filters() { return sequence_filtering::filters; }

}  // namespace coho::trainer::jinja
