#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "config/column_option.hpp"
#include "config/config.hpp"
#include "config/option_list.hpp"
#include "records/records.hpp"

namespace coho::trainer {

/// The type that a source gives its prompts.
enum class source_type : std::uint8_t { of_record, general, reasoning, red_teaming };
constexpr auto option_names(source_type) { return std::array{"of_record", "general", "reasoning", "red_teaming"}; }

/// A collection of `[[prompts.source]]`.
struct prompt_source_settings {
  std::string name{};
  std::filesystem::path path{};
  std::optional<std::size_t> count{};
  source_type question_type = source_type::of_record;
  std::optional<prompt_type> type{};  ///< of `question_type`
  std::optional<double> length_bonus{};
  std::vector<std::string> languages{};
  std::vector<std::string> categories{};  ///< empty: all
  std::vector<std::string> parts{};       ///< of the collection, each with its part of `count`; empty: not asked for
  column_choice columns{};
  bool leave_out_inference = false;

  static void describe(auto&& visit, auto&... o) {
    visit(required({"path", "a file or a folder of prompts"}), o.path...);
    visit(otherwise("all", {"count", "number of prompts drawn from the source; 0: it is left out", {}, "prompts"}),
          o.count...);
    visit({"question_type", "type given to the prompts; of_record: each record's own"}, o.question_type...);
    visit(otherwise("the record's", {"length_bonus", "factor on the length bonus of the prompts in ppo"}),
          o.length_bonus...);
    visit(otherwise("those of the section", {"languages", "languages of the prompts that are kept; empty: all"}),
          o.languages...);
    visit(otherwise("all", {"categories", "categories of the records that are kept"}), o.categories...);
    visit(otherwise("none", {"parts", "parts of the collection that are drawn from; count is divided among them"}),
          o.parts...);
    visit(columns_option, o.columns...);
    visit({"leave_out_inference", "whether questions about a given text are left out"}, o.leave_out_inference...);
  }
  /// Sets `type`. Throws config_error for parts that are empty or named twice.
  void resolve(const config& section);
};

/// The section `prompts`, or `rl_prompts`, as `coho prompts` reads it.
struct prompt_set_settings {
  std::filesystem::path tokenizer{};
  std::size_t minimum_tokens = 2, maximum_tokens = 256;  ///< maximum 0: no limit
  std::size_t held_out = 0;
  std::filesystem::path held_out_file{};  ///< where those go; empty without any
  std::vector<std::filesystem::path> exclude{};
  bool require_counts = false;
  std::optional<double> reasoning_length_bonus{};
  std::vector<prompt_source_settings> sources{};
  std::string held_out_name{};
  std::vector<std::string> languages{};

  /// Without the sources, which are named.
  static void describe(auto&& visit, auto&... o) {
    visit(otherwise("model.path", {"tokenizer",
                                   "tokenizer that counts the tokens: a tokenizer.json, a tokenizer.model, "
                                   "or their folder"}),
          o.tokenizer...);
    visit({"minimum_tokens", "shortest prompt that is kept", {}, "tokens"}, o.minimum_tokens...);
    visit({"maximum_tokens", "longest prompt that is kept; 0: no limit", {}, "tokens"}, o.maximum_tokens...);
    visit({"held_out", "number of prompts, drawn by the seed, that go to held_out_file instead", {}, "prompts"},
          o.held_out...);
    visit(otherwise("NAME_held_out.jsonl", {"held_out_file",
                                            "file of the held-out prompts; without a folder: next to "
                                            "--out"}),
          o.held_out_name...);
    visit({"exclude", "file or files of prompts to leave out"}, o.exclude...);
    visit({"require_counts", "whether too few prompts of a source are an error"}, o.require_counts...);
    visit({"reasoning_length_bonus", "length_bonus of reasoning prompts whose source gives none"},
          o.reasoning_length_bonus...);
    visit(otherwise("all", {"languages", "languages of the prompts that are kept; \"un\": not identified"}),
          o.languages...);
  }
  /// Throws config_error for limits that leave no prompt, and for an empty held_out_file.
  void check_constraints(const config& section) const;
};
/// The section of that name for lists of options, and the keys of a source as source.NAME.
option_section prompt_set_section(const std::string& name);

/// Reads the section of that name, "prompts" or "rl_prompts", for a set that is written to the file `set`. Throws
/// config_error, also where no source is left to draw from.
prompt_set_settings read_prompt_set_settings(const config& options, const std::string& name,
                                             const std::filesystem::path& set);

}  // namespace coho::trainer
