#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string>

#if __has_include(<parquet/arrow/writer.h>)

#include <arrow/api.h>
#include <arrow/io/file.h>
#include <arrow/io/memory.h>
#include <arrow/json/api.h>
#include <parquet/arrow/writer.h>
#include <parquet/encryption/encryption.h>
#include <parquet/properties.h>

namespace coho::test {

/// Whether this test was compiled with Arrow, which writes the files. If not, it says so with WARN and returns.
inline constexpr bool writes_parquet = true;

struct parquet_form {
  std::int64_t rows_per_group = 1024;
  parquet::Compression::type compression = parquet::Compression::SNAPPY;
  bool checksums = false, encrypted = false, encrypted_footer = false;
  std::int64_t page_bytes = 1 << 20;
};

template <class Value>
Value require_value(arrow::Result<Value> result) {
  if (!result.ok()) throw std::runtime_error(result.status().ToString());
  return std::move(result).ValueUnsafe();
}
inline void require_ok(const arrow::Status& status) {
  if (!status.ok()) throw std::runtime_error(status.ToString());
}

inline void write_table(const std::filesystem::path& path, const arrow::Table& table, const parquet_form& form = {}) {
  parquet::WriterProperties::Builder properties;
  properties.compression(form.compression)->data_pagesize(form.page_bytes)->max_row_group_length(form.rows_per_group);
  if (form.checksums) properties.enable_page_checksum();
  if (form.encrypted) {
    using arrow::util::SecureString;
    parquet::FileEncryptionProperties::Builder keys{SecureString("0123456789012345")};
    if (!form.encrypted_footer) keys.set_plaintext_footer();
    properties.encryption(keys.build());
  }
  const auto file = require_value(arrow::io::FileOutputStream::Open(path.string()));
  require_ok(parquet::arrow::WriteTable(table, arrow::default_memory_pool(), file, form.rows_per_group,
                                        properties.build(),
                                        parquet::ArrowWriterProperties::Builder().store_schema()->build()));
  require_ok(file->Close());
}

/// Writes the records of a text in JSON Lines as the rows of a Parquet file, with the types that Arrow finds.
inline void write_parquet(const std::filesystem::path& path, const std::string& lines, const parquet_form& form = {}) {
  const auto input = std::make_shared<arrow::io::BufferReader>(arrow::Buffer::FromString(lines));
  const auto reader = require_value(arrow::json::TableReader::Make(arrow::default_memory_pool(), input,
                                                                   arrow::json::ReadOptions::Defaults(),
                                                                   arrow::json::ParseOptions::Defaults()));
  write_table(path, *require_value(reader->Read()), form);
}

}  // namespace coho::test

#else

namespace coho::test {

inline constexpr bool writes_parquet = false;

struct parquet_form {};

inline void write_parquet(const std::filesystem::path&, const std::string&, const parquet_form& = {}) {
  throw std::logic_error("this test was compiled without Arrow");
}

}  // namespace coho::test

#endif
