#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <coho/packed.hpp>

#include "tokenizer/sentencepiece.hpp"

namespace coho::trainer {

/// What the files next to a `tokenizer.model` say about special tokens; every one of them may be absent.
struct tokenizer_files {
  /// The text of a special token: not said, said to be none (null), or a text.
  struct named_token {
    bool given = false;
    std::string text;  ///< empty: none
    std::string file;  ///< which file says so
  };

  /// In increasing order of ids: of `added_tokens_decoder` in tokenizer_config.json, of added_tokens.json, of
  /// tokenizer.json.
  std::vector<added_token> added;
  named_token begin, end;
  std::optional<bool> add_begin, add_end;  ///< `add_bos_token`, `add_eos_token`
  bool has_config = false;                 ///< tokenizer_config.json is there
  bool has_json = false;                   ///< tokenizer.json is there
  std::vector<token> json_begin;           ///< what tokenizer.json's template puts before a text
  std::optional<token> model_begin;        ///< `bos_token_id` of config.json
  std::vector<token> generation_ends;      ///< `eos_token_id` of generation_config.json, one id or a list
  std::vector<std::string> contradictions;
};

/// Reads tokenizer_config.json, special_tokens_map.json (only where the former has no `added_tokens_decoder`, as
/// transformers does), added_tokens.json, tokenizer.json, generation_config.json and the begin token of config.json.
/// Throws `file_error` naming file and field for what has another type than it must.
tokenizer_files read_tokenizer_files(const std::filesystem::path& directory);

}  // namespace coho::trainer
