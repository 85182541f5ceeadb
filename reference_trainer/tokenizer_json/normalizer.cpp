#include "tokenizer_json/normalizer.hpp"

#include <array>
#include <utility>

#include "text/utf8.hpp"
#include "text/white_space.hpp"
#include "tokenizer_json/json_pattern.hpp"
#include "unicode/byte_alphabet.hpp"
#include "unicode/unicode_text.hpp"

namespace coho::trainer {

text_normalizer::text_normalizer(const json_part& part) { add_step(part); }

std::string text_normalizer::operator()(std::string_view text) const {
  std::string out(text);
  for (const auto& step : steps_) step(out);
  return out;
}

void text_normalizer::add_step(const json_part& part) {
  using namespace std::string_view_literals;
  constexpr std::array forms{std::pair{"NFC"sv, unicode_form::nfc}, std::pair{"NFD"sv, unicode_form::nfd},
                             std::pair{"NFKC"sv, unicode_form::nfkc}, std::pair{"NFKD"sv, unicode_form::nfkd}};
  const std::string type = part.text("type");
  for (const auto& [name, form] : forms) {
    if (type != name) continue;
    return steps_.emplace_back([form = form](std::string& text) { text = normalize_unicode(text, form); }), void();
  }
  if (type == "Sequence") {
    for (const auto& each : part.items("normalizers")) add_step(each);
  } else if (type == "Lowercase") {
    steps_.emplace_back([](std::string& text) { text = to_lower_case(text); });
  } else if (type == "Prepend") {
    steps_.emplace_back([prefix = part.text("prepend")](std::string& text) {
      if (!text.empty()) text.insert(0, prefix);
    });
  } else if (type == "Replace") {
    steps_.emplace_back([pattern = read_pattern(part), content = part.text("content")](std::string& text) {
      text = pattern.replace_all(text, content);
    });
  } else if (type == "Strip") {
    steps_.emplace_back(
        [left = part.boolean("strip_left", true), right = part.boolean("strip_right", true)](std::string& text) {
          if (right) text.resize(trim_trailing_white_space(text).size());
          if (left) text.erase(0, text.size() - trim_leading_white_space(text).size());
        });
  } else if (type == "ByteLevel") {
    steps_.emplace_back([](std::string& text) { text = to_byte_alphabet(text); });
  } else {
    part.refuse_member("type", "\"" + type + "\" is not a supported normalizer",
                       "supported are NFC, NFD, NFKC, NFKD, Lowercase, Prepend, Replace, Strip, ByteLevel, Sequence");
  }
}

}  // namespace coho::trainer
