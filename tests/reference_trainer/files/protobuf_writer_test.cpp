#include "files/protobuf_writer.hpp"

#include <array>

#include "files/protobuf_reader.hpp"
#include "support/catch.hpp"

using namespace coho::trainer;

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
