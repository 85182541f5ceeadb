#include "checkpoint/base_fingerprint.hpp"

#include <algorithm>
#include <cstdint>

#include <nlohmann/json.hpp>

#include <coho/error.hpp>

#include "checkpoint/fnv1a_hash.hpp"
#include "checkpoint/hf_names.hpp"
#include "files/json_file.hpp"

namespace coho::trainer {
namespace {

constexpr std::int64_t stretches = 64, stretch = 64;  // of a large tensor: their number, and values in each

/// Hashes values as stored if they are bytes, rounded to bf16 otherwise.
void add_values(fnv1a_hash& out, const at::Tensor& values) {
  const auto type = values.scalar_type() == at::kByte ? at::kByte : at::kBFloat16;
  const at::Tensor rounded = values.to(at::kCPU, type).contiguous();
  out.add(rounded.data_ptr(), rounded.nbytes());
}

/// Hashes a tensor's name, shape and values, or the evenly spaced stretches of a large one.
void add_tensor(fnv1a_hash& out, const std::string& name, const at::Tensor& tensor) {
  out.add(name);
  for (const std::int64_t size : tensor.sizes()) out.add(std::to_string(size));
  const at::Tensor flat = tensor.reshape({-1});
  const std::int64_t count = flat.numel();
  if (count <= stretches * stretch) return add_values(out, flat);
  // Not count · i / stretches, which could overflow.
  const std::int64_t step = (count - stretch) / (stretches - 1);
  for (std::int64_t i = 0; i < stretches; ++i) add_values(out, flat.narrow(0, step * i, stretch));
}

}  // namespace

base_fingerprint compute_base_fingerprint(const hf_checkpoint& checkpoint) {
  base_fingerprint out;
  fnv1a_hash rest, linears;
  for (const auto& [name, tensor] : checkpoint.tensors) {
    if (name == "lm_head.weight") {
      fnv1a_hash head;
      add_tensor(head, name, tensor);
      out.head = head.hexadecimal();
    }
    if (name == "lm_head.weight" || name == "score.weight") continue;
    const auto linear = name.find("_proj.weight");
    if (!is_layer_linear(name.substr(0, linear == std::string::npos ? linear : linear + 12))) {
      add_tensor(rest, name, tensor);
    } else if (is_layer_linear(name)) {
      out.packed = out.packed || tensor.scalar_type() == at::kByte;
      add_tensor(linears, name, tensor);
    } else if (name.ends_with("absmax")) {  // of codes, and of absmax itself if that is quantised
      add_tensor(linears, name, tensor);
    }
  }
  out.rest = rest.hexadecimal();
  out.linears = linears.hexadecimal();
  return out;
}

std::string differing_parts(const base_fingerprint& a, const base_fingerprint& b) {
  std::string out;
  const auto add = [&](bool differs, const char* part) {
    if (differs) out += (out.empty() ? "" : ", ") + std::string(part);
  };
  add(a.rest != b.rest, "embedding, norms or biases");
  add(a.packed == b.packed && a.linears != b.linears, "linears");
  add(!a.head.empty() && !b.head.empty() && a.head != b.head, "head");
  return out;
}

std::optional<stored_fingerprint> read_fingerprint(const std::filesystem::path& adapter) {
  const auto path = adapter / fingerprint_file;
  std::error_code none;
  if (!std::filesystem::exists(path, none)) return std::nullopt;
  const auto json = read_json(path);
  const auto text = [&](const char* field) {
    if (!json.is_object() || !json.contains(field) || !json[field].is_string())
      throw file_error(path.string(), field, "is missing or not a string",
                       "remove this file, or train the adapter again");
    return json[field].get<std::string>();
  };
  return stored_fingerprint{
      {text("rest"), text("linears"), text("head"), json.value("packed", nlohmann::json()) == true},
      text("base_model")};
}

void write_fingerprint(const std::filesystem::path& adapter, const base_fingerprint& fingerprint,
                       const std::string& base_model) {
  write_json(adapter / fingerprint_file, {{"base_model", base_model},
                                          {"rest", fingerprint.rest},
                                          {"linears", fingerprint.linears},
                                          {"head", fingerprint.head},
                                          {"packed", fingerprint.packed}});
}

}  // namespace coho::trainer
