#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

namespace coho::trainer {

/// The figures of a run as one JSON document. Keys are dotted paths and stay in the order in which they were first set,
/// so two runs with one seed give equal bytes; numbers are printed with the fewest digits that read back to the same
/// value; a number that is not finite is written as null.
///
///     summary figures;
///     figures.set("ppo.plain.reward", 1.25);
///     figures.write("demo-out/summary.json");
class summary {
 public:
  summary();
  explicit summary(const nlohmann::ordered_json& root);
  /// Throws `file_error` when the file is not a JSON object.
  static summary read(const std::filesystem::path& path);
  ~summary();
  summary(const summary&);
  summary(summary&&) noexcept;
  summary& operator=(summary&&) noexcept;

  /// Sets the value under a key, or replaces it.
  void set(std::string_view key, double value);
  void set(std::string_view key, std::int64_t value);
  void set(std::string_view key, std::uint64_t value);
  void set(std::string_view key, int value) { set(key, std::int64_t{value}); }
  void set(std::string_view key, bool value);
  void set(std::string_view key, std::string_view value);
  void set(std::string_view key, const char* value) { set(key, std::string_view(value)); }
  void set(std::string_view key, const nlohmann::ordered_json& value);

  /// The number under a key; nothing if it is absent or not a number.
  std::optional<double> number(std::string_view key) const;
  const nlohmann::ordered_json& root() const noexcept { return *root_; }

  /// Indented, with a final newline.
  std::string text() const;
  /// Writes `text` through `atomic_file`.
  void write(const std::filesystem::path& path) const;

 private:
  /// The value under a dotted key; missing objects on the way are created. Throws `argument_error` for a key below one
  /// that has a value.
  nlohmann::ordered_json& find_or_create(std::string_view key);

  std::unique_ptr<nlohmann::ordered_json> root_;
};

}  // namespace coho::trainer
