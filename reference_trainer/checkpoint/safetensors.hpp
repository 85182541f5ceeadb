#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <coho/error.hpp>

namespace coho::trainer {

/// Element types of safetensors files, in the order of the format's own list.
enum class tensor_dtype {
  boolean,
  f4,
  f6_e2m3,
  f6_e3m2,
  u8,
  i8,
  f8_e5m2,
  f8_e4m3,
  f8_e8m0,
  i16,
  u16,
  f16,
  bf16,
  i32,
  u32,
  f32,
  c64,
  f64,
  i64,
  u64
};

/// Bits of one element.
std::size_t element_bits(tensor_dtype type) noexcept;
/// The name that the file uses ("BF16").
std::string_view dtype_name(tensor_dtype type) noexcept;
/// The type with this name in a file; nothing if the format has none.
std::optional<tensor_dtype> find_tensor_dtype(std::string_view name) noexcept;

/// Why a safetensors file was rejected; in the order of the checks.
enum class safetensors_fault {
  header_too_small,                ///< the file is shorter than the 8 bytes of the header's length
  header_too_large,                ///< the header is longer than 100,000,000 bytes
  invalid_header_length,           ///< the header would end after the end of the file
  invalid_header,                  ///< the header is not UTF-8
  invalid_header_deserialization,  ///< the header is not the expected JSON, or repeats a key
  invalid_offsets,                 ///< tensors leave a gap, overlap or end before they begin
  validation_overflow,             ///< the shape's number of bits does not fit in 64 bits
  misaligned_slice,                ///< the tensor does not end at a byte boundary
  tensor_invalid_info,             ///< shape and data offsets disagree
  metadata_incomplete_buffer       ///< the tensors do not end at the end of the file
};

/// A `file_error` that says which check failed.
class safetensors_error : public file_error {
 public:
  safetensors_error(safetensors_fault fault, std::string_view path, std::string_view place, std::string_view what,
                    std::string_view mend = {})
      : file_error(path, place, what, mend), fault_(fault) {}
  safetensors_fault fault() const noexcept { return fault_; }

 private:
  safetensors_fault fault_;
};

/// One tensor of a file: row-major bytes, valid as long as the file's `storage` is held.
struct tensor_view {
  tensor_dtype dtype = tensor_dtype::f32;
  std::vector<std::int64_t> shape;  ///< empty: a scalar
  std::span<const std::byte> bytes;
};

/// A safetensors file, memory mapped. Everything is checked at construction, in the order of `safetensors_fault`;
/// memory beyond the mapping is bounded by the header's length. Throws `safetensors_error`, or `file_error` when the
/// file cannot be opened.
///
///     const coho::trainer::safetensors_file file("model.safetensors");
///     const auto& weight = file.at("model.norm.weight");
///     weight.shape;  // {4096}
class safetensors_file {
 public:
  using tensor_map = std::map<std::string, tensor_view, std::less<>>;

  explicit safetensors_file(const std::filesystem::path& path);

  const std::filesystem::path& path() const noexcept { return path_; }
  const tensor_map& tensors() const noexcept { return tensors_; }
  const std::map<std::string, std::string>& metadata() const noexcept { return metadata_; }
  /// Throws `file_error` naming the tensor if it is absent.
  const tensor_view& at(std::string_view name) const;
  bool contains(std::string_view name) const { return tensors_.find(name) != tensors_.end(); }
  /// Keeps the bytes of the tensors alive.
  std::shared_ptr<const void> storage() const noexcept { return storage_; }

 private:
  std::filesystem::path path_;
  std::shared_ptr<const void> storage_;
  tensor_map tensors_;
  std::map<std::string, std::string> metadata_;
};

/// Parses the bytes of a file; `path` is used in messages only. The views point into `bytes`.
void parse_safetensors(std::span<const std::byte> bytes, std::string_view path, safetensors_file::tensor_map& tensors,
                       std::map<std::string, std::string>& metadata);

/// A tensor to be written: row-major bytes that the caller owns.
struct named_tensor {
  std::string name;
  tensor_dtype dtype = tensor_dtype::f32;
  std::vector<std::int64_t> shape;
  std::span<const std::byte> bytes;
};

/// Writes a file atomically: larger element types first, then by name, the header padded with spaces to a multiple of
/// 8. Throws `argument_error` if a name repeats or is reserved, or if shape and bytes disagree.
void write_safetensors(const std::filesystem::path& path, std::span<const named_tensor> tensors,
                       const std::map<std::string, std::string>& metadata = {});

}  // namespace coho::trainer
