#include "checkpoint/bitsandbytes.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <utility>

#include <nlohmann/json.hpp>

#include <coho/error.hpp>

#include "checkpoint/tensor_io.hpp"
#include "files/json_text.hpp"
#include "kernels/cpu/nf4_kernels.hpp"

namespace coho::trainer {
namespace {

constexpr const char* state_suffix = ".quant_state.bitsandbytes__nf4";
constexpr std::array<const char*, 3> nested_fields{"nested_blocksize", "nested_dtype", "nested_offset"};
constexpr std::array<std::pair<const char*, at::ScalarType>, 3> types{
    {{"float32", at::kFloat}, {"bfloat16", at::kBFloat16}, {"float16", at::kHalf}}};

/// The weight `name` among a checkpoint's tensors.
class nf4_reader {
 public:
  nf4_reader(const std::map<std::string, at::Tensor>& tensors, std::string name,
             const std::vector<std::int64_t>& expected, std::string_view path)
      : tensors_(tensors), name_(std::move(name)), expected_(expected), path_(path) {}

  /// Checks all parts; the values of fp32 absmax, the only large part that is read, only with `check_absmax`.
  nf4_tensor read(bool check_absmax) {
    read_state();
    nf4_tensor w;
    w.shape = expected_;
    w.type = weight_type();
    w.block_size = positive_integer("blocksize");
    if (w.block_size % 32 != 0) refuse_field("blocksize", "must be a positive multiple of 32");
    check_shape();
    const std::int64_t n = w.numel(), blocks = w.blocks();
    const bool nested = is_double_quantized();
    w.codes = require_tensor("", at::kByte, {(n + 1) / 2, 1});
    check_quant_map();
    w.absmax = require_tensor(".absmax", nested ? at::kByte : at::kFloat, {blocks});
    if (!nested) {
      if (check_absmax) require_finite(".absmax", w.absmax);
      return w;
    }
    w.nested_block_size = positive_integer("nested_blocksize");
    if (string_field("nested_dtype") != "float32") refuse_field("nested_dtype", "must be float32");
    const auto& offset = require_field("nested_offset");
    if (!offset.is_number() || !std::isfinite(static_cast<float>(offset.get<double>()))) {
      refuse_field("nested_offset", "must be a finite number");
    }
    w.nested_offset = static_cast<float>(offset.get<double>());
    // Not (blocks + size − 1) / size, which a file could make overflow.
    const std::int64_t nested_blocks = blocks / w.nested_block_size + (blocks % w.nested_block_size != 0 ? 1 : 0);
    w.nested_block_size = std::min(w.nested_block_size, std::max<std::int64_t>(blocks, 256));
    w.nested_absmax = require_tensor(".nested_absmax", at::kFloat, {nested_blocks});
    w.nested_map = require_tensor(".nested_quant_map", at::kFloat, {256});
    require_finite(".nested_absmax", w.nested_absmax);
    require_finite(".nested_quant_map", w.nested_map);
    return w;
  }

 private:
  // Throws file_error about the tensor of that suffix.
  [[noreturn]] void refuse(const std::string& suffix, const std::string& what, std::string_view mend = {}) const {
    throw file_error(path_, "tensor " + name_ + suffix, what, mend);
  }
  // Throws file_error about a field of the quantisation state.
  [[noreturn]] void refuse_field(const std::string& key, const std::string& what) const {
    refuse(state_suffix, "the field " + key + " " + what);
  }

  // The tensor of that suffix of this weight; null if the file lacks it.
  const at::Tensor* find(const std::string& suffix) const {
    const auto found = tensors_.find(name_ + suffix);
    return found == tensors_.end() || !found->second.defined() ? nullptr : &found->second;
  }

  /// The part with this suffix; refuses a missing one and another type or shape.
  at::Tensor require_tensor(const std::string& suffix, at::ScalarType type,
                            const std::vector<std::int64_t>& shape) const {
    const at::Tensor* tensor = find(suffix);
    if (!tensor) refuse(suffix, "is missing, but NF4 needs it");
    if (tensor->scalar_type() != type) {
      refuse(suffix,
             std::string("is of type ") + at::toString(tensor->scalar_type()) + " and not " + at::toString(type));
    }
    if (tensor->sizes() != at::IntArrayRef(shape)) {
      refuse(suffix, "is of shape " + shape_text(tensor->sizes()) + ", but the weight's " + shape_text(expected_) +
                         " needs " + shape_text(shape));
    }
    return tensor->contiguous();
  }

  void require_finite(const std::string& suffix, const at::Tensor& tensor) const {
    if (!at::isfinite(tensor).all().item<bool>()) refuse(suffix, "holds values that are not finite");
  }

  /// Parses the JSON of the quantisation state.
  void read_state() {
    const at::Tensor* state = find(state_suffix);
    if (!state) {
      if (find(".quant_state.bitsandbytes__fp4")) {
        refuse("", "is quantised to FP4, which is not supported", "quantise it with quant_type \"nf4\"");
      }
      refuse(state_suffix, "is missing, but NF4 needs it");
    }
    if (state->scalar_type() != at::kByte) refuse(state_suffix, "is not of type Byte");
    const at::Tensor bytes = state->to(at::kCPU).contiguous();
    const std::string_view content(reinterpret_cast<const char*>(bytes.data_ptr<std::uint8_t>()),
                                   static_cast<std::size_t>(bytes.numel()));
    if (const auto fault = parse_json(content, state_))
      refuse(state_suffix, "is not a JSON document: byte " + std::to_string(fault->byte) +
                               (fault->what.empty() ? "" : ", " + fault->what));
    if (!state_.is_object()) refuse(state_suffix, "is not a JSON object");
    if (const auto type = string_field("quant_type"); type != "nf4")
      refuse_field("quant_type", "is \"" + type + "\", not nf4");
  }

  /// A field of the quantisation state; refuses a missing one.
  const nlohmann::json& require_field(const std::string& key) const {
    const auto found = state_.find(key);
    if (found == state_.end() || found->is_null()) refuse_field(key, "is missing");
    return *found;
  }
  std::string string_field(const std::string& key) const {
    if (!require_field(key).is_string()) refuse_field(key, "must be a string");
    return require_field(key).get<std::string>();
  }
  /// A field that is a size: bounded, so that sums of sizes do not overflow.
  std::int64_t positive_integer(const std::string& key) const {
    const auto& value = require_field(key);
    if (!value.is_number_integer() || value < 1 || value > std::int64_t{1} << 40) {
      refuse_field(key, "must be a positive whole number");
    }
    return value.get<std::int64_t>();
  }

  /// The type of the weight before quantisation.
  at::ScalarType weight_type() const {
    const auto given = string_field("dtype");
    for (const auto& [name, type] : types) {
      if (given == name) return type;
    }
    refuse_field("dtype", "is \"" + given + "\", not float32, bfloat16 or float16");
  }

  /// The stored shape must be that of the model's configuration.
  void check_shape() const {
    const auto& given = require_field("shape");
    if (!given.is_array()) refuse_field("shape", "must be a list of whole numbers");
    for (const auto& size : given) {
      if (!size.is_number_integer()) refuse_field("shape", "must be a list of whole numbers");
    }
    if (given != nlohmann::json(expected_)) {
      refuse_field("shape", "is " + given.dump() + ", but the model needs " + shape_text(expected_));
    }
  }

  /// Whether absmax is quantised too, by its type; the other tensors and fields of double quantisation must agree.
  bool is_double_quantized() const {
    const at::Tensor* absmax = find(".absmax");
    if (!absmax) refuse(".absmax", "is missing, but NF4 needs it");
    const bool nested = absmax->scalar_type() == at::kByte;
    for (const char* suffix : {".nested_absmax", ".nested_quant_map"}) {
      if (nested && !find(suffix)) refuse(suffix, "is missing, though absmax is quantised");
      if (!nested && find(suffix)) refuse(suffix, "is given, though absmax is not quantised");
    }
    for (const char* key : nested_fields) {
      const bool given = state_.contains(key) && !state_[key].is_null();
      if (nested && !given) refuse_field(key, "is missing, though absmax is quantised");
      if (!nested && given) refuse_field(key, "is given, though absmax is not quantised");
    }
    return nested;
  }

  /// The 16 stored values must be NF4's, up to the rounding of a decimal text.
  void check_quant_map() const {
    const at::Tensor map = require_tensor(".quant_map", at::kFloat, {16}).to(at::kCPU);
    const float* given = map.data_ptr<float>();
    for (std::size_t i = 0; i < cpu::nf4_values.size(); ++i) {
      if (!(std::abs(given[i] - cpu::nf4_values[i]) <= 1e-6F)) {
        refuse(".quant_map", "does not contain the values of NF4: value " + std::to_string(i) + " is " +
                                 std::to_string(given[i]) + " and not " + std::to_string(cpu::nf4_values[i]));
      }
    }
  }

  const std::map<std::string, at::Tensor>& tensors_;
  std::string name_;
  const std::vector<std::int64_t>& expected_;
  std::string path_;
  nlohmann::json state_;
};

}  // namespace

nf4_tensor read_nf4(const std::map<std::string, at::Tensor>& tensors, const std::string& name,
                    const std::vector<std::int64_t>& expected, std::string_view path) {
  return nf4_reader(tensors, name, expected, path).read(/*check_absmax=*/true);
}

void check_nf4(const std::map<std::string, at::Tensor>& tensors, const std::string& name,
               const std::vector<std::int64_t>& expected, std::string_view path) {
  nf4_reader(tensors, name, expected, path).read(/*check_absmax=*/false);
}

std::map<std::string, at::Tensor> nf4_tensors(const std::string& name, const nf4_tensor& weight) {
  weight.check();
  std::map<std::string, at::Tensor> tensors{{name, weight.codes.reshape({-1, 1})}, {name + ".absmax", weight.absmax}};
  at::Tensor values = at::empty({16}, at::kFloat);
  std::copy(cpu::nf4_values.begin(), cpu::nf4_values.end(), values.data_ptr<float>());
  tensors[name + ".quant_map"] = values;
  nlohmann::ordered_json state{{"quant_type", "nf4"}, {"blocksize", weight.block_size}};
  for (const auto& [type_name, type] : types) {
    if (type == weight.type) state["dtype"] = type_name;
  }
  require_argument(state.contains("dtype"), "nf4_tensors: the weight's type must be fp32, bf16 or fp16");
  state["shape"] = weight.shape;
  if (weight.double_quantized()) {
    tensors[name + ".nested_absmax"] = weight.nested_absmax;
    tensors[name + ".nested_quant_map"] = weight.nested_map;
    state["nested_blocksize"] = weight.nested_block_size;
    state["nested_dtype"] = "float32";
    state["nested_offset"] = static_cast<double>(weight.nested_offset);
  }
  const std::string text = state.dump();
  at::Tensor bytes = at::empty({static_cast<std::int64_t>(text.size())}, at::kByte);
  std::copy(text.begin(), text.end(), bytes.data_ptr<std::uint8_t>());
  tensors[name + state_suffix] = bytes;
  return tensors;
}

}  // namespace coho::trainer
