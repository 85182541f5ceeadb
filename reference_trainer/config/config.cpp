#include "config/config.hpp"

#include <algorithm>
#include <map>
#include <set>

#include "config/config_state.hpp"
#include "config/recipe_file.hpp"
#include "config/renamed_keys.hpp"
#include "config/spelling.hpp"
#include "config/toml_text.hpp"
#include "config/toml_values.hpp"

namespace coho::trainer {

config::config(std::span<const std::string> overrides) : config(parse("", "", overrides)) {}

config config::clone() const {
  auto copy = std::make_shared<state>(*state_);
  copy->original = state_;
  copy->read = {};
  copy->declared.clear();
  copy->paths.clear();
  copy->other_sections.clear();
  copy->shared.clear();
  copy->shared_overrides = false;
  return config(std::move(copy), prefix_);
}

config config::load(const std::filesystem::path& path, std::span<const std::string> overrides) {
  state read;
  read.source_name = path.string();
  read.values = read_recipe(path);
  return with_overrides(std::move(read), overrides);
}

config config::load(const std::filesystem::path& path, std::initializer_list<std::string> overrides) {
  return load(path, std::span(overrides.begin(), overrides.size()));
}

config config::parse(std::string_view text, std::string_view source_name, std::span<const std::string> overrides) {
  state read;
  read.source_name = source_name;
  read.values = parse_recipe(text, source_name);
  return with_overrides(std::move(read), overrides);
}

config config::with_overrides(state values, std::span<const std::string> overrides) {
  config out(std::make_shared<state>(std::move(values)), "");
  for (const auto& entry : overrides) out.set(entry);
  return out;
}

void config::set(std::string_view key_equals_value) {
  const auto split = key_equals_value.find('=');
  const auto key = key_equals_value.substr(0, split);
  if (split == std::string_view::npos || !is_bare_key(key)) {
    throw config_error("--set " + escape_controls(key_equals_value) + ": expected key=value, such as ppo.epochs=2");
  }
  const auto raw = std::string(key_equals_value.substr(split + 1));
  const auto place = "--set " + std::string(key_equals_value);
  const auto* former = find_node(state_->values, full_key(key));
  const bool replaces_section = former != nullptr && former->is_table() && !former->as_table()->empty();
  set_text(key, raw, place);
  if (raw.find('\n') != std::string::npos) return;
  try {
    auto parsed = toml::parse("value = " + raw);
    auto* value = parsed.get("value");
    if (parsed.size() == 1 && value != nullptr) {
      refuse_dotted_names(parsed, [&](const toml::node&) { return "--set " + std::string(key_equals_value); });
      if (const auto* section = value->as_table(); section != nullptr && replaces_section) {
        const std::string first = section->empty() ? "KEY" : std::string(section->begin()->first.str());
        throw config_error(escape_controls(place) + ": " + std::string(key) +
                           " would lose what the recipe has there: set its keys one by one, as in --set " +
                           std::string(key) + "." + first + "=" +
                           (section->empty() ? "…" : print_value(section->begin()->second)));
      }
      value->visit([&](auto& typed) { store(state_->values, full_key(key), std::move(typed)); });
    }
  } catch (const toml::parse_error&) {
    // Not a TOML value: the text itself is the value.
  }
}

void config::set_text(std::string_view key, std::string_view value, std::string_view origin) {
  const auto parts = split_key(full_key(key));
  auto* parent = make_parent_section(state_->values, parts);
  if (parent == nullptr) {
    for (auto outer = full_key(key); outer.find('.') != std::string::npos; outer.resize(outer.rfind('.')))
      if (const auto now = renamed_key(outer); !now.empty() && find_node(state_->values, outer) != nullptr)
        throw config_error(config(state_, "").place(outer) + ": " + outer + " is now " + now);
    throw config_error(escape_controls(origin) +
                       ": a part of the key before its last dot is a value or the name of no entry, not a section");
  }
  parent->insert_or_assign(parts.back(), std::string(value));
  state_->overrides.insert_or_assign(
      full_key(key), state::origin{escape_controls(origin), std::string(value), true, state_->overrides.size()});
}

void config::set_list(std::string_view key, std::span<const std::string> values, std::string_view origin) {
  set_text(key, "", origin);
  state_->overrides.find(full_key(key))->second.has_raw = false;
  toml::array list;
  for (const auto& value : values) list.push_back(value);
  store(state_->values, full_key(key), std::move(list));
}

void config::add_overrides(const config& from, std::string_view except_section) {
  for (const auto& [key, place] : from.overrides()) {
    if (key.starts_with(std::string(except_section) + ".")) continue;
    const auto& origin = from.state_->overrides.find(key)->second;
    set_text(key, origin.raw, origin.place);
    state_->overrides.find(full_key(key))->second.has_raw = origin.has_raw;
    find_node(from.state_->values, key)->visit([&](const auto& typed) { store(state_->values, full_key(key), typed); });
  }
}

std::vector<std::pair<std::string, std::string>> config::overrides() const {
  std::vector<std::pair<std::size_t, std::string>> numbered;
  for (const auto& [key, origin] : state_->overrides) numbered.emplace_back(origin.number, key);
  std::ranges::sort(numbered);
  std::vector<std::pair<std::string, std::string>> out;
  for (auto& [number, key] : numbered) out.emplace_back(key, state_->overrides.find(key)->second.place);
  return out;
}

std::string config::full_key(std::string_view key) const { return prefix_ + std::string(key); }

void config::require_sections_above(const std::string& name) const {
  for (auto point = name.find('.'); point != std::string::npos; point = name.find('.', point + 1)) {
    const auto outer = name.substr(0, point);
    const auto* node = find_node(state_->values, outer);
    if (node == nullptr) return;
    if (node->is_table()) continue;
    const auto from = config(state_, "").place(outer) + ": " + outer;
    if (const auto now = renamed_key(outer); !now.empty()) throw config_error(from + " is now " + now);
    if (!node->is_array_of_tables())
      throw config_error(from + " is " + std::string(describe_type(*node)) + " (" + print_value(*node) +
                         "), expected a section: [" + outer + "] with the key " + name.substr(point + 1));
    const auto entry = name.substr(0, name.find('.', point + 1));
    if (entry == name || find_node(state_->values, entry) == nullptr)
      throw config_error(from + " is a list of sections, expected one: [" + outer + "] in place of [[" + outer + "]]");
  }
}

template <class T>
std::optional<T> config::peek(std::string_view key) const {
  const auto name = full_key(key);
  const auto* node = find_node(state_->values, name);
  if (node == nullptr) {
    require_sections_above(name);
    return std::nullopt;
  }
  auto value = convert<T>(*node);
  if (const auto typed = state_->overrides.find(name); typed != state_->overrides.end() && typed->second.has_raw) {
    // On a command line `--set name=7` may well mean the string, and `--model 7` the number.
    const auto& raw = typed->second.raw;
    if constexpr (std::is_same_v<T, std::string> || std::is_same_v<T, std::filesystem::path>) {
      if (!value) value = T(raw);
    } else if (!value && node->is_string()) {
      try {
        const auto parsed = toml::parse("value = " + raw);
        if (const auto* reread = parsed.get("value"); parsed.size() == 1 && reread != nullptr)
          value = convert<T>(*reread);
      } catch (const toml::parse_error&) {
        // Left without a value: reported below with the expected type.
      }
    }
    if constexpr (std::is_same_v<T, std::vector<std::string>> ||
                  std::is_same_v<T, std::vector<std::filesystem::path>>) {
      if (!value) value = T{raw};
    }
  }
  if (!value) {
    // Words of the command line are no strings yet: only their form is wrong.
    if (const auto typed = state_->overrides.find(name);
        typed != state_->overrides.end() && typed->second.has_raw && node->is_string())
      throw config_error(place(key) + ": " + name + " = " + print_value(*node) + ", expected " + expected_type<T>());
    throw config_error(place(key) + ": " + name + " is " + std::string(describe_type(*node)) + " (" +
                       print_value(*node) + "), expected " + expected_type<T>());
  }
  return value;
}

template <class T>
std::optional<T> config::find(std::string_view key) const {
  const auto name = full_key(key);
  state_->declared.insert(name);
  auto value = peek<T>(key);
  if (!value) return value;
  store_typed(state_->read, name, *value);
  if constexpr (std::is_same_v<T, std::filesystem::path>) {
    add_path(key, *value);
  } else if constexpr (std::is_same_v<T, std::vector<std::filesystem::path>>) {
    state_->paths.erase(name);
    for (const auto& path : *value) state_->paths.emplace(name, path);
  }
  return value;
}

template <class T>
T config::get(std::string_view key, const T& fallback) const {
  if (auto value = find<T>(key)) return std::move(*value);
  store_typed(state_->read, full_key(key), fallback);
  return fallback;
}

template <class T>
T config::require(std::string_view key, std::string_view what) const {
  if (auto value = find<T>(key)) return std::move(*value);
  const auto& source = state_->source_name;
  throw config_error((source.empty() ? std::string() : source + ": ") + full_key(key) + " is not given" +
                     (what.empty() ? "" : " (" + std::string(what) + ")") + "; expected " + expected_type<T>() +
                     " in the recipe or as --set " + full_key(key) + "=…");
}

std::vector<std::filesystem::path> config::require_paths(std::string_view key, std::string_view what) const {
  auto paths = require<std::vector<std::filesystem::path>>(key, what);
  check(!paths.empty(), key, "a file or a list of files");
  return paths;
}

std::string config::choice(std::string_view key, std::string_view fallback,
                           std::initializer_list<std::string_view> allowed) const {
  return choice(key, fallback, std::span(allowed.begin(), allowed.size()));
}

std::string config::choice(std::string_view key, std::string_view fallback,
                           std::span<const std::string_view> allowed) const {
  const auto value = get<std::string>(key, std::string(fallback));
  if (std::ranges::find(allowed, std::string_view(value)) != allowed.end()) return value;
  std::string list;
  std::vector<std::string> candidates;
  for (const auto name : allowed) {
    list += (list.empty() ? "" : ", ") + std::string(name);
    candidates.emplace_back(name);
  }
  const auto meant = nearest(value, candidates);
  check(false, key, "one of " + list + (meant.empty() ? "" : "; did you mean " + meant + "?"));
  return value;
}

bool config::has(std::string_view key) const { return find_node(state_->values, full_key(key)) != nullptr; }

std::vector<std::pair<std::string, std::string>> config::given() const {
  std::vector<std::string> leaves;
  collect_leaves(state_->values, "", leaves);
  std::vector<std::pair<std::string, std::string>> out;
  for (const auto& key : leaves)
    if (const auto* node = find_node(state_->values, key)) out.emplace_back(key, text_for_people(*node));
  return out;
}

config config::section(std::string_view prefix) const { return config(state_, full_key(prefix) + "."); }

void config::declare(std::initializer_list<std::string_view> keys) const {
  for (const auto key : keys) state_->declared.insert(full_key(key));
}

void config::allow_sections(std::span<const std::string> names) const {
  state_->other_sections.insert(names.begin(), names.end());
}

void config::allow_keys(const std::map<std::string, shared_key>& keys) const {
  for (const auto& [key, known] : keys) state_->shared.insert_or_assign(key, known);
}

void config::share_overrides() const { state_->shared_overrides = true; }

void config::check_unknown() const {
  std::set<std::string, std::less<>> own_sections;
  for (const auto& key : state_->declared) own_sections.insert(key.substr(0, key.find('.')));
  // An empty section, such as [sft.optimizer], is known where one of its keys is.
  const auto holds_declared = [&](const std::string& section) {
    const auto first = state_->declared.lower_bound(section + ".");
    return first != state_->declared.end() && first->starts_with(section + ".");
  };
  std::vector<std::string> leaves;
  collect_leaves(state_->values, "", leaves);
  for (auto key : leaves) {
    // A section whose names the recipe chooses is one key.
    for (auto outer = key; outer.find('.') != std::string::npos;) {
      outer.resize(outer.rfind('.'));
      if (state_->declared.contains(outer) || state_->shared.contains(outer)) key = outer;
    }
    const auto top = key.substr(0, key.find('.'));
    const auto* node = find_node(state_->values, key);
    const bool own = own_sections.contains(top), empty_section = node != nullptr && node->is_table();
    if (state_->declared.contains(key) || (empty_section && ((own && top == key) || holds_declared(key)))) continue;
    const auto from = config(state_, "").place(key);
    if (!own && state_->other_sections.contains(top)) {
      // A flag may set the key of a section that one form of its stage reads: `reward --pretrain --data`.
      if (state_->shared_overrides || !from.starts_with("--set ")) continue;
      throw config_error(from + ": " + key + " has no effect here: this stage does not read the section " + top);
    }
    if (const auto known = state_->shared.find(key); known != state_->shared.end()) {
      if (!state_->shared_overrides && from.starts_with("--"))
        throw config_error(from + ": " + key + " has no effect here: it is a key of " + known->second.readers);
      known->second.check(config(state_, ""));
      continue;
    }

    if (const auto now = renamed_key(key); !now.empty()) throw config_error(from + ": " + key + " is now " + now);
    std::vector<std::string> candidates(state_->declared.begin(), state_->declared.end());
    auto meant = nearest(key, candidates);
    if (meant.empty()) meant = likely_key(key, candidates);
    if (meant.empty()) meant = nearest_renamed_key(key);
    if (meant.empty() && !own) {
      const std::vector<std::string> sections(state_->other_sections.begin(), state_->other_sections.end());
      if (const auto near_section = nearest(top, sections); !near_section.empty())
        meant = near_section + key.substr(top.size());
    }
    throw config_error(from + ": unknown key " + key + "; " +
                       (meant.empty() ? "coho options lists the known ones" : "did you mean " + meant + "?"));
  }
}

void config::check(bool ok, std::string_view key, std::string_view allowed) const {
  if (ok) return;
  const auto name = full_key(key);
  const auto* node = find_node(state_->read, name);
  if (node == nullptr) node = find_node(state_->values, name);
  throw config_error(place(key) + ": " + name + " = " + (node == nullptr ? "(absent)" : print_value(*node)) +
                     " is not allowed: it must be " + std::string(allowed));
}

bool config::prevails(std::string_view key, std::string_view other) const {
  // 0: a default; 1: a recipe that is extended; 2: the recipe; 3: the command line.
  const auto level = [&](std::string_view of) {
    const auto* node = state_->parsed(full_key(of));
    if (!has(of)) return 0;
    if (node == nullptr || place(of).starts_with("--")) return 3;
    const auto& path = node->source().path;
    return !path || *path == state_->source_name ? 2 : 1;
  };
  return level(key) > level(other);
}

std::string config::place(std::string_view key) const {
  auto name = full_key(key);
  const auto* node = state_->parsed(name);
  for (auto outer = name;; outer.resize(outer.rfind('.'))) {
    if (const auto found = state_->overrides.find(outer); found != state_->overrides.end()) return found->second.place;
    if (outer.find('.') == std::string::npos) break;
  }
  if (node != nullptr && node->source().begin.line > 0) return state_->place_in_file(*node);
  // A section that only an override of one of its keys made.
  const auto below = state_->overrides.lower_bound(name + ".");
  if (below != state_->overrides.end() && below->first.starts_with(name + ".")) return below->second.place;
  return node == nullptr ? "default" : state_->place_in_file(*node);
}

std::vector<std::string> config::read_keys() const { return {state_->declared.begin(), state_->declared.end()}; }

std::vector<std::pair<std::string, std::filesystem::path>> config::read_paths() const {
  return {state_->paths.begin(), state_->paths.end()};
}

void config::add_path(std::string_view key, const std::filesystem::path& path) const {
  state_->paths.erase(full_key(key));
  state_->paths.emplace(full_key(key), path);
}

std::string config::resolved() const {
  std::string out;
  print_section(state_->read, "", out);
  return out;
}

#define COHO_INSTANTIATE(...)                                                                \
  template __VA_ARGS__ config::get<__VA_ARGS__>(std::string_view, const __VA_ARGS__&) const; \
  template std::optional<__VA_ARGS__> config::find<__VA_ARGS__>(std::string_view) const;     \
  template std::optional<__VA_ARGS__> config::peek<__VA_ARGS__>(std::string_view) const;     \
  template __VA_ARGS__ config::require<__VA_ARGS__>(std::string_view, std::string_view) const;
COHO_INSTANTIATE(bool)
COHO_INSTANTIATE(int)
COHO_INSTANTIATE(unsigned)
COHO_INSTANTIATE(std::int64_t)
COHO_INSTANTIATE(std::uint64_t)
COHO_INSTANTIATE(double)
COHO_INSTANTIATE(std::string)
COHO_INSTANTIATE(std::filesystem::path)
COHO_INSTANTIATE(std::vector<std::string>)
COHO_INSTANTIATE(std::vector<std::filesystem::path>)
COHO_INSTANTIATE(std::vector<double>)
COHO_INSTANTIATE(std::vector<std::int64_t>)
using text_map = std::map<std::string, std::string>;
COHO_INSTANTIATE(text_map)
#undef COHO_INSTANTIATE

}  // namespace coho::trainer
