#include "datasets/sft_data.hpp"

#include <algorithm>
#include <limits>
#include <utility>

#include "files/data_files.hpp"

namespace coho::trainer {

bool sft_data_settings::is_identity(const std::filesystem::path& file) {
  return file == shipped_identity && not_there(file);
}

sft_data_settings read_sft_data(const config& section) {
  sft_data_settings out{.files = section.require_paths("data", "the file of instructions and responses, or a list"),
                        .limit = section.get<std::size_t>("limit", 0)};
  out.identity.name = section.get<std::string>("identity.name", "");
  out.identity.maker = section.get<std::string>("identity.maker", "");
  out.identity_repeats = section.get<std::size_t>("identity.repeats", out.identity_repeats);
  section.check(out.identity_repeats > 0, "identity.repeats", "at least 1");
  const bool used = std::ranges::any_of(out.files, sft_data_settings::is_identity);
  section.check(!used || !out.identity.name.empty(), "identity.name",
                "the assistant's name, for sft.data = \"identity\"");
  section.check(!used || !out.identity.maker.empty(), "identity.maker",
                "who made the assistant, for sft.data = \"identity\"");
  return out;
}

std::vector<sft_record> load_sft_records(const sft_data_settings& settings) {
  const std::size_t limit = settings.limit > 0 ? settings.limit : std::numeric_limits<std::size_t>::max();
  std::vector<sft_record> out;
  for (const auto& file : settings.files) {
    if (sft_data_settings::is_identity(file)) {
      const auto records = load_identity(shipped("prompts/identity.json"), settings.identity);
      const std::size_t count = std::min(limit, settings.identity_repeats * records.size());
      // Each pass begins a record later, so that `sft.templates`, which take turns, do not each get the same records.
      for (std::size_t i = 0; i < count; ++i) out.push_back(records[(i + i / records.size()) % records.size()]);
    } else {
      for (auto& record : read_records<sft_record>(file, limit)) out.push_back(std::move(record));
    }
  }
  return out;
}

}  // namespace coho::trainer
