#pragma once

#include <filesystem>
#include <memory>
#include <string_view>

#include "jsonl/value_source.hpp"

namespace coho::trainer {

/// Whether a file that begins like this is Parquet.
inline bool is_parquet(std::string_view beginning) { return beginning.starts_with("PAR1"); }

/// Whether this program was built with Arrow's library, which reads Parquet.
bool reads_parquet();

/// The rows of a Parquet file, read in batches of bounded memory: each an object of its columns in their order, with
/// the values that JSON Lines of the same data set would have. Lists are arrays; structs and maps are objects; dates,
/// times and decimals are text; NaN, the missing number of tables, is null, as are binary values that are not UTF-8
/// (which is reported once for each column).
///
/// With `columns` only those are decoded, under their own names.
///
/// Throws `file_error` for a column that the file lacks, where Arrow refuses the file or a value has no JSON form, and
/// for any file in a program without `reads_parquet`.
std::unique_ptr<value_source> open_parquet_rows(const std::filesystem::path& path, const jsonl_options& options,
                                                const column_choice& columns = {});

}  // namespace coho::trainer
