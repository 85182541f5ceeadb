#include "observe/summary.hpp"

#include <cmath>

#include <nlohmann/json.hpp>

#include <coho/error.hpp>

#include "files/atomic_file.hpp"
#include "files/json_file.hpp"

namespace coho::trainer {

using nlohmann::ordered_json;

summary::summary() : root_(std::make_unique<ordered_json>(ordered_json::object())) {}
summary::summary(const ordered_json& root) : root_(std::make_unique<ordered_json>(root)) {
  require_argument(root.is_object(), "a summary must be a JSON object");
}
summary::~summary() = default;
summary::summary(const summary& other) : root_(std::make_unique<ordered_json>(*other.root_)) {}
summary::summary(summary&&) noexcept = default;
summary& summary::operator=(summary&&) noexcept = default;

summary summary::read(const std::filesystem::path& path) {
  const auto parsed = read_ordered_json(path);
  if (!parsed.is_object()) throw file_error(path.string(), "", "is not a JSON object");
  return summary(parsed);
}

ordered_json& summary::find_or_create(std::string_view key) {
  auto* node = root_.get();
  for (;;) {
    const auto dot = key.find('.');
    auto& next = (*node)[std::string(key.substr(0, dot))];
    if (dot == std::string_view::npos) return next;
    require_argument(next.is_null() || next.is_object(),
                     "summary key " + std::string(key) + " is below a key that has a value");
    node = &next;
    key.remove_prefix(dot + 1);
  }
}

void summary::set(std::string_view key, double value) {
  find_or_create(key) = std::isfinite(value) ? ordered_json(value) : ordered_json();
}
void summary::set(std::string_view key, std::int64_t value) { find_or_create(key) = value; }
void summary::set(std::string_view key, std::uint64_t value) { find_or_create(key) = value; }
void summary::set(std::string_view key, bool value) { find_or_create(key) = value; }
void summary::set(std::string_view key, std::string_view value) { find_or_create(key) = std::string(value); }
void summary::set(std::string_view key, const ordered_json& value) { find_or_create(key) = value; }

std::optional<double> summary::number(std::string_view key) const {
  const auto* node = root_.get();
  for (;;) {
    const auto dot = key.find('.');
    const auto found = node->is_object() ? node->find(std::string(key.substr(0, dot))) : node->end();
    if (found == node->end()) return std::nullopt;
    node = &*found;
    if (dot == std::string_view::npos) return node->is_number() ? std::optional(node->get<double>()) : std::nullopt;
    key.remove_prefix(dot + 1);
  }
}

std::string summary::text() const { return root_->dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n"; }
void summary::write(const std::filesystem::path& path) const { write_file(path, text()); }

}  // namespace coho::trainer
