#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace coho::trainer {

/// What a file was opened as, which decides the remedy.
enum class file_use {
  records,    ///< data: JSON Lines, gzip and zstd included; Parquet
  document,   ///< one JSON value: config.json, principles
  weights,    ///< safetensors
  tokenizer,  ///< a sentencepiece model
  text,       ///< templates, recipes
};

/// What a file turned out to be, as an error says it.
struct file_kind {
  std::string what;  ///< "is a Parquet file"
  std::string mend;  ///< "export it as JSON Lines (for example with pandas' to_json)"
};

/// The format of a file that cannot be read as what it was opened for, from its first bytes: Git LFS pointers, Parquet,
/// Arrow, Feather, archives and compressed files, pickles, GGUF, UTF-16 and UTF-32, web pages and similar. Nothing for
/// an unknown format, and for the expected one.
///
///     recognise_file("PAR1\x15…", file_use::document)->what;  // "is a Parquet file"
std::optional<file_kind> recognise_file(std::string_view beginning, file_use use);

/// The same for text that is known not to be JSON: comma- or tab-separated values, YAML, XML, a Markdown fence.
std::optional<file_kind> recognise_text(std::string_view beginning);

/// Throws `file_error` with the mend when a file that begins with `beginning` has a format that `recognise_file` knows.
void refuse_other_kinds(std::string_view path, std::string_view beginning, file_use use);

}  // namespace coho::trainer
