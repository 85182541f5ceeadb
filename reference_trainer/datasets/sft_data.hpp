#pragma once

#include <cstddef>
#include <filesystem>
#include <vector>

#include "config/column_option.hpp"
#include "config/config.hpp"
#include "config/recipe_option.hpp"
#include "records/records.hpp"
#include "resources/identity_file.hpp"

namespace coho::trainer {

/// In `sft.data`, if no file has that name: the shipped questions to an assistant about itself.
inline constexpr const char* shipped_identity = "identity";

/// The training data of `coho sft`.
struct sft_data_settings {
  std::vector<std::filesystem::path> files{};
  std::size_t limit = 0;  ///< records of each file; 0: all
  column_choice columns{};
  assistant_identity identity{};
  std::size_t identity_repeats = 13;  ///< how often each of those questions is trained on with each of its answers

  /// Whether this file of `files` means the shipped questions: it is called "identity", and there is no such file.
  static bool is_identity(const std::filesystem::path& file);

  static void describe(auto&& visit, auto&... o) {
    visit(required({"data",
                    "file or files of instructions and responses; \"identity\": the shipped questions to an "
                    "assistant about itself"}),
          o.files...);
    visit({"limit", "number of records read from each file; 0: all", {}, "records"}, o.limit...);
    visit(columns_option, o.columns...);
    visit({"identity.name", "name of the assistant; required with the data \"identity\""}, o.identity.name...);
    visit({"identity.maker", "maker of the assistant; required with the data \"identity\""}, o.identity.maker...);
    visit({"identity.repeats", "how often each question of \"identity\" is trained on with each of its answers",
           allowed::at_least(1)},
          o.identity_repeats...);
  }
  /// Throws config_error if "identity" is requested without a name and a maker, or these are given without it.
  void check_constraints(const config& section) const;
};

/// The records of all files, in order; those of "identity" `identity_repeats` times. Throws `file_error` for one that
/// `check` rules out.
std::vector<sft_record> load_sft_records(const sft_data_settings& settings, const record_check<sft_record>& check = {});

}  // namespace coho::trainer
