#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace coho::trainer {

/// One thing that a check of a collection has to say.
struct principle_finding {
  std::string place;  ///< "entry 3 (\"Concise\")", or empty for the whole collection
  std::string text;
  bool wrong = true;  ///< false: worth knowing, and may be meant so
};

/// One entry of a collection, as far as it can be read.
struct principle_measures {
  std::string name, definition, negative_definition;
  double weight = 1.0;
  double drawn = 0;  ///< the probability of being among the k that a prompt gets
  /// Of the definition; tokens: 0 without a tokenizer.
  std::size_t characters = 0, words = 0, tokens = 0;
};

struct principle_report {
  std::vector<principle_measures> entries;
  std::vector<principle_finding> findings;
  bool sound() const;  ///< nothing is wrong
};

struct principle_check_options {
  std::size_t drawn_together = 3;  ///< k
  double near_same = 0.7;          ///< definitions are near-same from this share of common text on
  std::function<std::size_t(std::string_view)> count_tokens{};
};

/// Reads a collection as load_principles does, but goes on where that stops, and says all that is wrong: members
/// missing, empty, mistyped or unknown; weights that are negative, or all 0; names that occur twice; definitions that
/// are the same or near-same (text_overlap), also a negative definition that is its own positive one; definitions that
/// do not end as sentences; a negation missing where others have one. Notes: a collection without any negation, entries
/// of weight 0, fewer drawable principles than `drawn_together`. Throws `file_error` for a file that is missing, no
/// JSON or no list, `option_error` for options out of range.
principle_report check_collection(const std::filesystem::path& path, const principle_check_options& options = {});

/// The share of text that two definitions have in common, 0 to 1: the Jaccard index of their sets of four letters in a
/// row, capitals and everything but letters and digits aside; a difference of a word or two in a sentence gives 0.8 and
/// more. Works for scripts that do not part words.
double text_overlap(std::string_view a, std::string_view b);

/// Whether a text ends as a sentence does: ". ! ? …" or their wide forms, behind which quotes or brackets may close.
bool ends_as_sentence(std::string_view text);

/// For each weight the probability that its entry is among `count` drawn by sample_without_replacement. Weights of 0
/// are never drawn; with no more than `count` others, all of those are.
///
/// Drawing is a race of independent exponential clocks of rates w, so that
/// p_i = ∫₀¹ P(fewer than count of the others have rung when u = exp(−w_i t)) du, each j ≠ i with 1 − u^{w_j/w_i}.
std::vector<double> inclusion_probabilities(std::span<const double> weights, std::size_t count);

}  // namespace coho::trainer
