#include "checkpoint/bitsandbytes.hpp"

#include <algorithm>
#include <limits>

#include <nlohmann/json.hpp>

#include <coho/error.hpp>

#include "checkpoint/tensor_io.hpp"
#include "support/catch.hpp"
#include "support/temporary_directory.hpp"

using namespace coho::trainer;
using Catch::Matchers::ContainsSubstring;

namespace {

const std::string name = "model.layers.0.self_attn.q_proj.weight";
const std::string state_name = name + ".quant_state.bitsandbytes__nf4";
const std::vector<std::int64_t> shape{6, 50};

tensor_map checkpoint(bool nested) {
  at::manual_seed(3);
  return nf4_tensors(name, quantize_nf4(at::randn(shape).to(at::kBFloat16), {64, nested}));
}

nlohmann::json state_of(const tensor_map& tensors) {
  const at::Tensor bytes = tensors.at(state_name);
  return nlohmann::json::parse(bytes.data_ptr<std::uint8_t>(), bytes.data_ptr<std::uint8_t>() + bytes.numel());
}

at::Tensor bytes_of(const std::string& text) {
  at::Tensor bytes = at::empty({static_cast<std::int64_t>(text.size())}, at::kByte);
  std::copy(text.begin(), text.end(), bytes.data_ptr<std::uint8_t>());
  return bytes;
}

void check_refused(const tensor_map& tensors, const std::string& tensor, const std::string& says) {
  INFO(tensor << ": " << says);
  try {
    read_nf4(tensors, name, shape, "model.safetensors");
    FAIL_CHECK("read");
  } catch (const coho::file_error& problem) {
    CHECK(problem.path() == "model.safetensors");
    CHECK(problem.place() == "tensor " + tensor);
    CHECK_THAT(problem.what(), ContainsSubstring(says));
  }
}

/// With a field of the quant state set, or taken away where the value is discarded.
void check_field_refused(bool nested, const std::string& key, const nlohmann::json& value, const std::string& says) {
  auto tensors = checkpoint(nested);
  auto state = state_of(tensors);
  if (value.is_discarded()) {
    state.erase(key);
  } else {
    state[key] = value;
  }
  tensors[state_name] = bytes_of(state.dump());
  check_refused(tensors, state_name, says);
}

const nlohmann::json absent(nlohmann::json::value_t::discarded);

}  // namespace

TEST_CASE("bitsandbytes: a weight is written and read back through a file, single and double quantised") {
  const coho::test::temporary_directory folder;
  for (const bool nested : {false, true}) {
    for (const auto type : {at::kFloat, at::kBFloat16, at::kHalf}) {
      const auto weight = quantize_nf4(at::randn(shape).to(type), {64, nested});
      write_tensors(folder / "model.safetensors", nf4_tensors(name, weight));
      const auto read = read_nf4(read_tensors(folder / "model.safetensors"), name, shape, "model.safetensors");
      CHECK(read.type == type);
      CHECK(read.shape == shape);
      CHECK(read.double_quantized() == nested);
      CHECK(read.nested_offset == weight.nested_offset);
      CHECK(at::equal(read.codes, weight.codes));
      CHECK(at::equal(read.absmax, weight.absmax));
      CHECK(at::equal(dequantize(read, at::kFloat), dequantize(weight, at::kFloat)));
    }
  }
}

TEST_CASE("bitsandbytes: the tensors have the names, types and sizes of that library") {
  const auto tensors = checkpoint(true);
  CHECK(tensors.size() == 6);
  CHECK(tensors.at(name).sizes() == at::IntArrayRef({150, 1}));
  CHECK(tensors.at(name).scalar_type() == at::kByte);
  CHECK(tensors.at(name + ".absmax").scalar_type() == at::kByte);
  CHECK(tensors.at(name + ".absmax").numel() == 5);
  CHECK(tensors.at(name + ".quant_map").numel() == 16);
  CHECK(tensors.at(name + ".nested_absmax").numel() == 1);
  CHECK(tensors.at(name + ".nested_quant_map").numel() == 256);
  const auto state = state_of(tensors);
  CHECK(state["quant_type"] == "nf4");
  CHECK(state["blocksize"] == 64);
  CHECK(state["dtype"] == "bfloat16");
  CHECK(state["shape"] == nlohmann::json{6, 50});
  CHECK(state["nested_blocksize"] == 256);
  CHECK(state["nested_dtype"] == "float32");
  CHECK(state["nested_offset"].is_number_float());
  CHECK(checkpoint(false).size() == 4);
  CHECK(checkpoint(false).at(name + ".absmax").scalar_type() == at::kFloat);
}

TEST_CASE("bitsandbytes: a quant state in the spelling of Python's json is understood") {
  auto tensors = checkpoint(true);
  tensors[state_name] = bytes_of(
      R"({"quant_type": "nf4", "blocksize": 64, "dtype": "float16", "shape": [6, 50], "nested_blocksize": 256, )"
      R"("nested_dtype": "float32", "nested_offset": 2.5408935546875})");
  const auto read = read_nf4(tensors, name, shape, "model.safetensors");
  CHECK(read.type == at::kHalf);
  CHECK(read.nested_offset == 2.5408935546875F);
}

TEST_CASE("bitsandbytes: a missing tensor is named") {
  for (const char* suffix : {"", ".quant_map", ".absmax", ".quant_state.bitsandbytes__nf4"}) {
    auto tensors = checkpoint(false);
    tensors.erase(name + suffix);
    check_refused(tensors, name + suffix, "is missing");
  }
  auto tensors = checkpoint(false);
  tensors.erase(state_name);
  tensors[name + ".quant_state.bitsandbytes__fp4"] = bytes_of("{}");
  check_refused(tensors, name, "FP4");
}

TEST_CASE("bitsandbytes: a quant state that is not the JSON expected is refused") {
  auto tensors = checkpoint(false);
  tensors[state_name] = bytes_of("{\"quant_type\": ");
  check_refused(tensors, state_name, "not a JSON document");
  tensors[state_name] = bytes_of("[1, 2]");
  check_refused(tensors, state_name, "not a JSON object");
  tensors[state_name] = at::zeros({4});
  check_refused(tensors, state_name, "is not of type Byte");
  tensors[state_name] = at::zeros({0}, at::kByte);
  check_refused(tensors, state_name, "not a JSON document");
}

TEST_CASE("bitsandbytes: each field of the quant state is checked") {
  for (const char* key : {"quant_type", "blocksize", "dtype", "shape"}) {
    check_field_refused(false, key, absent, std::string("the field ") + key + " is missing");
    check_field_refused(true, key, nullptr, std::string("the field ") + key + " is missing");
    check_field_refused(false, key, nlohmann::json::object(), std::string("the field ") + key);
  }
  check_field_refused(false, "quant_type", "fp4", "is \"fp4\", not nf4");
  for (const nlohmann::json& size : {nlohmann::json(0), nlohmann::json(-64), nlohmann::json(48), nlohmann::json(64.0),
                                     nlohmann::json(18446744073709551615U)}) {
    check_field_refused(false, "blocksize", size, "the field blocksize must be a positive");
  }
  check_field_refused(false, "dtype", "int8", "is \"int8\", not");
  check_field_refused(false, "shape", {50, 6}, "is [50,6], but the model needs [6, 50]");
  check_field_refused(false, "shape", {300}, "but the model needs [6, 50]");
  check_field_refused(false, "shape", {6, "x"}, "must be a list of whole numbers");
  check_field_refused(true, "nested_blocksize", 0, "must be a positive whole number");
  check_field_refused(true, "nested_dtype", "float16", "must be float32");
  check_field_refused(true, "nested_offset", "0", "must be a finite number");
  check_field_refused(true, "nested_offset", 1e300, "must be a finite number");
}

TEST_CASE("bitsandbytes: double quantisation that is half there is refused") {
  for (const char* key : {"nested_blocksize", "nested_dtype", "nested_offset"}) {
    check_field_refused(true, key, absent, "is missing, though absmax is quantised");
    check_field_refused(false, key, 1, "is given, though absmax is not quantised");
  }
  for (const char* suffix : {".nested_absmax", ".nested_quant_map"}) {
    auto tensors = checkpoint(true);
    tensors.erase(name + suffix);
    check_refused(tensors, name + suffix, "is missing, though absmax is quantised");
    tensors = checkpoint(false);
    tensors[name + suffix] = at::zeros({1});
    check_refused(tensors, name + suffix, "is given, though absmax is not quantised");
  }
}

TEST_CASE("bitsandbytes: tensors of other types or sizes are refused") {
  struct change {
    bool nested;
    const char* suffix;
    at::Tensor tensor;
    const char* says;
  };
  const std::vector<change> changes{
      {false, "", at::zeros({150, 1}), "is of type Float and not Byte"},
      {false, "", at::zeros({149, 1}, at::kByte), "is of shape [149, 1], but the weight's [6, 50] needs [150, 1]"},
      {false, "", at::zeros({1, 150}, at::kByte), "is of shape [1, 150]"},
      {false, ".absmax", at::ones({4}), "needs [5]"},
      {false, ".absmax", at::ones({5}, at::kHalf), "is of type Half"},
      {false, ".quant_map", at::ones({15}), "needs [16]"},
      {false, ".quant_map", at::linspace(-1, 1, 16), "does not contain the values of NF4: value 1 is"},
      {true, ".absmax", at::zeros({6}, at::kByte), "needs [5]"},
      {true, ".nested_absmax", at::ones({2}), "needs [1]"},
      {true, ".nested_absmax", at::ones({1}, at::kDouble), "is of type Double"},
      {true, ".nested_quant_map", at::ones({255}), "needs [256]"},
  };
  for (const auto& [nested, suffix, tensor, says] : changes) {
    auto tensors = checkpoint(nested);
    tensors[name + suffix] = tensor;
    check_refused(tensors, name + suffix, says);
  }
}

TEST_CASE("bitsandbytes: scales that are not finite are refused") {
  for (const double value : {std::numeric_limits<double>::infinity(), std::numeric_limits<double>::quiet_NaN()}) {
    for (const char* suffix : {".nested_absmax", ".nested_quant_map", ".absmax"}) {
      auto tensors = checkpoint(std::string(suffix) != ".absmax");
      tensors[name + suffix] = tensors[name + suffix].clone();
      tensors[name + suffix][0].fill_(value);
      check_refused(tensors, name + suffix, "not finite");
    }
    auto tensors = checkpoint(false);
    tensors[name + ".quant_map"] = at::full({16}, value);
    check_refused(tensors, name + ".quant_map", "does not contain the values of NF4");
  }
}
