#include "checkpoint/safetensors.hpp"

#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include <nlohmann/json.hpp>

#include "checkpoint/safetensors_header.hpp"
#include "files/atomic_file.hpp"
#include "files/file_kind.hpp"
#include "files/mapped_file.hpp"
#include "text/utf8.hpp"

namespace coho::trainer {
namespace {

struct dtype_entry {
  std::string_view name;
  std::size_t bits;
};
constexpr std::array<dtype_entry, 20> dtypes{
    {{"BOOL", 8},    {"F4", 4},      {"F6_E2M3", 6}, {"F6_E3M2", 6}, {"U8", 8},   {"I8", 8},    {"F8_E5M2", 8},
     {"F8_E4M3", 8}, {"F8_E8M0", 8}, {"I16", 16},    {"U16", 16},    {"F16", 16}, {"BF16", 16}, {"I32", 32},
     {"U32", 32},    {"F32", 32},    {"C64", 64},    {"F64", 64},    {"I64", 64}, {"U64", 64}}};

constexpr std::uint64_t largest_header = 100'000'000;

/// Bits of a tensor, or nothing on overflow. Dimensions are multiplied in order, so that a zero after an overflow does
/// not hide it.
std::optional<std::uint64_t> bit_count(std::span<const std::uint64_t> shape, tensor_dtype dtype) {
  std::uint64_t count = 1;
  for (const auto dimension : shape) {
    if (dimension > static_cast<std::uint64_t>(INT64_MAX)) return std::nullopt;
    if (__builtin_mul_overflow(count, dimension, &count)) return std::nullopt;
  }
  if (__builtin_mul_overflow(count, static_cast<std::uint64_t>(element_bits(dtype)), &count)) return std::nullopt;
  return count;
}

}  // namespace

std::size_t element_bits(tensor_dtype type) noexcept { return dtypes[static_cast<std::size_t>(type)].bits; }

std::string_view dtype_name(tensor_dtype type) noexcept { return dtypes[static_cast<std::size_t>(type)].name; }

std::optional<tensor_dtype> find_tensor_dtype(std::string_view name) noexcept {
  const auto found = std::ranges::find(dtypes, name, &dtype_entry::name);
  if (found == dtypes.end()) return std::nullopt;
  return static_cast<tensor_dtype>(found - dtypes.begin());
}

void parse_safetensors(std::span<const std::byte> bytes, std::string_view path, safetensors_file::tensor_map& tensors,
                       std::map<std::string, std::string>& metadata) {
  using enum safetensors_fault;
  const std::string_view content(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const auto refuse = [&](safetensors_fault fault, std::string_view place, const std::string& what) {
    if (const auto other = place == "header" ? recognise_file(content, file_use::weights) : std::nullopt)
      throw safetensors_error(fault, path, "", other->what, other->mend);
    throw safetensors_error(fault, path, place, what);
  };

  if (bytes.size() < 8)
    refuse(header_too_small, "header", "the file is shorter than the 8 bytes of the header's length");
  std::uint64_t length = 0;
  for (int i = 7; i >= 0; --i)
    length = (length << 8) | std::to_integer<std::uint64_t>(bytes[static_cast<std::size_t>(i)]);
  if (length > largest_header) {
    refuse(header_too_large, "header",
           "a header of " + std::to_string(length) + " bytes is over the limit of 100000000");
  }
  if (length > bytes.size() - 8) {
    refuse(invalid_header_length, "header", "the header would end after the file; the file is truncated");
  }
  const auto text = bytes.subspan(8, length);
  const std::string_view header(reinterpret_cast<const char*>(text.data()), text.size());
  if (!is_utf8(header)) refuse(invalid_header, "header", "the header is not UTF-8 text");

  std::vector<header_entry> entries;
  if (const auto problem = parse_safetensors_header(header, entries, metadata)) {
    refuse(invalid_header_deserialization, "header", *problem);
  }

  std::ranges::stable_sort(entries, {}, [](const header_entry& entry) { return std::pair(entry.begin, entry.end); });
  const auto data = bytes.subspan(8 + length);
  std::uint64_t position = 0;
  for (auto& entry : entries) {
    const auto place = "tensor " + entry.name;
    if (entry.begin != position || entry.end < entry.begin) {
      refuse(invalid_offsets, place,
             "its bytes [" + std::to_string(entry.begin) + ", " + std::to_string(entry.end) +
                 ") do not begin at the end of the previous tensor, " + std::to_string(position));
    }
    position = entry.end;
    const auto bits = bit_count(entry.shape, entry.dtype);
    if (!bits) refuse(validation_overflow, place, "its shape has more elements than fit in memory");
    if (*bits % 8 != 0) refuse(misaligned_slice, place, "it does not end at a byte boundary");
    if (*bits / 8 != entry.end - entry.begin) {
      refuse(tensor_invalid_info, place,
             "its shape needs " + std::to_string(*bits / 8) + " bytes but its offsets span " +
                 std::to_string(entry.end - entry.begin));
    }
  }
  if (position != data.size()) {
    refuse(metadata_incomplete_buffer, "data",
           "the tensors take " + std::to_string(position) + " bytes but the file has " + std::to_string(data.size()) +
               " after the header");
  }
  for (auto& entry : entries) {
    tensors.emplace(std::move(entry.name), tensor_view{entry.dtype,
                                                       {entry.shape.begin(), entry.shape.end()},
                                                       data.subspan(entry.begin, entry.end - entry.begin)});
  }
}

safetensors_file::safetensors_file(const std::filesystem::path& path) : path_(path) {
  auto file = std::make_shared<const mapped_file>(path);
  parse_safetensors(file->bytes(), path.string(), tensors_, metadata_);
  storage_ = std::move(file);
}

const tensor_view& safetensors_file::at(std::string_view name) const {
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) throw file_error(path_.string(), "tensor " + std::string(name), "is not in the file");
  return found->second;
}

void write_safetensors(const std::filesystem::path& path, std::span<const named_tensor> tensors,
                       const std::map<std::string, std::string>& metadata) {
  std::vector<const named_tensor*> order;
  std::set<std::string_view> names;
  for (const auto& tensor : tensors) {
    require_argument(tensor.name != "__metadata__", "write_safetensors: the name __metadata__ is reserved");
    require_argument(names.insert(tensor.name).second, "write_safetensors: two tensors are named " + tensor.name);
    require_argument(std::ranges::none_of(tensor.shape, [](auto d) { return d < 0; }),
                     "write_safetensors: negative dimension in " + tensor.name);
    const std::vector<std::uint64_t> shape(tensor.shape.begin(), tensor.shape.end());
    const auto bits = bit_count(shape, tensor.dtype);
    require_argument(bits && *bits % 8 == 0 && *bits / 8 == tensor.bytes.size(),
                     "write_safetensors: shape and bytes of " + tensor.name + " disagree");
    order.push_back(&tensor);
  }
  std::ranges::sort(order, [](const named_tensor* a, const named_tensor* b) {
    const auto left = element_bits(a->dtype), right = element_bits(b->dtype);
    return left != right ? left > right : a->name < b->name;
  });

  // Written by hand, because a JSON library would sort the keys of each entry.
  const auto quoted = [](const std::string& text) { return nlohmann::json(text).dump(); };
  std::string header = "{";
  if (!metadata.empty()) header += "\"__metadata__\":" + nlohmann::json(metadata).dump() + ",";
  std::uint64_t position = 0;
  for (const auto* tensor : order) {
    const auto end = position + tensor->bytes.size();
    header += quoted(tensor->name) + ":{\"dtype\":\"" + std::string(dtype_name(tensor->dtype)) +
              "\",\"shape\":" + nlohmann::json(tensor->shape).dump() + ",\"data_offsets\":[" +
              std::to_string(position) + "," + std::to_string(end) + "]},";
    position = end;
  }
  if (header.back() == ',') header.pop_back();
  header += "}";
  header.resize((header.size() + 7) / 8 * 8, ' ');

  std::array<std::byte, 8> length{};
  for (std::size_t i = 0; i < 8; ++i) length[i] = static_cast<std::byte>(header.size() >> (8 * i));
  atomic_file file(path);
  file.write(length);
  file.write(header);
  for (const auto* tensor : order) file.write(tensor->bytes);
  file.commit();
}

}  // namespace coho::trainer
