#pragma once

#include <array>
#include <cstdint>
#include <cstdio>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

#include <nlohmann/json.hpp>

#include "unicode/byte_alphabet.hpp"

namespace coho::test {

/// Adds pieces after those of a vocabulary, and the merges that make them.
inline void add_merges(nlohmann::json& model, std::initializer_list<std::pair<const char*, const char*>> merges) {
  for (const auto& [first, second] : merges) {
    model["merges"].push_back(std::string(first) + ' ' + second);
    const auto id = model["vocab"].size();
    model["vocab"].emplace(std::string(first) + second, id);
  }
}

inline nlohmann::json added(std::int64_t id, const std::string& text, bool special,
                            std::initializer_list<const char*> flags = {}) {
  nlohmann::json out{{"id", id}, {"content", text}, {"special", special}};
  for (const char* flag : {"single_word", "lstrip", "rstrip", "normalized"}) out[flag] = false;
  for (const char* flag : flags) out[flag] = true;
  return out;
}

/// As GPT-2's: 0 to 255 are the bytes, 256 to 263 "Ġt", "he", "Ġthe", "in", "er", "Ġa", "ll", "Ã©"; 264 <|end|>
/// (special), 265 <tool>.
inline nlohmann::json byte_level_tokenizer() {
  const nlohmann::json byte_level{{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}};
  nlohmann::json model{{"type", "BPE"}, {"vocab", nlohmann::json::object()}, {"merges", nlohmann::json::array()}};
  for (int byte = 0; byte < 256; ++byte)
    model["vocab"][coho::trainer::to_byte_alphabet(std::string(1, static_cast<char>(byte)))] = byte;
  add_merges(model, {{"\u0120", "t"},
                     {"h", "e"},
                     {"\u0120t", "he"},
                     {"i", "n"},
                     {"e", "r"},
                     {"\u0120", "a"},
                     {"l", "l"},
                     {"\u00c3", "\u00a9"}});
  return {{"version", "1.0"},
          {"added_tokens", {added(264, "<|end|>", true), added(265, "<tool>", false)}},
          {"pre_tokenizer", byte_level},
          {"decoder", byte_level},
          {"model", model}};
}

/// As those converted from sentencepiece: 0 <unk>, 1 <s>, 2 </s>, 3 to 258 the bytes, 259 to 263 "▁", "h", "e", "l",
/// "o", 264 to 268 "▁h", "el", "lo", "▁hel", "▁hello".
inline nlohmann::json converted_tokenizer() {
  const std::string space = "\u2581";
  nlohmann::json model{{"type", "BPE"},
                       {"vocab", nlohmann::json::object()},
                       {"merges", nlohmann::json::array()},
                       {"fuse_unk", true},
                       {"byte_fallback", true},
                       {"unk_token", "<unk>"}};
  auto& vocab = model["vocab"];
  for (const char* piece : {"<unk>", "<s>", "</s>"}) vocab.emplace(piece, vocab.size());
  for (int byte = 0; byte < 256; ++byte) {
    std::array<char, 8> name{};
    std::snprintf(name.data(), name.size(), "<0x%02X>", static_cast<unsigned>(byte));
    vocab[name.data()] = byte + 3;
  }
  for (const char* piece : {"\u2581", "h", "e", "l", "o"}) vocab.emplace(piece, vocab.size());
  add_merges(model, {{"\u2581", "h"}, {"e", "l"}, {"l", "o"}, {"\u2581h", "el"}, {"\u2581hel", "lo"}});
  return {{"version", "1.0"},
          {"added_tokens", {added(0, "<unk>", true), added(1, "<s>", true), added(2, "</s>", true)}},
          {"normalizer",
           {{"type", "Sequence"},
            {"normalizers",
             {{{"type", "Prepend"}, {"prepend", space}},
              {{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", space}}}}}},
          {"post_processor",
           {{"type", "TemplateProcessing"},
            {"single",
             {{{"SpecialToken", {{"id", "<s>"}, {"type_id", 0}}}}, {{"Sequence", {{"id", "A"}, {"type_id", 0}}}}}},
            {"pair", {{{"Sequence", {{"id", "A"}, {"type_id", 0}}}}, {{"Sequence", {{"id", "B"}, {"type_id", 1}}}}}},
            {"special_tokens", {{"<s>", {{"id", "<s>"}, {"ids", {1}}, {"tokens", {"<s>"}}}}}}}},
          {"decoder",
           {{"type", "Sequence"},
            {"decoders",
             {{{"type", "Replace"}, {"pattern", {{"String", space}}}, {"content", " "}},
              {{"type", "ByteFallback"}},
              {{"type", "Fuse"}},
              {{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}}}}}},
          {"model", model}};
}

}  // namespace coho::test
