#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <coho/prompt/self_align_prompt.hpp>

#include "config/column_option.hpp"
#include "config/config.hpp"
#include "config/recipe_option.hpp"
#include "datasets/self_align_filter.hpp"
#include "generation/engine.hpp"
#include "settings/model_settings.hpp"

namespace coho::trainer {

/// The section `self_align`.
struct self_align_options {
  std::filesystem::path prompts{}, rules{}, exemplars{}, template_name{};
  column_choice columns{};
  std::string rejected{};
  std::size_t batch = 256, limit = 0, max_question_tokens = 0, max_new_tokens = 640;
  std::int64_t slots = engine_options{}.slots;
  double top_p = 1;
  std::vector<std::string> stop{};
  self_align_filter_options filters{};

  static void describe(auto&& visit, auto&... o) {
    visit(required({"prompts", "file of prompts"}), o.prompts...);
    visit(columns_option, o.columns...);
    visit(otherwise("shipped", {"rules", "file of the rules that answers follow: a path or a shipped name"}),
          o.rules...);
    visit(otherwise("shipped", {"exemplars", "file of the exemplars before each question"}), o.exemplars...);
    visit(otherwise("shipped", {"template", "file of the template around rules and exemplars"}), o.template_name...);
    visit(otherwise("none", {"rejected", "file that removed records are written to"}), o.rejected...);
    visit({"batch", "number of prompts answered at a time", allowed::count(), "prompts"}, o.batch...);
    visit({"limit", "number of prompts used, from the start of the file; 0: all", {}, "prompts"}, o.limit...);
    visit({"max_question_tokens",
           "longest question; 0: what prefix and answer leave of the model's context",
           {},
           "tokens"},
          o.max_question_tokens...);
    visit(otherwise("generation.max_new_tokens", {"max_new_tokens", "longest response", allowed::count(), "tokens"}),
          o.max_new_tokens...);
    visit(
        otherwise("generation.slots", {"slots", "number of sequences decoded together", allowed::count(), "sequences"}),
        o.slots...);
    visit(otherwise("generation.top_p",
                    {"top_p", "sample from the most probable tokens that hold this much probability; 1: off",
                     allowed::in_up_to(0, 1)}),
          o.top_p...);
    visit({"stop", "texts that end a response, in addition to the template's"}, o.stop...);
    self_align_filter_options::describe(visit, o.filters...);
  }
  /// Throws config_error for an empty stop string, and for filters.unfinished, which `unfinished` decides.
  void resolve(const config& section);
};

/// The sections `self_align`, `generation` and `model` as `coho self-align` reads them.
struct self_align_settings {
  std::filesystem::path prompts, adapter;
  column_choice columns{};              ///< of the prompts
  std::filesystem::path rejected;       ///< of rejected records; empty: not written
  std::size_t batch = 256;              ///< prompts at a time
  std::size_t limit = 0;                ///< prompts in all; 0: the whole file
  std::size_t max_question_tokens = 0;  ///< 0: the context left by prefix and answer
  model_settings model{};
  generation_options generation{};
  engine_options engine{};
  std::vector<principle> rules{};
  std::optional<self_align_prompt> prompt{};  ///< absent, as the rules, while one of its files is missing
  self_align_filter_options filters{};
};

/// Throws config_error and option_error for keys, file_error for rules, exemplars and template. With `may_lack_files`
/// (a dry run) missing files are not an error.
self_align_settings read_self_align_settings(const config& options, bool may_lack_files);

/// The sampling that self_align has without a section `generation`.
generation_options self_align_sampling();

}  // namespace coho::trainer
