#include "files/protobuf.hpp"

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

TEST_CASE("protobuf_writer: the documented bytes of a varint and of a text") {
  // The examples of the encoding guide: field 1 = 150, field 2 = "testing".
  CHECK(protobuf_writer().varint(1, 150).content() == "\x08\x96\x01");
  CHECK(protobuf_writer().bytes(2, "testing").content() == "\x12\x07testing");
}

TEST_CASE("protobuf_writer: the reader finds what was written") {
  const std::array values{0.5, -2.0};
  protobuf_writer message;
  message.varint(1, 1ull << 40).bytes(2, "a").float32(3, 0.25f).float64(4, 8.0).packed_float64(5, values);
  protobuf_reader reader(message.content());
  REQUIRE(reader.next());
  CHECK(reader.number() == 1ull << 40);
  REQUIRE(reader.next());
  CHECK(reader.bytes() == "a");
  REQUIRE(reader.next());
  CHECK(reader.is_fixed32());
  CHECK(reader.real() == 0.25f);
  REQUIRE(reader.next());
  CHECK(reader.field() == 4);
  CHECK(reader.bytes().size() == 8);
  REQUIRE(reader.next());
  CHECK(reader.bytes().size() == 16);
  CHECK_FALSE(reader.next());
  CHECK(reader.ok());
}
