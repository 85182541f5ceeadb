#include "resources/principle_file.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

#include <nlohmann/json.hpp>

#include <coho/error.hpp>

#include "files/json_file.hpp"

namespace coho::trainer {

namespace {

constexpr std::string_view form =
    "write {\"dimension\", \"definition\", \"negative_definition\" (optional), \"weight\" (optional)}";
constexpr std::array<std::string_view, 4> members{"dimension", "definition", "negative_definition", "weight"};

// One entry of the list; errors name its number and its dimension, if it has one.
class principle_entry {
 public:
  // Refuses anything but an object of known members.
  principle_entry(const std::filesystem::path& path, std::size_t index, const nlohmann::json& value)
      : path_(path.string()), place_("entry " + std::to_string(index + 1)), value_(value) {
    if (!value.is_object()) fail("is not a JSON object", form);
    if (const auto name = value.find("dimension"); name != value.end() && name->is_string()) {
      place_ += " (\"" + name->get<std::string>() + "\")";
    }
    for (const auto& [key, ignored] : value.items()) {
      if (std::ranges::find(members, key) == members.end()) fail("has an unknown member \"" + key + "\"", form);
    }
  }

  [[noreturn]] void fail(std::string_view what, std::string_view mend = {}) const {
    throw file_error(path_, place_, what, mend);
  }

  // Empty if a member that is not required is absent or null.
  std::string text(const char* key, bool required) const {
    const auto found = value_.find(key);
    if (found == value_.end() || (!required && found->is_null())) {
      if (required) fail("has no \"" + std::string(key) + "\"", form);
      return {};
    }
    if (!found->is_string()) fail("\"" + std::string(key) + "\" is not a string");
    auto out = found->get<std::string>();
    if (out.find_first_not_of(" \t\r\n") == std::string::npos) {
      fail("\"" + std::string(key) + "\" is empty", required ? "write its text" : "write its text or remove it");
    }
    return out;
  }

  // 1 if it is absent or null.
  double weight() const {
    const auto found = value_.find("weight");
    if (found == value_.end() || found->is_null()) return 1.0;
    if (!found->is_number()) fail("\"weight\" is not a number");
    const double out = found->get<double>();
    if (!std::isfinite(out) || out < 0) fail("\"weight\" is " + found->dump(), "it must be at least 0");
    return out;
  }

 private:
  std::string path_, place_;
  const nlohmann::json& value_;
};

}  // namespace

std::vector<principle> load_principles(const std::filesystem::path& path) {
  const nlohmann::json list = read_json(path);
  if (!list.is_array()) throw file_error(path.string(), "", "is not a JSON array of principles", form);
  if (list.empty()) throw file_error(path.string(), "", "has no principles", form);
  std::vector<principle> out;
  for (std::size_t i = 0; i < list.size(); ++i) {
    const principle_entry one(path, i, list[i]);
    principle p{.name = one.text("dimension", true),
                .definition = one.text("definition", true),
                .negative_definition = one.text("negative_definition", false),
                .weight = one.weight()};
    const auto same = std::ranges::find(out, p.name, &principle::name);
    if (same != out.end())
      one.fail("has the same dimension as entry " + std::to_string(same - out.begin() + 1), "each name may occur once");
    out.push_back(std::move(p));
  }
  if (std::ranges::none_of(out, [](const principle& p) { return p.weight > 0; })) {
    throw file_error(path.string(), "", "gives every principle weight 0", "give one of them a positive weight");
  }
  return out;
}

intervention_set load_interventions(const std::filesystem::path& path) {
  return intervention_set(load_principles(path));
}

}  // namespace coho::trainer
