#include "files/file_kind.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdint>

#include <coho/error.hpp>

namespace coho::trainer {
namespace {

using namespace std::string_view_literals;

enum class remedy_kind { lfs, parquet, encrypted, columns, unpack_archive, unpack, pickle, gguf, other };

struct signature {
  std::string_view bytes, what;
  remedy_kind mend;
};

// Longer signatures before their own prefixes.
constexpr std::array signatures{
    signature{"PAR1"sv, "is a Parquet file", remedy_kind::parquet},
    signature{"PARE"sv, "is an encrypted Parquet file", remedy_kind::encrypted},
    signature{"ARROW1"sv, "is an Arrow file", remedy_kind::columns},
    signature{"FEA1"sv, "is a Feather file", remedy_kind::columns},
    signature{"\xFF\xFF\xFF\xFF"sv, "is an Arrow stream, the format of Hugging Face's datasets", remedy_kind::columns},
    signature{"PK\x03\x04"sv, "is a zip archive", remedy_kind::unpack_archive},
    signature{"PK\x05\x06"sv, "is an empty zip archive", remedy_kind::unpack_archive},
    signature{"7z\xBC\xAF\x27\x1C"sv, "is a 7z archive", remedy_kind::unpack_archive},
    signature{"\x1F\x8B"sv, "is compressed with gzip", remedy_kind::unpack},
    signature{"\x28\xB5\x2F\xFD"sv, "is compressed with zstd", remedy_kind::unpack},
    signature{"\xFD\x37zXZ\x00"sv, "is compressed with xz", remedy_kind::unpack},
    signature{"\x04\x22\x4D\x18"sv, "is compressed with lz4", remedy_kind::unpack},
    signature{"GGUF"sv, "is a GGUF file (llama.cpp's)", remedy_kind::gguf},
    signature{"lmgg"sv, "is a GGML file (llama.cpp's older format)", remedy_kind::gguf},
    signature{"tjgg"sv, "is a GGML file (llama.cpp's older format)", remedy_kind::gguf},
    signature{"\x93NUMPY"sv, "is a NumPy array", remedy_kind::other},
    signature{"\x89HDF"sv, "is an HDF5 file", remedy_kind::other},
    signature{"SQLite format 3"sv, "is a SQLite database", remedy_kind::columns},
    signature{"Obj\x01"sv, "is an Avro file", remedy_kind::columns},
    signature{"%PDF"sv, "is a PDF document", remedy_kind::other},
};

// Protocols 2 to 5, and the format that PyTorch wrote before 1.6.
bool is_pickle(std::string_view bytes) {
  return bytes.size() > 1 && bytes[0] == '\x80' && bytes[1] >= 2 && bytes[1] <= 5;
}

// The signature of POSIX and GNU archives, after the name and mode of the first member.
bool is_tar(std::string_view bytes) { return bytes.size() > 262 && bytes.substr(257, 5) == "ustar"; }

// "BZh" and a level from 1 to 9.
bool is_bzip2(std::string_view bytes) {
  return bytes.size() > 3 && bytes.starts_with("BZh") && bytes[3] >= '1' && bytes[3] <= '9';
}

// "UTF-16" or "UTF-32", by the byte order mark or else by where the zero bytes of the first eight are.
std::optional<std::string> wide_encoding(std::string_view bytes) {
  if (bytes.starts_with("\xFF\xFE\0\0"sv) || bytes.starts_with("\0\0\xFE\xFF"sv)) return "UTF-32";
  if (bytes.starts_with("\xFF\xFE") || bytes.starts_with("\xFE\xFF")) return "UTF-16";
  // Without a byte order mark: text begins with two ASCII characters.
  std::string shape;
  for (const char c : bytes.substr(0, 8)) shape += c == '\0' ? '0' : c >= '\t' && c < 0x7F ? 'a' : '?';
  if (shape == "a000a000" || shape == "000a000a") return "UTF-32";
  if (shape.starts_with("a0a0") || shape.starts_with("0a0a")) return "UTF-16";
  return std::nullopt;
}

// After a byte order mark and ASCII white space.
std::string_view skip_leading_space(std::string_view text) {
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  text.remove_prefix(std::min(text.find_first_not_of(" \t\r\n"), text.size()));
  return text;
}

// ASCII only; `lower` is in lower case.
bool starts_with_ignoring_case(std::string_view text, std::string_view lower) {
  return text.size() >= lower.size() && std::ranges::equal(text.substr(0, lower.size()), lower, [](char a, char b) {
           return std::tolower(static_cast<unsigned char>(a)) == b;
         });
}

// What a download writes in place of the file when a login is needed or the address is wrong.
bool is_web_page(std::string_view bytes) {
  const auto text = skip_leading_space(bytes);
  return std::ranges::any_of(std::array{"<!doctype html"sv, "<html"sv, "<head"sv, "<!doctype error"sv},
                             [&](std::string_view tag) { return starts_with_ignoring_case(text, tag); });
}

// "is a Git LFS pointer to 123 bytes", for a file that begins like this:
// "version https://git-lfs.github.com/spec/v1\noid sha256:…\nsize 123\n"
std::optional<std::string> describe_lfs_pointer(std::string_view bytes) {
  if (!bytes.starts_with("version https://git-lfs.github.com/spec/")) return std::nullopt;
  std::string out = "is a Git LFS pointer";
  if (const auto at = bytes.find("\nsize "); at != std::string_view::npos) {
    const auto digits = bytes.substr(at + 6, bytes.substr(at + 6, 20).find_first_not_of("0123456789"));
    if (!digits.empty()) out += " to " + std::string(digits) + " bytes";
  }
  return out;
}

// The tokenizer of LLaMA 3 and of OpenAI: base64, a space, a number on each line.
bool is_tiktoken(std::string_view bytes) {
  const auto line = bytes.substr(0, bytes.find('\n'));
  const auto space = line.find(' ');
  if (space == std::string_view::npos || space == 0 || space + 1 == line.size() || line.size() == bytes.size())
    return false;
  const auto base64 = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '+' || c == '/' || c == '=';
  };
  return std::ranges::all_of(line.substr(0, space), base64) && space % 4 == 0 &&
         line.find_first_not_of("0123456789\r", space + 1) == std::string_view::npos;
}

// Eight bytes of the length of a JSON header (at most 100 MB, as the library allows), then the header, which describes
// tensors.
bool is_safetensors(std::string_view bytes) {
  if (bytes.size() <= 9 || (bytes[8] != '{' && bytes[8] != ' ')) return false;
  std::uint64_t length = 0;
  for (std::size_t i = 8; i-- > 0;) length = (length << 8) | static_cast<unsigned char>(bytes[i]);
  return length > 1 && length <= 100'000'000 && bytes.find("\"dtype\"") != std::string_view::npos;
}

// What a file of this use must be, as the remedy "give …" names it.
std::string expected_format(file_use use) {
  return use == file_use::records     ? "JSON Lines"
         : use == file_use::document  ? "JSON"
         : use == file_use::weights   ? "safetensors"
         : use == file_use::tokenizer ? "a sentencepiece tokenizer.model"
                                      : "text in UTF-8";
}

// The mend of the error: it depends on what the file was opened as.
std::string remedy_text(remedy_kind mend, file_use use) {
  const bool text = use == file_use::records || use == file_use::document || use == file_use::text;
  switch (mend) {
    case remedy_kind::lfs:
      return "fetch them with `git lfs pull`, or download it";
    case remedy_kind::parquet:
      // As records they are read, by their first bytes.
      if (use == file_use::records) return "unpack it: Parquet has its own compression";
      return text ? "export it as JSON" : "give " + expected_format(use);
    case remedy_kind::encrypted:
      if (use == file_use::records) return "write it again without encryption";
      return "give " + expected_format(use);
    case remedy_kind::columns:
      return text ? "export it as JSON Lines (for example with pandas' to_json)" : "give " + expected_format(use);
    case remedy_kind::unpack_archive:
      return use == file_use::weights
                 ? "if it is a PyTorch checkpoint, convert it once in Python, if you trust it "
                   "(save_pretrained(folder, safe_serialization=True)); otherwise unpack it and give the file inside"
                 : "unpack it and give the file inside";
    case remedy_kind::unpack:
      return use == file_use::records ? "unpack it; gzip and zstd are the compressions that are read" : "unpack it";
    case remedy_kind::pickle:
      return use == file_use::weights ? "convert it once in Python, if you trust it: load it with transformers and "
                                        "call save_pretrained(folder, safe_serialization=True)"
                                      : "write its content as " + expected_format(use) + " in Python, if you trust it";
    case remedy_kind::gguf:
      return "give the folder of the Hugging Face checkpoint it was made from";
    case remedy_kind::other:
      break;
  }
  return "give " + expected_format(use);
}

file_kind make_kind(std::string what, remedy_kind mend, file_use use) {
  return {std::move(what), remedy_text(mend, use)};
}

}  // namespace

std::optional<file_kind> recognise_file(std::string_view bytes, file_use use) {
  if (auto pointer = describe_lfs_pointer(bytes)) return make_kind(std::move(*pointer), remedy_kind::lfs, use);
  for (const auto& known : signatures) {
    if (bytes.starts_with(known.bytes)) return make_kind(std::string(known.what), known.mend, use);
  }
  if (is_bzip2(bytes)) return make_kind("is compressed with bzip2", remedy_kind::unpack, use);
  if (is_tar(bytes)) return make_kind("is a tar archive", remedy_kind::unpack_archive, use);
  if (is_pickle(bytes))
    return make_kind("is a pickle, which can run code when opened, so it is not read", remedy_kind::pickle, use);
  if (use != file_use::weights) {
    if (is_safetensors(bytes)) return make_kind("is a safetensors file", remedy_kind::other, use);
    if (const auto wide = wide_encoding(bytes)) return file_kind{"is text in " + *wide, "save it as UTF-8"};
  }
  if (use != file_use::text && is_web_page(bytes))
    return file_kind{"is a web page (HTML) instead of the file: the download failed",
                     "download it again; on the Hugging Face hub the address of a file contains /resolve/, and models "
                     "with a licence need a login"};
  constexpr const char* needed = "use the model's tokenizer.json, or a sentencepiece tokenizer.model";
  if (use == file_use::tokenizer && is_tiktoken(bytes))
    return file_kind{"is a tiktoken tokenizer (base64 pieces and ranks, as in Llama 3), which is not supported",
                     needed};
  if (use == file_use::tokenizer && skip_leading_space(bytes).starts_with('{'))
    return file_kind{"is a JSON tokenizer", "name it tokenizer.json, or use a sentencepiece tokenizer.model"};
  if (use == file_use::weights && skip_leading_space(bytes).starts_with('{'))
    return file_kind{"is a JSON document", "give " + expected_format(use)};
  return std::nullopt;
}

std::optional<file_kind> recognise_text(std::string_view text) {
  text = skip_leading_space(text);
  const auto line = text.substr(0, text.find('\n'));
  if (line.starts_with('{') || line.starts_with('[')) return std::nullopt;
  if (line.starts_with("---") || line.starts_with("- ")) return file_kind{"is YAML", "export it as JSON Lines"};
  if (line.starts_with("```")) return file_kind{"begins with a Markdown fence", "remove the lines of the fence"};
  if (line.starts_with('<')) return file_kind{"is XML or HTML", "export it as JSON Lines"};
  const bool commas = line.find(',') != std::string_view::npos, tabs = line.find('\t') != std::string_view::npos;
  if (!commas && !tabs) return std::nullopt;
  return file_kind{
      tabs ? "seems to be a table of tab-separated values" : "seems to be a table of comma-separated values (CSV)",
      "export it as JSON Lines (pandas: read_csv, to_json)"};
}

void refuse_other_kinds(std::string_view path, std::string_view beginning, file_use use) {
  if (const auto other = recognise_file(beginning, use)) throw file_error(path, "", other->what, other->mend);
}

}  // namespace coho::trainer
