#include "tokenizer_json/decoder.hpp"

#include <charconv>
#include <optional>
#include <utility>

#include <coho/error.hpp>

#include "text/utf8.hpp"
#include "tokenizer_json/json_pattern.hpp"
#include "unicode/byte_alphabet.hpp"

namespace coho::trainer {
namespace {

constexpr std::string_view replacement_character = "\xEF\xBF\xBD";

/// The byte that a piece such as "<0x0A>" stands for.
std::optional<char> fallback_byte(std::string_view piece) {
  if (piece.size() != 6 || !piece.starts_with("<0x") || piece.back() != '>') return std::nullopt;
  unsigned value = 0;
  const auto [end, error] = std::from_chars(piece.data() + 3, piece.data() + 5, value, 16);
  if (error != std::errc() || end != piece.data() + 5) return std::nullopt;
  return static_cast<char>(value);
}

void join(std::vector<std::string>& pieces) {
  std::string out;
  for (const auto& piece : pieces) out += piece;
  pieces = {std::move(out)};
}

/// A run of byte pieces is one text, or one U+FFFD for each of them.
void join_bytes(std::vector<std::string>& pieces) {
  std::vector<std::string> out;
  std::string bytes;
  const auto end_run = [&] {
    if (is_utf8(bytes)) {
      if (!bytes.empty()) out.push_back(bytes);
    } else {
      out.insert(out.end(), bytes.size(), std::string(replacement_character));
    }
    bytes.clear();
  };
  for (auto& piece : pieces) {
    if (const auto byte = fallback_byte(piece)) {
      bytes += *byte;
    } else {
      end_run();
      out.push_back(std::move(piece));
    }
  }
  end_run();
  pieces = std::move(out);
}

void strip(std::string& text, std::string_view content, std::int64_t start, std::int64_t stop) {
  for (; start > 0 && text.starts_with(content); --start) text.erase(0, content.size());
  for (; stop > 0 && text.ends_with(content); --stop) text.resize(text.size() - content.size());
}

std::string replaced(std::string_view text, std::string_view from, std::string_view to) {
  return text_pattern::literal(std::string(from)).replaced(text, to);
}

}  // namespace

text_decoder::text_decoder(const json_part& part) { add(part); }

std::string text_decoder::operator()(std::vector<std::string> pieces) const {
  if (stages_.empty()) {
    std::string out;
    for (const auto& piece : pieces) out.append(out.empty() ? "" : " ").append(piece);
    return out;
  }
  for (const auto& each : stages_) each.all(pieces);
  join(pieces);
  return std::move(pieces.front());
}

std::string text_decoder::bytes(std::string_view piece) const {
  if (stages_.empty()) return ' ' + std::string(piece);
  middle out{std::string(piece)};
  for (const auto& each : stages_) each.one(out);
  return std::move(out.bytes);
}

void text_decoder::add_to_each(std::function<void(std::string&)> change, bool also_joined) {
  stages_.push_back({[change](std::vector<std::string>& pieces) {
                       for (auto& piece : pieces) change(piece);
                     },
                     [change, also_joined](middle& piece) {
                       if (also_joined || !piece.joined) change(piece.bytes);
                     }});
}

void text_decoder::add(const json_part& part) {
  const std::string type = part.type();
  if (type == "Sequence") {
    for (const auto& each : part.items("decoders")) add(each);
  } else if (type == "ByteLevel") {
    stages_.push_back({[](std::vector<std::string>& pieces) {
                         for (auto& piece : pieces) piece = from_byte_alphabet(piece);
                         join(pieces);
                         pieces.front() = repair_utf8_by_subparts(pieces.front());
                       },
                       [](middle& piece) {
                         piece = {from_byte_alphabet(piece.bytes), true};
                       }});
  } else if (type == "ByteFallback") {
    stages_.push_back({join_bytes, [](middle& piece) {
                         if (const auto byte = fallback_byte(piece.bytes)) piece.bytes = std::string(1, *byte);
                       }});
  } else if (type == "Fuse") {
    stages_.push_back({join, [](middle& piece) { piece.joined = true; }});
  } else if (type == "Strip") {
    add_to_each([content = part.character("content"), start = part.number("start"),
                 stop = part.number("stop")](std::string& text) { strip(text, content, start, stop); },
                false);
  } else if (type == "Replace") {
    add_to_each(
        [pattern = read_pattern(part), content = part.text("content")](std::string& text) {
          if (is_utf8(text)) text = pattern.replaced(text, content);
        },
        true);
  } else if (type == "Metaspace") {
    const std::string space = part.character("replacement");
    const bool never = part.text("prepend_scheme", part.flag("add_prefix_space", true) ? "always" : "never") == "never";
    stages_.push_back({[space, never](std::vector<std::string>& pieces) {
                         for (auto& piece : pieces)
                           piece = replaced(piece, space, &piece == &pieces.front() && !never ? "" : " ");
                       },
                       [space](middle& piece) { piece.bytes = replaced(piece.bytes, space, " "); }});
  } else {
    part.refuse("type", "\"" + type + "\" is not a supported decoder",
                "supported are ByteLevel, ByteFallback, Fuse, Metaspace, Replace, Strip, Sequence");
  }
}

}  // namespace coho::trainer
