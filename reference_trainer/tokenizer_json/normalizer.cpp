#include "tokenizer_json/normalizer.hpp"

#include <array>
#include <utility>

#include "text/utf8.hpp"
#include "text/white_space.hpp"
#include "tokenizer_json/json_pattern.hpp"
#include "unicode/byte_alphabet.hpp"
#include "unicode/unicode_text.hpp"

namespace coho::trainer {
namespace {

std::size_t leading_space(std::string_view text) {
  std::size_t at = 0;
  while (at < text.size() && is_white_space(utf8_code_point(text.substr(at)))) at += utf8_length(text.substr(at));
  return at;
}

std::size_t end_before_space(std::string_view text) {
  std::size_t end = text.size();
  while (end > 0) {
    const std::size_t at = utf8_previous(text, end);
    if (!is_white_space(utf8_code_point(text.substr(at)))) break;
    end = at;
  }
  return end;
}

}  // namespace

text_normalizer::text_normalizer(const json_part& part) { add(part); }

std::string text_normalizer::operator()(std::string_view text) const {
  std::string out(text);
  for (const auto& step : steps_) step(out);
  return out;
}

void text_normalizer::add(const json_part& part) {
  using namespace std::string_view_literals;
  constexpr std::array forms{std::pair{"NFC"sv, unicode_form::nfc}, std::pair{"NFD"sv, unicode_form::nfd},
                             std::pair{"NFKC"sv, unicode_form::nfkc}, std::pair{"NFKD"sv, unicode_form::nfkd}};
  const std::string type = part.type();
  for (const auto& [name, form] : forms) {
    if (type != name) continue;
    return steps_.emplace_back([form = form](std::string& text) { text = normalized(text, form); }), void();
  }
  if (type == "Sequence") {
    for (const auto& each : part.items("normalizers")) add(each);
  } else if (type == "Lowercase") {
    steps_.emplace_back([](std::string& text) { text = lower_case(text); });
  } else if (type == "Prepend") {
    steps_.emplace_back([prefix = part.text("prepend")](std::string& text) {
      if (!text.empty()) text.insert(0, prefix);
    });
  } else if (type == "Replace") {
    steps_.emplace_back([pattern = read_pattern(part), content = part.text("content")](std::string& text) {
      text = pattern.replaced(text, content);
    });
  } else if (type == "Strip") {
    steps_.emplace_back(
        [left = part.flag("strip_left", true), right = part.flag("strip_right", true)](std::string& text) {
          if (right) text.resize(end_before_space(text));
          if (left) text.erase(0, leading_space(text));
        });
  } else if (type == "ByteLevel") {
    steps_.emplace_back([](std::string& text) { text = to_byte_alphabet(text); });
  } else {
    part.refuse("type", "\"" + type + "\" is not a supported normalizer",
                "supported are NFC, NFD, NFKC, NFKD, Lowercase, Prepend, Replace, Strip, ByteLevel, Sequence");
  }
}

}  // namespace coho::trainer
