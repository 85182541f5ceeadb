// Texts are those of the `tokenizers` library 0.23.3.
#include "tokenizer_json/decoder.hpp"

#include <nlohmann/json.hpp>

#include "support/catch.hpp"

using namespace coho::trainer;
using nlohmann::json;

namespace {

text_decoder decoder_of(const json& part) { return text_decoder(json_part(part, "tokenizer.json", "decoder")); }

}  // namespace

TEST_CASE("decoder: each part") {
  CHECK(decoder_of({{"type", "Metaspace"}, {"replacement", "\u2581"}})({"\u2581a\u2581b", "\u2581c"}) == "ab c");
  CHECK(decoder_of({{"type", "Metaspace"}, {"replacement", "\u2581"}, {"prepend_scheme", "never"}})({"\u2581a"}) ==
        " a");
  CHECK(decoder_of({{"type", "Strip"}, {"content", "_"}, {"start", 1}, {"stop", 1}})({"__a_", "b"}) == "_ab");
  CHECK(decoder_of({{"type", "ByteFallback"}})({"<0xE4>", "<0xBD>", "<0xA0>", "a", "<0xE4>", "<0xBD>"}) ==
        "\u4f60a\uFFFD\uFFFD");
  CHECK(decoder_of({{"type", "Replace"}, {"pattern", {{"Regex", "a+"}}}, {"content", "x"}})({"aab", "a"}) == "xbx");
  CHECK(decoder_of({{"type", "ByteLevel"}})({"\u00e9", "\u0120", "\u65e5"}) == "\uFFFD \u65e5");
  CHECK(decoder_of({{"type", "Fuse"}})({"a", "b"}) == "ab");
  CHECK(text_decoder()({"a", "b"}) == "a b");
}

TEST_CASE("decoder: a piece in the middle of a text keeps what is stripped at its beginning") {
  const auto decoder = decoder_of({{"type", "Sequence"},
                                   {"decoders",
                                    {{{"type", "Replace"}, {"pattern", {{"String", "\u2581"}}}, {"content", " "}},
                                     {{"type", "ByteFallback"}},
                                     {{"type", "Fuse"}},
                                     {{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}}}}});
  CHECK(decoder({"\u2581a", "\u2581b"}) == "a b");
  CHECK(decoder.bytes("\u2581a") == " a");
  CHECK(decoder.bytes("<0xE4>") == "\xE4");
  CHECK(decoder.bytes("<0xZZ>") == "<0xZZ>");
  CHECK(decoder_of({{"type", "ByteLevel"}}).bytes("\u00e4") == "\xE4");
  CHECK(decoder_of({{"type", "Metaspace"}, {"replacement", "\u2581"}}).bytes("\u2581a") == " a");
  CHECK(decoder_of({{"type", "Strip"}, {"content", "_"}, {"start", 1}, {"stop", 0}}).bytes("_a") == "a");
  CHECK(text_decoder().bytes("a") == " a");
}
