#include "files/protobuf_reader.hpp"

#include <string>

#include "support/catch.hpp"

using namespace coho::trainer;

TEST_CASE("protobuf_reader: fields of each kind") {
  // 1: varint 300; 2: "hi"; 5: fixed32 1.5; 16: fixed64; 3: varint −1.
  const std::string bytes = std::string("\x08\xAC\x02\x12\x02hi\x2D\x00\x00\xC0\x3F\x81\x01", 14) + "12345678" +
                            "\x18\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01";
  protobuf_reader reader(bytes);
  REQUIRE(reader.next());
  CHECK((reader.field() == 1 && reader.is_varint() && reader.number() == 300));
  REQUIRE(reader.next());
  CHECK((reader.field() == 2 && reader.is_bytes() && reader.bytes() == "hi"));
  REQUIRE(reader.next());
  CHECK((reader.field() == 5 && reader.is_fixed32() && reader.real() == 1.5F));
  REQUIRE(reader.next());
  CHECK((reader.field() == 16 && reader.bytes() == "12345678"));
  REQUIRE(reader.next());
  CHECK(static_cast<std::int64_t>(reader.number()) == -1);
  CHECK_FALSE(reader.next());
  CHECK(reader.ok());
}

TEST_CASE("protobuf_reader: malformed messages end with ok() false") {
  const std::string endless(11, '\xFF');
  for (const std::string& bytes :
       {std::string("\x08"), std::string("\x08\x80"), std::string("\x12\x05hi"), std::string("\x2D\x01\x02"),
        std::string("\x09"
                    "1234567"),
        std::string("\x0B"), std::string("\x00\x01", 2), std::string("\x0E\x01"), "\x08" + endless, endless,
        "\x12" + endless}) {
    protobuf_reader reader(bytes);
    while (reader.next()) {
    }
    CHECK_FALSE(reader.ok());
    CHECK_FALSE(reader.next());
  }
}
