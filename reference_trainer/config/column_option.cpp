#include "config/column_option.hpp"

#include <algorithm>
#include <string>

namespace coho::trainer {

void check_columns(const config& section, const column_choice& columns, std::span<const std::string_view> names) {
  for (const auto& [name, path] : columns) {
    const std::string key = "columns." + name;
    section.check(!path.empty() && path != "?", key, "the name of a column");
    if (std::ranges::find(names, std::string_view(name)) != names.end()) continue;
    std::string all;
    for (const auto known : names) all += (all.empty() ? "" : ", ") + std::string(known);
    section.check(false, key, "given to a name that is read here: " + all);
  }
}

}  // namespace coho::trainer
