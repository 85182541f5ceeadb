#include "jsonl/parquet_rows.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <exception>
#include <set>
#include <string>
#include <utility>

#include <arrow/api.h>
#include <arrow/io/file.h>
#include <nlohmann/json.hpp>
#include <parquet/arrow/reader.h>
#include <parquet/file_reader.h>
#include <parquet/metadata.h>
#include <parquet/properties.h>

#include <coho/error.hpp>

#include "files/notices.hpp"
#include "jsonl/column_choice.hpp"
#include "text/utf8.hpp"

namespace coho::trainer {
namespace {

// A batch is decoded at once: this bounds its memory, whatever the size of the file's row groups.
constexpr std::int64_t batch_bytes = std::int64_t{4} << 20, most_batch_rows = 1024;

// Throws `file_error` for what Arrow says of a file.
[[noreturn]] void refuse_parquet_file(const std::filesystem::path& path, const std::string& place,
                                      std::string message) {
  message = message.substr(0, message.find('\n'));
  const auto has = [&](const char* part) { return message.find(part) != std::string::npos; };
  if (has("magic bytes not found") || has("file size is") || has("smaller than"))
    throw file_error(path.string(), place, "the Parquet file is cut off: its footer is not at its end",
                     "fetch it again");
  if (has("encrypt") || has("decrypt"))
    throw file_error(path.string(), place, "the Parquet file is encrypted", "write it again without encryption");
  throw file_error(path.string(), place, "the Parquet file is damaged: " + message,
                   "fetch it again, or write it again with another program");
}

// The leaves of a column are numbered through: those below the named top-level columns, or all.
std::vector<int> leaves_of(const parquet::SchemaDescriptor& schema, const std::set<std::string>& columns) {
  std::vector<int> out;
  for (int i = 0; i < schema.num_columns(); ++i)
    if (columns.empty() || columns.contains(schema.GetColumnRoot(i)->name())) out.push_back(i);
  return out;
}

std::string map_key_text(const json& key) { return key.is_string() ? key.get<std::string>() : key.dump(); }

struct parquet_rows final : value_source {
  std::filesystem::path path;
  jsonl_options options;
  std::unique_ptr<parquet::arrow::FileReader> file;
  std::unique_ptr<arrow::RecordBatchReader> batches;
  std::shared_ptr<arrow::RecordBatch> batch{};
  std::int64_t row_in_batch = 0, rows = 0, rows_promised = 0;
  bool row_fault = false;  ///< the last fault was in the values of one row
  mutable std::string record;

  parquet_rows(const std::filesystem::path& given, const jsonl_options& how, const column_choice& columns)
      : path(given), options(how) {
    guarded("", [&] { return open(columns); });
  }

  // Runs `work`, whose status and exceptions become `file_error`.
  template <class Work>
  void guarded(const std::string& at, const Work& work) {
    std::string message;
    try {
      const arrow::Status status = work();
      if (status.ok()) return;
      message = status.message();
    } catch (const file_error&) {
      throw;
    } catch (const std::exception& problem) {
      message = problem.what();
    }
    refuse_parquet_file(path, at, message);
  }

  arrow::Status open(const column_choice& columns) {
    auto* pool = arrow::system_memory_pool();
    parquet::ReaderProperties reading(pool);
    reading.enable_buffered_stream();  // column chunks are read page by page
    reading.set_buffer_size(1 << 16);
    reading.set_page_checksum_verification(true);
    parquet::arrow::FileReaderBuilder builder;
    ARROW_ASSIGN_OR_RAISE(auto bytes, arrow::io::ReadableFile::Open(path.string(), pool));
    ARROW_RETURN_NOT_OK(builder.Open(std::move(bytes), reading));
    const auto& metadata = *builder.raw_reader()->metadata();
    rows_promised = metadata.num_rows();
    parquet::ArrowReaderProperties converting(/*use_threads=*/false);
    converting.set_batch_size(rows_of_batch(metadata));
    converting.set_pre_buffer(false);
    ARROW_RETURN_NOT_OK(builder.memory_pool(pool)->properties(converting)->Build(&file));
    std::shared_ptr<arrow::Schema> schema;
    ARROW_RETURN_NOT_OK(file->GetSchema(&schema));
    check_columns(*schema);
    std::vector<int> groups(static_cast<std::size_t>(metadata.num_row_groups()));
    for (std::size_t i = 0; i < groups.size(); ++i) groups[i] = static_cast<int>(i);
    ARROW_ASSIGN_OR_RAISE(
        batches, file->GetRecordBatchReader(groups, leaves_of(*metadata.schema(), chosen_roots(*schema, columns))));
    return arrow::Status::OK();
  }

  static std::int64_t rows_of_batch(const parquet::FileMetaData& metadata) {
    std::int64_t out = most_batch_rows;
    for (int i = 0; i < metadata.num_row_groups(); ++i) {
      const auto group = metadata.RowGroup(i);
      const auto row_bytes = group->total_byte_size() / std::max<std::int64_t>(group->num_rows(), 1);
      out = std::min(out, batch_bytes / std::max<std::int64_t>(row_bytes, 1));
    }
    return std::max<std::int64_t>(out, 1);
  }

  // The top-level columns that are chosen; none: all. A file without one of them is refused.
  std::set<std::string> chosen_roots(const arrow::Schema& schema, const column_choice& columns) const {
    std::set<std::string> out;
    json all = json::object();
    for (const auto& field : schema.fields()) all[field->name()] = nullptr;
    for (const auto& [ignored, column] : columns) {
      const auto [whole, optional] = parse_column(column);
      const std::string name(all.contains(std::string(whole)) ? whole : whole.substr(0, whole.find('.')));
      if (all.contains(name)) {
        out.insert(name);
      } else if (!optional) {
        throw file_error(path.string(), "", missing_column_text(whole), existing_columns_text(all));
      }
    }
    return out;
  }

  // Each column is a key of the records.
  void check_columns(const arrow::Schema& schema) const {
    std::set<std::string> seen;
    for (const auto& field : schema.fields())
      if (!seen.insert(field->name()).second)
        throw file_error(path.string(), "", "has two columns \"" + field->name() + "\"", "rename one of them");
  }

  std::string place() const override { return "row " + std::to_string(rows); }

  [[noreturn]] void fail_value(const std::string& what, const std::string& mend) {
    row_fault = true;
    throw file_error(path.string(), place(), what, mend);
  }

  bool next(json& value) override {
    row_fault = false;
    if (batch == nullptr || ++row_in_batch >= batch->num_rows()) {
      do {
        const auto at = rows == 0 ? std::string() : "after " + place();
        guarded(at, [&] { return batches->ReadNext(&batch); });
        if (batch == nullptr) {
          if (rows == rows_promised) return false;
          refuse_parquet_file(path, at, "the footer promises " + std::to_string(rows_promised) + " rows");
        }
      } while (batch->num_rows() == 0);
      row_in_batch = 0;
    }
    ++rows;
    value = row();
    return true;
  }
  bool recover() override { return row_fault; }

  std::string_view text() const override {
    record = const_cast<parquet_rows*>(this)->row().dump();
    return record;
  }

  // The current row.
  json row() {
    json out = json::object();
    for (int i = 0; i < batch->num_columns(); ++i)
      out[batch->column_name(i)] = convert(*batch->column(i), row_in_batch, batch->column_name(i));
    return out;
  }

  json number(double value, const std::string& column) {
    if (std::isnan(value)) return nullptr;
    if (!std::isfinite(value))
      fail_value("column \"" + column + "\" is infinite, which JSON has no number for",
                 "write a finite number, or null");
    return value;
  }

  json string(std::string_view bytes, const std::string& column) {
    const auto bad = find_invalid_utf8(bytes);
    if (bad == std::string::npos) return std::string(bytes);
    if (options.on_bad_text == bad_text::replace) return repair_utf8(bytes);
    fail_value("byte " + std::to_string(bad + 1) + " of column \"" + column + "\" is not UTF-8", "");
  }

  // Older programs write texts without saying that they are.
  json binary(std::string_view bytes, const std::string& column) {
    if (find_invalid_utf8(bytes) == std::string::npos) return std::string(bytes);
    notices::setting().say_first(path.string() + '\n' + column, path.string() + ": column \"" + column +
                                                                    "\" holds binary data, which is read as null");
    return nullptr;
  }

  json list(const arrow::Array& values, std::int64_t begin, std::int64_t size, const std::string& column) {
    json out = json::array();
    for (std::int64_t i = begin; i < begin + size; ++i) out.push_back(convert(values, i, column));
    return out;
  }

  json object(const arrow::StructArray& array, std::int64_t i, const std::string& column) {
    json out = json::object();
    for (int f = 0; f < array.num_fields(); ++f) {
      const auto& name = array.struct_type()->field(f)->name();
      out[name] = convert(*array.field(f), i, column + "." + name);
    }
    return out;
  }

  json map(const arrow::MapArray& array, std::int64_t i, const std::string& column) {
    json out = json::object();
    for (std::int64_t k = array.value_offset(i); k < array.value_offset(i + 1); ++k) {
      const auto key = map_key_text(convert(*array.keys(), k, column));
      if (out.contains(key)) fail_value("column \"" + column + "\" has the key \"" + key + "\" twice", "");
      out[key] = convert(*array.items(), k, column);
    }
    return out;
  }

  // Any of the types that Arrow prints as a text: dates, times, durations.
  json printed(const arrow::Array& array, std::int64_t i, const std::string& column) {
    const auto scalar = array.GetScalar(i);
    if (!scalar.ok())
      fail_value("column \"" + column + "\" of type " + array.type()->ToString() + " is not read", "leave it out");
    return (*scalar)->ToString();
  }

  template <class Array>
  json list_of(const arrow::Array& array, std::int64_t i, const std::string& column) {
    const auto& lists = static_cast<const Array&>(array);
    return list(*lists.values(), lists.value_offset(i), lists.value_length(i), column);
  }
  template <class Array>
  static auto view(const arrow::Array& array, std::int64_t i) {
    return static_cast<const Array&>(array).GetView(i);
  }

  // Item `i` of an array; `column` names it in errors.
  json convert(const arrow::Array& array, std::int64_t i, const std::string& column) {
    using type = arrow::Type;
    if (array.IsNull(i)) return nullptr;
    switch (array.type_id()) {
      case type::NA:
        return nullptr;
      case type::BOOL:
        return view<arrow::BooleanArray>(array, i);
      case type::INT8:
        return view<arrow::Int8Array>(array, i);
      case type::INT16:
        return view<arrow::Int16Array>(array, i);
      case type::INT32:
        return view<arrow::Int32Array>(array, i);
      case type::INT64:
        return view<arrow::Int64Array>(array, i);
      case type::UINT8:
        return view<arrow::UInt8Array>(array, i);
      case type::UINT16:
        return view<arrow::UInt16Array>(array, i);
      case type::UINT32:
        return view<arrow::UInt32Array>(array, i);
      case type::UINT64:
        return view<arrow::UInt64Array>(array, i);
      case type::FLOAT:
        return number(static_cast<double>(view<arrow::FloatArray>(array, i)), column);
      case type::DOUBLE:
        return number(view<arrow::DoubleArray>(array, i), column);
      case type::HALF_FLOAT:
      case type::DECIMAL32:
      case type::DECIMAL64:
      case type::DECIMAL128:
      case type::DECIMAL256:
        return number(std::strtod(printed(array, i, column).get<std::string>().c_str(), nullptr), column);
      case type::STRING:
        return string(view<arrow::StringArray>(array, i), column);
      case type::LARGE_STRING:
        return string(view<arrow::LargeStringArray>(array, i), column);
      case type::STRING_VIEW:
        return string(view<arrow::StringViewArray>(array, i), column);
      case type::BINARY:
        return binary(view<arrow::BinaryArray>(array, i), column);
      case type::LARGE_BINARY:
        return binary(view<arrow::LargeBinaryArray>(array, i), column);
      case type::BINARY_VIEW:
        return binary(view<arrow::BinaryViewArray>(array, i), column);
      case type::FIXED_SIZE_BINARY:
        return binary(view<arrow::FixedSizeBinaryArray>(array, i), column);
      case type::LIST:
        return list_of<arrow::ListArray>(array, i, column);
      case type::LARGE_LIST:
        return list_of<arrow::LargeListArray>(array, i, column);
      case type::FIXED_SIZE_LIST:
        return list_of<arrow::FixedSizeListArray>(array, i, column);
      case type::LIST_VIEW:
        return list_of<arrow::ListViewArray>(array, i, column);
      case type::LARGE_LIST_VIEW:
        return list_of<arrow::LargeListViewArray>(array, i, column);
      case type::STRUCT:
        return object(static_cast<const arrow::StructArray&>(array), i, column);
      case type::MAP:
        return map(static_cast<const arrow::MapArray&>(array), i, column);
      case type::DICTIONARY: {
        const auto& coded = static_cast<const arrow::DictionaryArray&>(array);
        return convert(*coded.dictionary(), coded.GetValueIndex(i), column);
      }
      case type::EXTENSION:
        return convert(*static_cast<const arrow::ExtensionArray&>(array).storage(), i, column);
      default:
        return printed(array, i, column);
    }
  }
};

}  // namespace

bool reads_parquet() { return true; }

std::unique_ptr<value_source> open_parquet_rows(const std::filesystem::path& path, const jsonl_options& options,
                                                const column_choice& columns) {
  std::error_code none;
  if (!std::filesystem::is_regular_file(path, none))
    throw file_error(path.string(), "", "is a Parquet file in a pipe", "give the file itself: its index is at its end");
  return std::make_unique<parquet_rows>(path, options, columns);
}

}  // namespace coho::trainer
