#include "tokenizer/sentencepiece_model.hpp"

#include <limits>

#include <coho/error.hpp>

#include "reference_trainer/tokenizer/model_bytes.hpp"
#include "support/catch.hpp"

using namespace coho::trainer;
using namespace coho::test;
using Catch::Matchers::ContainsSubstring;

namespace {

void check_refused(const std::string& bytes, const std::string& text) {
  CAPTURE(text);
  CHECK_THROWS_AS(parse_sentencepiece_model(bytes, "t.model"), coho::file_error);
  CHECK_THROWS_WITH(parse_sentencepiece_model(bytes, "t.model"), ContainsSubstring(text));
}
void check_piece_refused(const std::string& piece, const std::string& text) {
  model_parts parts;
  parts.pieces += piece;
  check_refused(parts.bytes(), "piece 3: " + text);
}
void check_trainer_refused(const std::string& fields, const std::string& text) {
  model_parts parts;
  parts.trainer += fields;
  check_refused(parts.bytes(), text);
}

}  // namespace

TEST_CASE("sentencepiece_model: a small model is read") {
  model_parts parts;
  parts.pieces += piece_field(
                      "\xE2\x96\x81"
                      "a",
                      -1.5F) +
                  piece_field("b", -2, 4);
  parts.trainer += number_field(43, 4) + bytes_field(44, "?");
  const auto bytes = parts.bytes();
  const auto model = parse_sentencepiece_model(bytes, "t.model");
  REQUIRE(model.pieces.size() == 5);
  CHECK(model.pieces[3].text ==
        "\xE2\x96\x81"
        "a");
  CHECK(model.pieces[3].score == -1.5F);
  CHECK(model.pieces[4].type == piece_type::user_defined);
  CHECK(model.pieces[0].type == piece_type::unknown);
  CHECK((model.unk == 0 && model.bos == 1 && model.eos == 2 && model.pad == 4));
  CHECK(model.unk_surface == "?");
  CHECK(model.add_dummy_prefix);
  CHECK_FALSE(model.remove_extra_whitespaces);
}

TEST_CASE("sentencepiece_model: pieces that the library would trip over") {
  check_piece_refused(piece_field(""), "is empty");
  check_piece_refused(piece_field(std::string(1025, 'x')), "is longer than 1024 bytes");
  check_piece_refused(piece_field("\xFF"), "is not UTF-8");
  check_piece_refused(piece_field(std::string_view("a\0b", 3)), "is not UTF-8");
  check_piece_refused(piece_field("a", std::numeric_limits<float>::quiet_NaN()), "has a score that is not finite");
  check_piece_refused(piece_field("a", std::numeric_limits<float>::infinity()), "has a score that is not finite");
  check_piece_refused(piece_field("a", 0, 7), "has the unknown type 7");
  check_piece_refused(piece_field("a", 0, 0), "has the unknown type 0");
  check_piece_refused(piece_field("<s>"), "repeats");
  check_piece_refused(piece_field("<x>", 0, 2), "is a second unknown piece");
  check_piece_refused(piece_field("<0x41>", 0, 6), "is a byte in a model without byte fallback");
  check_piece_refused(bytes_field(1, "\x0A\x20"), "is malformed");
  model_parts parts;
  parts.pieces += piece_field(std::string(1024, 'x'));
  CHECK(parse_sentencepiece_model(parts.bytes(), "t.model").pieces.size() == 4);
}

TEST_CASE("sentencepiece_model: byte pieces must be the 256 bytes") {
  model_parts parts;
  parts.trainer += number_field(35, 1);
  check_refused(parts.bytes(), "not the 256 byte pieces");
  const auto byte_piece = [](int value) {
    constexpr const char* digits = "0123456789ABCDEF";
    return piece_field(std::string("<0x") + digits[value / 16] + digits[value % 16] + ">", 0, 6);
  };
  for (int value = 0; value < 256; ++value) parts.pieces += byte_piece(value);
  CHECK(parse_sentencepiece_model(parts.bytes(), "t.model").byte_fallback);
  parts.pieces += piece_field("<0xG0>", 0, 6);
  check_refused(parts.bytes(), "piece 259: is not the name of a further byte");
}

TEST_CASE("sentencepiece_model: ids, kinds and messages") {
  check_trainer_refused(number_field(40, 9), "trainer_spec.unk_id");
  check_trainer_refused(number_field(40, ~0ULL), "trainer_spec.unk_id");
  check_trainer_refused(number_field(41, 3), "trainer_spec.bos_id");
  check_trainer_refused(number_field(42, 1000), "trainer_spec.eos_id");
  check_trainer_refused(number_field(43, 3), "trainer_spec.pad_id");
  check_trainer_refused(number_field(3, 3), "only unigram and BPE");
  check_trainer_refused("\x0A\x20", "trainer_spec: is malformed");
  model_parts parts;
  parts.trainer += number_field(43, ~0ULL);
  CHECK(parse_sentencepiece_model(parts.bytes(), "t.model").pad == -1);
  parts.normalizer += number_field(5, 0);
  check_refused(parts.bytes(), "normalizer_spec.escape_whitespaces");
  check_refused("", "it has no pieces");
  check_refused(piece_field("a"), "has no unknown piece");
  check_refused("\x0A", "is not a sentencepiece model");
  check_refused(number_field(2, 1), "field 2: is not a message");
  check_refused(std::string((16u << 20) + 1, '\0'), "larger than 16 MiB");
}

TEST_CASE("sentencepiece_model: character maps of both directions are checked") {
  model_parts parts;
  parts.normalizer += bytes_field(2, "broken");
  check_refused(parts.bytes(), "normalizer_spec.precompiled_charsmap");
  check_refused(model_parts{}.bytes() + bytes_field(5, bytes_field(2, "broken")),
                "denormalizer_spec.precompiled_charsmap");
  parts = {};
  parts.normalizer += bytes_field(2, character_map(units_of_small_map(), std::string_view("a\0", 2)));
  CHECK(parse_sentencepiece_model(parts.bytes(), "t.model").pieces.size() == 3);
}
