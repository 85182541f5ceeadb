#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

#include "jsonl/jsonl.hpp"

namespace coho::trainer {

/// The value at the end of a path in a record: a column, or parts with dots between them, which name members of objects
/// and number items of lists from 0: "messages.0.content". A column of the whole name goes first. Null: there is none.
const json* find_column(const json& record, std::string_view path);

/// A column as a recipe names it: "system?" may be missing in some records.
struct column_path {
  std::string_view path;
  bool optional;
};
column_path parse_column(std::string_view text);

/// The record with only the chosen columns, under the names that the stage reads. Returns the path of a column that the
/// record lacks and that is not optional.
std::optional<std::string> choose_columns(json& record, const column_choice& columns);

/// "there is no column "qestion"", and the mend, which names those that there are.
std::string missing_column_text(std::string_view path);
std::string existing_columns_text(const json& record);

}  // namespace coho::trainer
