#include "checkpoint/safetensors.hpp"

#include <array>
#include <cstring>
#include <string>
#include <sys/resource.h>

#include "support/catch.hpp"
#include "support/shared_data.hpp"
#include "support/temporary_directory.hpp"

using namespace coho::trainer;
using coho::test::temporary_directory;
using fault = safetensors_fault;

namespace {

std::string with_header(const std::string& header, const std::string& data = {}) {
  std::string bytes(8, '\0');
  for (std::size_t i = 0; i < 8; ++i) bytes[i] = static_cast<char>(header.size() >> (8 * i));
  return bytes + header + data;
}

struct parsed {
  safetensors_file::tensor_map tensors;
  std::map<std::string, std::string> metadata;
};
parsed parse(const std::string& bytes) {
  parsed out;
  parse_safetensors(std::as_bytes(std::span(bytes)), "file", out.tensors, out.metadata);
  return out;
}

fault fault_of(const std::string& bytes) {
  try {
    parse(bytes);
  } catch (const safetensors_error& problem) {
    return problem.fault();
  }
  FAIL("the file was accepted");
  return {};
}

std::string tensor(const std::string& name, const std::string& dtype, const std::string& shape,
                   const std::string& offsets) {
  return "\"" + name + "\":{\"dtype\":\"" + dtype + "\",\"shape\":" + shape + ",\"data_offsets\":" + offsets + "}";
}

}  // namespace

TEST_CASE("safetensors: each fault has its kind") {
  CHECK(fault_of("") == fault::header_too_small);
  CHECK(fault_of("1234567") == fault::header_too_small);
  CHECK(fault_of(std::string("\x01\xE1\xF5\x05\0\0\0\0", 8)) == fault::header_too_large);     // 100,000,001
  CHECK(fault_of(std::string("\0\xE1\xF5\x05\0\0\0\0", 8)) == fault::invalid_header_length);  // 100,000,000
  CHECK(fault_of(std::string(8, '\xFF')) == fault::header_too_large);
  CHECK(fault_of(with_header("{}").substr(0, 9)) == fault::invalid_header_length);
  CHECK(fault_of(with_header("{\"\xFF\":1}")) == fault::invalid_header);
  CHECK(fault_of(with_header("{" + tensor("a", "F32", "[1]", "[0,8]") + "}", "12345678")) ==
        fault::tensor_invalid_info);
  CHECK(fault_of(with_header("{" + tensor("a", "F4", "[1]", "[0,1]") + "}", "1")) == fault::misaligned_slice);
  CHECK(fault_of(with_header("{" + tensor("a", "U8", "[1]", "[0,1]") + "}", "12")) ==
        fault::metadata_incomplete_buffer);
  CHECK(fault_of(with_header("{" + tensor("a", "U8", "[2]", "[0,2]") + "}", "1")) == fault::metadata_incomplete_buffer);
}

TEST_CASE("safetensors: headers that are not the JSON expected") {
  const auto good = tensor("a", "U8", "[1]", "[0,1]");
  for (const std::string& header : {
           std::string(""),
           std::string("   "),
           std::string("[]"),
           std::string("{"),
           std::string("{}x"),
           std::string("\xEF\xBB\xBF{}"),
           std::string("{\"a\":1}"),
           std::string("{\"a\":null}"),
           std::string("{\"a\":[]}"),
           "{" + good + "," + good + "}",
           std::string("{\"a\":{}}"),
           std::string("{\"a\":{\"dtype\":\"U8\",\"shape\":[1]}}"),
           std::string("{\"a\":{\"dtype\":\"U8\",\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}"),
           "{" + tensor("a", "X8", "[1]", "[0,1]") + "}",
           "{" + tensor("a", "U8", "[-1]", "[0,1]") + "}",
           "{" + tensor("a", "U8", "[1.0]", "[0,1]") + "}",
           "{" + tensor("a", "U8", "[18446744073709551616]", "[0,1]") + "}",
           "{" + tensor("a", "U8", "[\"1\"]", "[0,1]") + "}",
           "{" + tensor("a", "U8", "[[1]]", "[0,1]") + "}",
           "{" + tensor("a", "U8", "1", "[0,1]") + "}",
           "{" + tensor("a", "U8", "[1]", "[0]") + "}",
           "{" + tensor("a", "U8", "[1]", "[0,1,2]") + "}",
           "{" + tensor("a", "U8", "[1]", "[0,-1]") + "}",
           "{" + tensor("a", "U8", "[1]", "{}") + "}",
           std::string("{\"__metadata__\":{\"a\":1}}"),
           std::string("{\"__metadata__\":{\"a\":{}}}"),
           std::string("{\"__metadata__\":{\"a\":\"1\",\"a\":\"2\"}}"),
           std::string("{\"__metadata__\":\"x\"}"),
       }) {
    CAPTURE(header);
    CHECK(fault_of(with_header(header, "1")) == fault::invalid_header_deserialization);
  }
}

TEST_CASE("safetensors: gaps, overlaps and backward offsets") {
  for (const char* second : {"[5,6]", "[3,4]", "[0,1]", "[4,3]"}) {
    CAPTURE(second);
    const auto bytes =
        with_header("{" + tensor("a", "U8", "[4]", "[0,4]") + "," + tensor("b", "U8", "[1]", second) + "}", "123456");
    CHECK(fault_of(bytes) == fault::invalid_offsets);
  }
  CHECK(fault_of(with_header("{" + tensor("a", "U8", "[1]", "[1,2]") + "}", "12")) == fault::invalid_offsets);
}

TEST_CASE("safetensors: a shape whose product wraps round is refused") {
  for (const char* shape : {"[4294967296,4294967296]", "[9223372036854775808,2]", "[18446744073709551615]",
                            "[4294967296,4294967296,0]", "[2305843009213693952]"}) {
    CAPTURE(shape);
    CHECK(fault_of(with_header("{" + tensor("a", "F32", shape, "[0,0]") + "}")) == fault::validation_overflow);
  }
}

TEST_CASE("safetensors: unusual but valid files are read") {
  CHECK(parse(with_header("{}")).tensors.empty());
  CHECK(parse(with_header("{}     ")).tensors.empty());
  CHECK(parse(with_header(" \n\t{}")).tensors.empty());
  const auto scalar = parse(with_header("{" + tensor("s", "I16", "[]", "[0,2]") + "}", "12"));
  CHECK(scalar.tensors.at("s").shape.empty());
  CHECK(scalar.tensors.at("s").bytes.size() == 2);
  const auto empty = parse(
      with_header("{" + tensor("z", "F32", "[3,0,5]", "[0,0]") + "," + tensor("a", "U8", "[1]", "[0,1]") + "}", "1"));
  CHECK(empty.tensors.at("z").shape == std::vector<std::int64_t>{3, 0, 5});
  CHECK(empty.tensors.at("z").bytes.empty());
  const auto pairs = parse(with_header("{" + tensor("p", "F4", "[3,2]", "[0,3]") + "}", "123"));
  CHECK(pairs.tensors.at("p").bytes.size() == 3);
  // Fields that an entry may have beyond those of the format are stepped over, whatever they hold.
  const auto extra = parse(with_header(
      R"({"a":{"note":{"x":[1,{"y":null}]},"dtype":"U8","shape":[1],"more":[[2]],"data_offsets":[0,1],"n":-1}})", "1"));
  CHECK(extra.tensors.at("a").shape == std::vector<std::int64_t>{1});
  const auto described = parse(with_header(R"({"__metadata__":{"format":"pt","\u00e9":"\n"}})"));
  CHECK(described.metadata == std::map<std::string, std::string>{{"format", "pt"}, {"é", "\n"}});
}

TEST_CASE("safetensors: every truncation of a valid file is refused") {
  const auto bytes = with_header(
      "{" + tensor("a", "F32", "[2]", "[0,8]") + "," + tensor("b", "U8", "[3]", "[8,11]") + "}", "12345678abc");
  CHECK(parse(bytes).tensors.size() == 2);
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    CAPTURE(size);
    CHECK_THROWS_AS(parse(bytes.substr(0, size)), safetensors_error);
  }
  CHECK_THROWS_AS(parse(bytes + "x"), safetensors_error);
}

TEST_CASE("safetensors: changing any byte of the header is refused or read, never worse") {
  const auto bytes = with_header("{" + tensor("a", "F32", "[2]", "[0,8]") + "}", "12345678");
  std::size_t refused = 0;
  for (std::size_t i = 0; i < bytes.size() - 8; ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      auto changed = bytes;
      changed[i] = static_cast<char>(changed[i] ^ (1 << bit));
      try {
        parse(changed);
      } catch (const safetensors_error&) {
        ++refused;
      }
    }
  }
  CHECK(refused > 300);
}

TEST_CASE("safetensors: hostile headers take no more memory than their own size warrants") {
  struct rusage before {
  }, after{};
  ::getrusage(RUSAGE_SELF, &before);
  const std::string deep(60'000, '[');
  CHECK(fault_of(with_header("{\"a\":" + deep)) == fault::invalid_header_deserialization);
  CHECK(fault_of(with_header("{\"a\":{\"x\":" + deep)) == fault::invalid_header_deserialization);
  CHECK(fault_of(with_header("{\"a\":{\"dtype\":\"U8\",\"shape\":" + deep)) == fault::invalid_header_deserialization);
  CHECK(fault_of(with_header("{" + tensor("a", "F64", "[1000000,1000000]", "[0,8000000000000]") + "}")) ==
        fault::metadata_incomplete_buffer);
  std::string zeros = "[0";
  for (int i = 0; i < 30'000; ++i) zeros += ",0";
  CHECK(parse(with_header("{" + tensor("a", "F64", zeros + "]", "[0,0]") + "}")).tensors.at("a").shape.size() ==
        30'001);
  ::getrusage(RUSAGE_SELF, &after);
  CHECK(after.ru_maxrss - before.ru_maxrss < 64 * 1024);  // KiB
}

TEST_CASE("safetensors: what is written is read back, larger types first") {
  const temporary_directory folder;
  const auto path = folder / "a.safetensors";
  const std::array<float, 3> numbers{1.5F, -2, 3};
  const std::array<std::uint8_t, 5> small{1, 2, 3, 4, 5};
  const std::array<std::int64_t, 1> large{-7};
  const std::vector<named_tensor> tensors{{"small", tensor_dtype::u8, {5}, std::as_bytes(std::span(small))},
                                          {"b", tensor_dtype::f32, {3, 1}, std::as_bytes(std::span(numbers))},
                                          {"a\"é", tensor_dtype::f32, {}, std::as_bytes(std::span(numbers).first(1))},
                                          {"large", tensor_dtype::i64, {1}, std::as_bytes(std::span(large))}};
  write_safetensors(path, tensors, {{"format", "pt"}});
  const safetensors_file file(path);
  CHECK(file.tensors().size() == 4);
  CHECK(file.metadata().at("format") == "pt");
  for (const auto& written : tensors) {
    const auto& read = file.at(written.name);
    CHECK(read.dtype == written.dtype);
    CHECK(read.shape == written.shape);
    REQUIRE(read.bytes.size() == written.bytes.size());
    CHECK(std::memcmp(read.bytes.data(), written.bytes.data(), read.bytes.size()) == 0);
  }
  const auto* first = file.at("large").bytes.data();
  CHECK(file.at("a\"é").bytes.data() == first + 8);
  CHECK(file.at("b").bytes.data() == first + 12);
  CHECK(file.at("small").bytes.data() == first + 24);
  CHECK(reinterpret_cast<std::uintptr_t>(first) % 8 == 0);
  CHECK(file.contains("b"));
  CHECK_FALSE(file.contains("c"));
  CHECK_THROWS_WITH(file.at("c"), Catch::Matchers::ContainsSubstring("a.safetensors: tensor c: is not in the file"));

  const auto bytes = coho::test::read_bytes(path);
  const auto header = static_cast<unsigned char>(bytes[0]) + 256u * static_cast<unsigned char>(bytes[1]);
  CHECK(header % 8 == 0);
  CHECK(bytes.substr(8, 16) == "{\"__metadata__\":");
}

TEST_CASE("safetensors: what cannot be written is refused and leaves no file") {
  const temporary_directory folder;
  const auto path = folder / "a.safetensors";
  const std::array<std::byte, 4> bytes{};
  const auto one = [&](std::string name, std::vector<std::int64_t> shape) {
    return named_tensor{std::move(name), tensor_dtype::f32, std::move(shape), bytes};
  };
  CHECK_THROWS_AS(write_safetensors(path, std::vector{one("a", {2})}), coho::argument_error);
  CHECK_THROWS_AS(write_safetensors(path, std::vector{one("a", {-1, -1})}), coho::argument_error);
  CHECK_THROWS_AS(write_safetensors(path, std::vector{one("a", {}), one("a", {})}), coho::argument_error);
  CHECK_THROWS_AS(write_safetensors(path, std::vector{one("__metadata__", {})}), coho::argument_error);
  CHECK_FALSE(std::filesystem::exists(path));
}

TEST_CASE("safetensors: an empty file keeps its metadata") {
  const temporary_directory folder;
  write_safetensors(folder / "e", {}, {{"k", "v"}});
  CHECK(safetensors_file(folder / "e").metadata().at("k") == "v");
  write_safetensors(folder / "e", {});
  CHECK(safetensors_file(folder / "e").tensors().empty());
}

TEST_CASE("safetensors: dtype names are read as they are written") {
  for (int i = 0; i <= static_cast<int>(tensor_dtype::u64); ++i) {
    const auto type = static_cast<tensor_dtype>(i);
    CHECK(find_tensor_dtype(dtype_name(type)) == type);
  }
  CHECK(element_bits(tensor_dtype::bf16) == 16);
  CHECK_FALSE(find_tensor_dtype("F31").has_value());
}

TEST_CASE("safetensors: files that other tools wrote are read and rewritten byte for byte in content") {
  const auto data = coho::test::shared_data();
  if (!data) {
    WARN("shared data absent: skipped");
    return;
  }
  const temporary_directory folder;
  for (const char* name :
       {"stories260K/model.safetensors", "tiny_llama/tiny_llama.safetensors", "tiny_mistral/tiny_mistral.safetensors",
        "lora/tiny_lora_adapter.safetensors", "nf4/pico_nf4_doublequant.safetensors"}) {
    CAPTURE(name);
    const safetensors_file file(*data / name);
    CHECK(file.tensors().size() >= 2);
    std::vector<named_tensor> tensors;
    for (const auto& [key, view] : file.tensors()) tensors.push_back({key, view.dtype, view.shape, view.bytes});
    write_safetensors(folder / "copy", tensors, file.metadata());
    const safetensors_file copy(folder / "copy");
    REQUIRE(copy.tensors().size() == file.tensors().size());
    for (const auto& [key, view] : file.tensors()) CHECK(std::ranges::equal(copy.at(key).bytes, view.bytes));
  }
}
