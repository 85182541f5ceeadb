#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>

#include <ATen/ATen.h>

#include "checkpoint/safetensors.hpp"

namespace coho::trainer {

using tensor_map = std::map<std::string, at::Tensor>;

/// The torch element type of a file's, and the reverse. Throw `argument_error` naming a type that the other side lacks.
at::ScalarType to_scalar_type(tensor_dtype type);
tensor_dtype to_tensor_dtype(at::ScalarType type);

/// A shape as messages write it: "[64, 128]".
std::string shape_text(at::IntArrayRef shape);

/// A CPU tensor over the bytes of `view`, without a copy; `keep_alive` is held until the last such tensor is gone.
/// Bytes that are not aligned for their type are copied.
at::Tensor tensor_from_view(const tensor_view& view, std::shared_ptr<const void> keep_alive);

/// One tensor of a file, zero-copy. Its pages are released with it, so a file can be read tensor by tensor in the
/// memory of one. Throws `file_error` naming the tensor if its type has no torch counterpart.
at::Tensor read_tensor(const safetensors_file& file, std::string_view name);

/// All tensors of a file, zero-copy: the mapping lives as long as any of them.
///
///     const auto tensors = coho::trainer::read_tensors("adapter_model.safetensors");
tensor_map read_tensors(const std::filesystem::path& path);

/// Moves a tensor of a checkpoint out of the map. Throws `argument_error` if it is missing or has another shape.
at::Tensor extract_tensor(tensor_map& tensors, const std::string& name, at::IntArrayRef shape);

/// Writes tensors of any device and layout atomically and row-major. Throws `argument_error` for an undefined tensor or
/// a type that the format lacks.
void write_tensors(const std::filesystem::path& path, const tensor_map& tensors,
                   const std::map<std::string, std::string>& metadata = {});

}  // namespace coho::trainer
