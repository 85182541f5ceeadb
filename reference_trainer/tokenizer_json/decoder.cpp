#include "tokenizer_json/decoder.hpp"

#include <utility>

#include <coho/error.hpp>

#include "text/utf8.hpp"
#include "tokenizer_json/byte_fallback.hpp"
#include "tokenizer_json/json_pattern.hpp"
#include "unicode/byte_alphabet.hpp"

namespace coho::trainer {
namespace {

constexpr std::string_view replacement_character = "\xEF\xBF\xBD";

// What follows sees one piece.
void join_pieces(std::vector<std::string>& pieces) {
  std::string out;
  for (const auto& piece : pieces) out += piece;
  pieces = {std::move(out)};
}

/// A run of byte pieces is one text, or one U+FFFD for each of them.
void decode_byte_pieces(std::vector<std::string>& pieces) {
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
    if (const auto byte = parse_byte_piece(piece)) {
      bytes += static_cast<char>(*byte);
    } else {
      end_run();
      out.push_back(std::move(piece));
    }
  }
  end_run();
  pieces = std::move(out);
}

// Removes `content` at most `start` times at the beginning and `stop` times at the end.
void strip_ends(std::string& text, std::string_view content, std::int64_t start, std::int64_t stop) {
  for (; start > 0 && text.starts_with(content); --start) text.erase(0, content.size());
  for (; stop > 0 && text.ends_with(content); --stop) text.resize(text.size() - content.size());
}

std::string replace_text(std::string_view text, std::string_view from, std::string_view to) {
  return text_pattern::literal(std::string(from)).replace_all(text, to);
}

}  // namespace

text_decoder::text_decoder(const json_part& part) { add_stage(part); }

std::string text_decoder::operator()(std::vector<std::string> pieces) const {
  if (stages_.empty()) {
    std::string out;
    for (const auto& piece : pieces) out.append(out.empty() ? "" : " ").append(piece);
    return out;
  }
  for (const auto& each : stages_) each.all(pieces);
  join_pieces(pieces);
  return std::move(pieces.front());
}

std::string text_decoder::bytes(std::string_view piece) const {
  if (stages_.empty()) return ' ' + std::string(piece);
  inner_piece out{std::string(piece)};
  for (const auto& each : stages_) each.one(out);
  return std::move(out.bytes);
}

void text_decoder::add_piecewise_stage(std::function<void(std::string&)> change, bool also_joined) {
  stages_.push_back({[change](std::vector<std::string>& pieces) {
                       for (auto& piece : pieces) change(piece);
                     },
                     [change, also_joined](inner_piece& piece) {
                       if (also_joined || !piece.joined) change(piece.bytes);
                     }});
}

void text_decoder::add_stage(const json_part& part) {
  const std::string type = part.text("type");
  if (type == "Sequence") {
    for (const auto& each : part.items("decoders")) add_stage(each);
  } else if (type == "ByteLevel") {
    stages_.push_back({[](std::vector<std::string>& pieces) {
                         for (auto& piece : pieces) piece = from_byte_alphabet(piece);
                         join_pieces(pieces);
                         pieces.front() = repair_utf8_by_subparts(pieces.front());
                       },
                       [](inner_piece& piece) {
                         piece = {from_byte_alphabet(piece.bytes), true};
                       }});
  } else if (type == "ByteFallback") {
    stages_.push_back({decode_byte_pieces, [](inner_piece& piece) {
                         if (const auto byte = parse_byte_piece(piece.bytes))
                           piece.bytes = std::string(1, static_cast<char>(*byte));
                       }});
  } else if (type == "Fuse") {
    stages_.push_back({join_pieces, [](inner_piece& piece) { piece.joined = true; }});
  } else if (type == "Strip") {
    add_piecewise_stage(
        [content = read_character(part, "content"), start = part.whole_number("start"),
         stop = part.whole_number("stop")](std::string& text) { strip_ends(text, content, start, stop); },
        false);
  } else if (type == "Replace") {
    add_piecewise_stage(
        [pattern = read_pattern(part), content = part.text("content")](std::string& text) {
          if (is_utf8(text)) text = pattern.replace_all(text, content);
        },
        true);
  } else if (type == "Metaspace") {
    const std::string space = read_character(part, "replacement");
    const bool never =
        part.text("prepend_scheme", part.boolean("add_prefix_space", true) ? "always" : "never") == "never";
    stages_.push_back({[space, never](std::vector<std::string>& pieces) {
                         for (auto& piece : pieces)
                           piece = replace_text(piece, space, &piece == &pieces.front() && !never ? "" : " ");
                       },
                       [space](inner_piece& piece) { piece.bytes = replace_text(piece.bytes, space, " "); }});
  } else {
    part.refuse_member("type", "\"" + type + "\" is not a supported decoder",
                       "supported are ByteLevel, ByteFallback, Fuse, Metaspace, Replace, Strip, Sequence");
  }
}

}  // namespace coho::trainer
