#pragma once

#include <cstddef>
#include <filesystem>
#include <vector>

#include "config/config.hpp"
#include "records/identity_file.hpp"
#include "records/records.hpp"

namespace coho::trainer {

/// In `sft.data`, where no file has that name: the shipped questions to an assistant about itself.
inline constexpr const char* shipped_identity = "identity";

/// What `coho sft` learns from.
struct sft_data_settings {
  std::vector<std::filesystem::path> files{};
  std::size_t limit = 0;  ///< records of each file; 0: all
  assistant_identity identity{};
  std::size_t identity_repeats = 13;  ///< times that each of those questions is learned with each of its answers

  static bool is_identity(const std::filesystem::path& file);
};

/// `sft.data` (a file, or a list in which "identity" may stand), `sft.limit`, `sft.identity.{name, maker, repeats}`.
/// Throws config_error, also where "identity" is asked for without a name and a maker.
sft_data_settings read_sft_data(const config& section);

/// The records of all files, in their order; those of "identity" `identity_repeats` times.
std::vector<sft_record> load_sft_records(const sft_data_settings& settings);

}  // namespace coho::trainer
