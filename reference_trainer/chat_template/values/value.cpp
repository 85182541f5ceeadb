#include "chat_template/values/value.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "chat_template/errors/template_error.hpp"
#include "text/utf8.hpp"

namespace coho::trainer::jinja {

namespace {

// Below it comparing with each key is faster than a hash.
constexpr std::size_t entries_without_index = 16;

// Equal for keys that are the same, such as 1, 1.0 and True. Throws `failure` for values that cannot be keys.
std::size_t hash_of(const value& key) {
  switch (key.kind()) {
    case kind::text:
      return std::hash<std::string_view>{}(key.text());
    case kind::boolean:
    case kind::integer:
    case kind::real:
      return std::hash<double>{}(key.number());
    case kind::none:
    case kind::undefined:
      return 0;
    case kind::tuple: {
      std::size_t out = key.items().size();
      for (const auto& item : key.items()) {
        if (item.is_kind(kind::tuple)) throw failure("a key of tuples within tuples is not supported");
        out = out * 31 + hash_of(item);
      }
      return out;
    }
    case kind::range:
    case kind::generator:
    case kind::name_space:
    case kind::loop:
    case kind::function:
      return std::hash<const void*>{}(key.shared_object().get());
    default:
      throw failure("unhashable type: '" + std::string(type_name(key)) + "'");
  }
}

// Equality of keys, which needs no sandbox: their depth is bounded by `hash_of`.
bool is_same_key(const value& a, const value& b) {
  if (a.is_number() && b.is_number())
    return a.is_integral() && b.is_integral() ? a.integral() == b.integral() : a.number() == b.number();
  if (a.kind() != b.kind()) return false;
  if (a.is_kind(kind::text)) return a.text() == b.text();
  if (a.is_kind(kind::tuple))
    return std::ranges::equal(a.items(), b.items(), [](const value& x, const value& y) { return is_same_key(x, y); });
  return a.is_none() || a.is_undefined() || a.shared_object() == b.shared_object();
}

}  // namespace

std::size_t dictionary::entry_index(const value& key, std::size_t hash) const {
  if (index_.empty()) {
    for (std::size_t i = 0; i < entries_.size(); ++i)
      if (is_same_key(entries_[i].first, key)) return i;
    return entries_.size();
  }
  const auto [begin, end] = index_.equal_range(hash);
  for (auto at = begin; at != end; ++at)
    if (is_same_key(entries_[at->second].first, key)) return at->second;
  return entries_.size();
}

const value* dictionary::find(const value& key) const {
  const auto at = entry_index(key, hash_of(key));
  return at < entries_.size() ? &entries_[at].second : nullptr;
}

const value* dictionary::find(std::string_view key) const {
  if (!index_.empty()) {
    const auto [begin, end] = index_.equal_range(std::hash<std::string_view>{}(key));
    for (auto at = begin; at != end; ++at)
      if (const auto& [name, item] = entries_[at->second]; name.is_kind(kind::text) && name.text() == key) return &item;
    return nullptr;
  }
  for (const auto& [name, item] : entries_)
    if (name.is_kind(kind::text) && name.text() == key) return &item;
  return nullptr;
}

void dictionary::set(value key, value item) {
  const auto hash = hash_of(key);
  if (const auto at = entry_index(key, hash); at < entries_.size()) {
    entries_[at].second = std::move(item);
    return;
  }
  entries_.emplace_back(std::move(key), std::move(item));
  if (!index_.empty()) {
    index_.emplace(hash, entries_.size() - 1);
  } else if (entries_.size() > entries_without_index) {
    for (std::size_t i = 0; i < entries_.size(); ++i) index_.emplace(hash_of(entries_[i].first), i);
  }
}

void dictionary::clear() noexcept {
  entries_.clear();
  index_.clear();
}

std::int64_t range_object::length() const noexcept {
  // In 128 bits: the difference of two 64-bit numbers need not fit.
  __extension__ using wide = __int128;
  const wide distance = step > 0 ? wide(stop) - start : wide(start) - stop;
  const wide by = step > 0 ? wide(step) : -wide(step);
  if (distance <= 0) return 0;
  const wide count = (distance - 1) / by + 1;
  return count > INT64_MAX ? -1 : static_cast<std::int64_t>(count);
}

std::string_view type_name(const value& value) {
  static constexpr std::array<std::string_view, 15> names = {
      "Undefined", "NoneType",  "bool",  "int",       "float",     "str",         "list",    "tuple",
      "dict",      "dict_view", "range", "generator", "Namespace", "LoopContext", "function"};
  return names[static_cast<std::size_t>(value.kind())];
}

bool is_true(const value& value) {
  switch (value.kind()) {
    case kind::undefined:
    case kind::none:
      return false;
    case kind::boolean:
    case kind::integer:
      return value.integral() != 0;
    case kind::real:
      return value.number() != 0;
    case kind::text:
      return !value.text().empty();
    case kind::generator:
    case kind::name_space:
    case kind::loop:
    case kind::function:
      return true;
    default:
      return length_of(value) != 0;
  }
}

void refuse_undefined(const value& undefined) { throw failure(undefined.object_as<undefined_object>().cause); }

std::optional<std::size_t> length_of(const value& value) {
  switch (value.kind()) {
    case kind::undefined:
      return 0;
    case kind::text:
      return count_utf8_characters(value.text());
    case kind::list:
    case kind::tuple:
      return value.items().size();
    case kind::dict:
      return value.object_as<dict_object>().items.size();
    case kind::view:
      return length_of(value.object_as<view_object>().of);
    case kind::range:
      return static_cast<std::size_t>(value.object_as<range_object>().length());
    default:
      return std::nullopt;
  }
}

}  // namespace coho::trainer::jinja
