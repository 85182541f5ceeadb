#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <initializer_list>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <coho/error.hpp>

namespace coho::trainer {

/// A recipe that cannot be used: TOML that does not parse, a value of the wrong type or range, an unknown key.
/// The text names the file and line, or the `--set` that the value came from.
class config_error : public error {
 public:
  using error::error;
};

class config;

/// A key of a section that several stages share, as a stage that does not read it knows it.
struct shared_key {
  std::string readers;                       ///< the stages that read it: "sample, judge"
  std::function<void(const config&)> check;  ///< config_error for a value of another type or out of its range
};

/// The configuration of a stage: a TOML recipe with overrides. Keys are dotted ("ppo.gae.gamma").
///
/// Reading a key declares it: after a stage has read all its keys, `check_unknown` turns every remaining key into
/// an error with a "did you mean", and `resolved` lists the keys read with their effective values, defaults included.
/// Copies and sections share one state. Not for concurrent use.
///
///     auto recipe = config::load("ppo.toml", {"ppo.stop_kl=20"});
///     double limit = recipe.get<double>("ppo.stop_kl", 0);
///     recipe.check_unknown();
class config {
 public:
  /// No file: defaults and overrides only.
  explicit config(std::span<const std::string> overrides = {});
  /// A recipe may extend another: see `read_recipe`. Throws `file_error` when a file is missing, `config_error` when it
  /// is not TOML or an override is not `key=value`.
  static config load(const std::filesystem::path& path, std::span<const std::string> overrides = {});
  static config load(const std::filesystem::path& path, std::initializer_list<std::string> overrides);
  static config parse(std::string_view toml, std::string_view source_name, std::span<const std::string> overrides = {});

  /// The same file and overrides with separate state: nothing is declared yet, and `set` does not change this one.
  config clone() const;

  /// One more override, `key=value`; value is TOML, or a bare string where it is not TOML.
  void set(std::string_view key_equals_value);
  /// An override whose value is taken as text, regardless of its form. `origin` names it in errors ("--model").
  /// `config_error` where a part of the key before its last dot is a value.
  void set_text(std::string_view key, std::string_view value, std::string_view origin);
  /// The same for a list of texts.
  void set_list(std::string_view key, std::span<const std::string> values, std::string_view origin);
  /// The overrides of another config, except those of a section, with the places that they have there.
  void add_overrides(const config& from, std::string_view except_section);
  /// The keys of all overrides with their places ("--set ppo.epochs=2"), in the order of the command line.
  std::vector<std::pair<std::string, std::string>> overrides() const;

  /// T: bool, int, std::int64_t, std::uint64_t, std::size_t, double, std::string, std::filesystem::path, and
  /// std::vector of std::string, std::filesystem::path, double or std::int64_t (a single value reads as a list of one),
  /// and std::map of std::string to std::string (a section of names that the recipe chooses).
  /// Throws `config_error` when the value has another type or does not fit, or one of its sections is a value.
  template <class T>
  T get(std::string_view key, const T& fallback) const;
  std::string get(std::string_view key, const char* fallback) const { return get<std::string>(key, fallback); }
  /// Nothing when the key is absent.
  template <class T>
  std::optional<T> find(std::string_view key) const;
  /// The same without declaring the key, nor listing it in `resolved`: to check what another stage will read.
  template <class T>
  std::optional<T> peek(std::string_view key) const;
  /// `config_error` when the key is absent; `what` states the purpose in the message.
  template <class T>
  T require(std::string_view key, std::string_view what = {}) const;
  /// One file or a list of them; `config_error` when the key is absent or the list empty.
  std::vector<std::filesystem::path> require_paths(std::string_view key, std::string_view what = {}) const;
  /// A string out of a set; `config_error` with the nearest of them for another.
  std::string choice(std::string_view key, std::string_view fallback,
                     std::initializer_list<std::string_view> allowed) const;
  std::string choice(std::string_view key, std::string_view fallback, std::span<const std::string_view> allowed) const;

  /// Whether recipe or override sets the key. Does not declare it.
  bool has(std::string_view key) const;
  /// The keys directly under a section in the order of the file. Does not declare them.
  std::vector<std::string> keys(std::string_view section = {}) const;
  /// Every key that file and overrides give, with its value as text for people. Does not declare them.
  std::vector<std::pair<std::string, std::string>> given() const;
  /// The same config seen from a section: `section("ppo").get<double>("gamma", 1)` reads "ppo.gae.gamma".
  config section(std::string_view prefix) const;
  /// The entries of a list of sections in the order of the file, by name. An entry `[[prompts.source]]` with
  /// name = "dolly" is seen, and overridden, as the section "prompts.source.dolly"; `[prompts.source.dolly]` is the
  /// same. Empty when the key is absent. Throws `config_error` where an entry has no name of its own out of letters,
  /// digits, _ and -.
  std::vector<std::pair<std::string, config>> named_sections(std::string_view key) const;

  /// Declares keys that this stage accepts without reading them.
  void declare(std::initializer_list<std::string_view> keys) const;
  /// Sections that belong to other stages: their keys in the file are not unknown, unless this stage reads from them
  /// too. `--set` of one is refused, as it has no effect, unless `share_overrides` was called.
  void allow_sections(std::span<const std::string> names) const;
  /// Keys that other stages read from sections that this one reads from too. One recipe serves all stages, so they may
  /// be in its file: their values are checked, not used. An override of one is refused, as it has no effect.
  void allow_keys(const std::map<std::string, shared_key>& keys) const;
  /// The overrides are for several stages: those of keys that this one does not read are no mistake.
  void share_overrides() const;
  /// `config_error` for the first key in the file or overrides that was not declared or allowed; for an old key it
  /// names the new name.
  void check_unknown() const;

  /// `config_error` "recipe.toml:12: ppo.gae.gamma = 2 is not allowed: it must be …" unless `ok`.
  void check(bool ok, std::string_view key, std::string_view allowed) const;
  /// Whether `key` is set in a place that prevails over that of `other`: the command line over the recipe, the recipe
  /// over those that it extends, any of them over a default.
  bool prevails(std::string_view key, std::string_view other) const;
  /// Where the key's value comes from: "recipe.toml:12", "--set ppo.gae.gamma=2" or "default".
  std::string place(std::string_view key) const;

  /// The keys read so far, whether given or not.
  std::vector<std::string> read_keys() const;
  /// Keys read so far as paths, with those that the file or an override gives.
  std::vector<std::pair<std::string, std::filesystem::path>> read_paths() const;
  /// Adds to these a key that was read as text, whose value names a file.
  void add_path(std::string_view key, const std::filesystem::path& path) const;

  /// Every key read so far with its value, as TOML that `load` reads back; numbers in the fewest digits that do.
  std::string resolved() const;

 private:
  struct state;
  config(std::shared_ptr<state> shared, std::string prefix) : state_(std::move(shared)), prefix_(std::move(prefix)) {}
  /// A config of what was read from a file, with `--set` entries applied in order.
  static config with_overrides(state values, std::span<const std::string> overrides);
  /// The key with the prefix of this section.
  std::string full_key(std::string_view key) const;
  /// For an absent key: `config_error` where one of its sections is a value, or a list of sections without the entry.
  void require_sections_above(const std::string& name) const;

  std::shared_ptr<state> state_;
  std::string prefix_;
};

}  // namespace coho::trainer
