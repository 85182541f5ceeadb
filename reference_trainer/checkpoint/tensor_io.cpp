#include "checkpoint/tensor_io.hpp"

#include <array>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "files/mapped_file.hpp"

namespace coho::trainer {
namespace {

constexpr std::array<std::pair<tensor_dtype, at::ScalarType>, 11> types{{{tensor_dtype::boolean, at::kBool},
                                                                         {tensor_dtype::u8, at::kByte},
                                                                         {tensor_dtype::i8, at::kChar},
                                                                         {tensor_dtype::i16, at::kShort},
                                                                         {tensor_dtype::f16, at::kHalf},
                                                                         {tensor_dtype::bf16, at::kBFloat16},
                                                                         {tensor_dtype::i32, at::kInt},
                                                                         {tensor_dtype::f32, at::kFloat},
                                                                         {tensor_dtype::c64, at::kComplexFloat},
                                                                         {tensor_dtype::f64, at::kDouble},
                                                                         {tensor_dtype::i64, at::kLong}}};

}  // namespace

at::ScalarType to_scalar_type(tensor_dtype type) {
  for (const auto& [file, torch] : types) {
    if (file == type) return torch;
  }
  throw argument_error("the element type " + std::string(dtype_name(type)) + " is not supported");
}

// Throws argument_error for a type that safetensors files have no name for.
tensor_dtype to_tensor_dtype(at::ScalarType type) {
  for (const auto& [file, torch] : types) {
    if (torch == type) return file;
  }
  throw argument_error(std::string("tensors of type ") + at::toString(type) + " cannot be stored");
}

namespace {

// Zero-copy if the bytes are aligned for their type; `deleter` then runs when the last tensor over them is gone.
at::Tensor wrap_bytes(const tensor_view& view, const std::function<void(void*)>& deleter) {
  const auto type = to_scalar_type(view.dtype);
  const auto options = at::TensorOptions().dtype(type);
  if (view.bytes.empty()) return at::empty(view.shape, options);
  auto* const data = const_cast<std::byte*>(view.bytes.data());  // the mapping is private and writable
  const auto element = at::elementSize(type);
  if (reinterpret_cast<std::uintptr_t>(data) % element != 0) {
    auto copy = at::empty(view.shape, options);
    std::copy(view.bytes.begin(), view.bytes.end(), static_cast<std::byte*>(copy.data_ptr()));
    return copy;
  }
  return at::from_blob(data, view.shape, deleter, options);
}

}  // namespace

std::string shape_text(at::IntArrayRef shape) {
  std::string text = "[";
  for (const auto size : shape) text += (text.size() > 1 ? ", " : "") + std::to_string(size);
  return text + "]";
}

at::Tensor tensor_from_view(const tensor_view& view, std::shared_ptr<const void> keep_alive) {
  return wrap_bytes(view, [keep = std::move(keep_alive)](void*) {});
}

at::Tensor read_tensor(const safetensors_file& file, std::string_view name) {
  const auto& view = file.at(name);
  try {
    return wrap_bytes(view, [keep = file.storage(), part = view.bytes](void*) { mapped_file::release(part); });
  } catch (const argument_error& problem) {
    throw file_error(file.path().string(), "tensor " + std::string(name), problem.what());
  }
}

tensor_map read_tensors(const std::filesystem::path& path) {
  const safetensors_file file(path);
  tensor_map tensors;
  for (const auto& entry : file.tensors()) tensors.emplace(entry.first, read_tensor(file, entry.first));
  return tensors;
}

at::Tensor extract_tensor(tensor_map& tensors, const std::string& name, at::IntArrayRef shape) {
  const auto found = tensors.find(name);
  require_argument(found != tensors.end(), "the checkpoint has no tensor " + name);
  const at::Tensor tensor = std::move(found->second);
  tensors.erase(found);
  require_argument(tensor.sizes() == shape, "tensor " + name + " has shape " + shape_text(tensor.sizes()) +
                                                ", but the config requires " + shape_text(shape));
  return tensor;
}

void write_tensors(const std::filesystem::path& path, const tensor_map& tensors,
                   const std::map<std::string, std::string>& metadata) {
  std::vector<at::Tensor> rows;  // holds the copies of tensors that are not row-major on the CPU
  std::vector<named_tensor> entries;
  for (const auto& [name, tensor] : tensors) {
    require_argument(tensor.defined(), "write_tensors: tensor " + name + " is undefined");
    rows.push_back(tensor.detach().to(at::kCPU).contiguous());
    const auto& row = rows.back();
    const auto size = static_cast<std::size_t>(row.numel()) * row.element_size();
    entries.push_back({name,
                       to_tensor_dtype(row.scalar_type()),
                       row.sizes().vec(),
                       {static_cast<const std::byte*>(row.data_ptr()), size}});
  }
  write_safetensors(path, entries, metadata);
}

}  // namespace coho::trainer
