#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <coho/packed.hpp>

#include "tokenizer/text_tokenizer.hpp"

namespace coho::trainer {

/// What the files in a model's folder say about special tokens; each file may be absent.
struct tokenizer_files {
  /// The text of a special token: unspecified, specified as none (null), or a text.
  struct named_token {
    bool given = false;
    std::string text;  ///< empty: none
    std::string file;  ///< the file that says so
  };

  /// In increasing order of ids: from tokenizer.json, `added_tokens_decoder` in tokenizer_config.json and
  /// added_tokens.json; of contradictory ones the first.
  std::vector<added_token> added;
  named_token begin, end;
  std::optional<bool> add_begin, add_end;   ///< `add_bos_token`, `add_eos_token`
  bool has_config = false;                  ///< tokenizer_config.json is there
  bool has_json = false;                    ///< tokenizer.json is there
  std::vector<token> json_begin, json_end;  ///< what tokenizer.json's template puts before and after a text
  std::optional<token> model_begin;         ///< `bos_token_id` of config.json
  std::vector<token> generation_ends;       ///< `eos_token_id` of generation_config.json, one id or a list
  std::vector<std::string> contradictions;
};

/// Reads tokenizer_config.json, special_tokens_map.json (only if the former has no `added_tokens_decoder`, as
/// transformers does), added_tokens.json, tokenizer.json, generation_config.json and the begin token of config.json.
/// Throws `file_error` naming file and field for a value of the wrong type.
tokenizer_files read_tokenizer_files(const std::filesystem::path& directory);

}  // namespace coho::trainer
