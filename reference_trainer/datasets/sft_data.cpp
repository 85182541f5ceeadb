#include "datasets/sft_data.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include "config/read_options.hpp"
#include "files/data_files.hpp"

namespace coho::trainer {

bool sft_data_settings::is_identity(const std::filesystem::path& file) {
  return file == shipped_identity && is_missing(file);
}

void sft_data_settings::check_constraints(const config& section) const {
  check_columns(section, columns, sft_columns);
  const bool used = std::ranges::any_of(files, is_identity);
  section.check(!used || !identity.name.empty(), "identity.name", "the assistant's name, for sft.data = \"identity\"");
  section.check(!used || !identity.maker.empty(), "identity.maker",
                "who made the assistant, for sft.data = \"identity\"");
  if (used) return;
  const sft_data_settings defaults;
  const std::string reason = "unless sft.data holds \"identity\"";
  refuse_unused(section, "identity.name", !identity.name.empty(), "data", reason);
  refuse_unused(section, "identity.maker", !identity.maker.empty(), "data", reason);
  refuse_unused(section, "identity.repeats", identity_repeats != defaults.identity_repeats, "data", reason);
}

std::vector<sft_record> load_sft_records(const sft_data_settings& settings, const record_check<sft_record>& check) {
  const std::size_t limit = settings.limit > 0 ? settings.limit : all_records;
  std::vector<sft_record> out;
  for (const auto& file : settings.files) {
    if (sft_data_settings::is_identity(file)) {
      const auto records = load_identity_records(shipped_file("prompts/identity.json"), settings.identity);
      const std::size_t count = std::min(limit, settings.identity_repeats * records.size());
      // Each pass begins one record later, so that the alternating `sft.templates` do not each get the same records.
      for (std::size_t i = 0; i < count; ++i) out.push_back(records[(i + i / records.size()) % records.size()]);
    } else {
      for (auto& record : read_records<sft_record>(file, limit, settings.columns, check))
        out.push_back(std::move(record));
    }
  }
  return out;
}

}  // namespace coho::trainer
