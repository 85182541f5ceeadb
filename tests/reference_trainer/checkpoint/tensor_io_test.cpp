#include "checkpoint/tensor_io.hpp"

#include <cstring>

#include "support/catch.hpp"
#include "support/temporary_directory.hpp"

using namespace coho::trainer;
using coho::test::temporary_directory;

TEST_CASE("tensor_io: tensors of every type are written and read back bit for bit") {
  const temporary_directory folder;
  tensor_map tensors;
  for (const auto type : {at::kBool, at::kByte, at::kChar, at::kShort, at::kHalf, at::kBFloat16, at::kInt, at::kFloat,
                          at::kComplexFloat, at::kDouble, at::kLong}) {
    tensors[at::toString(type)] = at::arange(-3, 9).reshape({3, 4}).to(type);
  }
  tensors["scalar"] = at::full({}, 2.5);
  tensors["empty"] = at::empty({0, 3});
  write_tensors(folder / "t", tensors, {{"k", "v"}});
  const auto read = read_tensors(folder / "t");
  REQUIRE(read.size() == tensors.size());
  for (const auto& [name, tensor] : tensors) {
    CAPTURE(name);
    CHECK(read.at(name).scalar_type() == tensor.scalar_type());
    CHECK(read.at(name).sizes() == tensor.sizes());
    CHECK(at::equal(read.at(name), tensor));
  }
}

TEST_CASE("tensor_io: strided tensors and tensors with gradients are written row-major") {
  const temporary_directory folder;
  const auto matrix = at::arange(6, at::kFloat).reshape({2, 3});
  write_tensors(folder / "t", {{"t", matrix.t()}, {"g", at::ones({2}).requires_grad_(true)}});
  const auto read = read_tensors(folder / "t");
  CHECK(read.at("t").is_contiguous());
  CHECK(at::equal(read.at("t"), matrix.t()));
  CHECK_FALSE(read.at("g").requires_grad());
}

TEST_CASE("tensor_io: tensors lie over the mapping, outlive the file, and can be changed without changing it") {
  const temporary_directory folder;
  write_tensors(folder / "t", {{"a", at::zeros({4})}, {"b", at::ones({4})}});
  at::Tensor a, b;
  {
    const safetensors_file file(folder / "t");
    a = read_tensor(file, "a");
    b = read_tensor(file, "b");
    CHECK(a.data_ptr() == static_cast<const void*>(file.at("a").bytes.data()));
  }
  CHECK(b.sum().item<float>() == 4);
  a.add_(5);
  CHECK(a.sum().item<float>() == 20);
  CHECK(read_tensors(folder / "t").at("a").sum().item<float>() == 0);
  std::filesystem::remove(folder / "t");
  CHECK(b.sum().item<float>() == 4);
}

TEST_CASE("tensor_io: bytes that are not aligned are copied") {
  const std::vector<float> numbers{1, 2};
  std::vector<std::byte> bytes(9);
  std::memcpy(bytes.data() + 1, numbers.data(), 8);
  const auto tensor = tensor_from_view({tensor_dtype::f32, {2}, std::span<const std::byte>(bytes).subspan(1)}, nullptr);
  CHECK(tensor.data_ptr() != static_cast<const void*>(bytes.data() + 1));
  CHECK(at::equal(tensor, at::tensor({1.0F, 2.0F})));
}

TEST_CASE("tensor_io: types without a counterpart are refused by name") {
  const temporary_directory folder;
  const std::vector<std::byte> bytes(2);
  write_safetensors(folder / "t", std::vector{named_tensor{"x", tensor_dtype::f8_e5m2, {2}, bytes}});
  CHECK_THROWS_AS(read_tensors(folder / "t"), coho::file_error);
  CHECK_THROWS_WITH(read_tensors(folder / "t"),
                    Catch::Matchers::ContainsSubstring("tensor x: the element type F8_E5M2 is not supported"));
  CHECK_THROWS_AS(write_tensors(folder / "u", {{"x", at::zeros({1}, at::kComplexDouble)}}), coho::argument_error);
  CHECK_THROWS_AS(write_tensors(folder / "u", {{"x", at::Tensor()}}), coho::argument_error);
}
