#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include <coho/rng.hpp>

#include "config/config.hpp"
#include "config/recipe_option.hpp"
#include "records/records.hpp"

namespace coho::trainer {

/// Which pairs of a prompt's n responses are compared.
enum class pairing {
  first_two,  ///< the first with the second: one
  adjacent,   ///< each with the next: n − 1
  all,        ///< each with each: n(n − 1)/2
  random,     ///< some of all, drawn without replacement
};
constexpr auto option_names(pairing) { return std::array{"first_two", "adjacent", "all", "random"}; }

/// How pairs are chosen.
struct pairing_options {
  pairing kind = pairing::first_two;
  std::size_t draws = 1;               ///< pairs per prompt for `random`; fewer if there are not enough
  std::size_t minimum_characters = 0;  ///< shorter responses are in no pair
  rng random{0};                       ///< the draw for prompt i depends only on this and i

  /// Without `random`, which follows from the seed of the run: see `pairing_rng`.
  static void describe(auto&& visit, auto&... o) {
    visit({"pairs", "which of a prompt's responses are compared"}, o.kind...);
    visit({"pairs_per_prompt", "number of pairs drawn per prompt with pairs = \"random\"", allowed::count(), "pairs"},
          o.draws...);
    visit({"minimum_characters", "length below which a response is not compared", {}, "characters"},
          o.minimum_characters...);
  }
  /// Throws config_error for draws that are given and have no effect.
  void check_constraints(const config& section) const;
};
/// The generator of `pairing_options::random` for a run's seed.
rng pairing_rng(std::uint64_t seed);

/// Indices (i, j), i < j, of the responses that are compared with each other, in order. `prompt` is the prompt's index,
/// on which a random draw depends.
///
///     choose_pairs(3, {.kind = pairing::all}, 0);  // (0,1) (0,2) (1,2)
std::vector<std::pair<std::size_t, std::size_t>> choose_pairs(std::size_t responses, const pairing_options& options,
                                                              std::uint64_t prompt);

/// The pairs of responses in files of samples over the same prompts, read as a stream in constant memory: record i of
/// every file has responses to prompt i.
///
/// Duplicates of a response are left out, and so are responses of fewer than `minimum_characters`, together with their
/// pairs. Throws file_error, naming file and line, if a file's prompt differs from the first file's, if one ends before
/// the others, and for a prompt with fewer than two responses (counting duplicates).
///
///     pair_stream pairs({"at-0.7.jsonl", "at-1.0.jsonl"}, {.kind = pairing::all});
///     for (pair_record pair; pairs.next(pair);) judge(pair);
class pair_stream {
 public:
  pair_stream(const std::vector<std::filesystem::path>& files, pairing_options options,
              const column_choice& columns = {});

  /// The next pair; false after the last.
  bool next(pair_record& pair);

  /// Counts of what was read so far.
  struct totals {
    std::size_t prompts = 0, pairs = 0;
    std::size_t equal_responses = 0;       ///< left out: equal to an earlier response to the prompt
    std::size_t short_responses = 0;       ///< left out: fewer characters than the minimum
    std::size_t empty_responses = 0;       ///< empty or white space; kept
    std::size_t prompts_without_pair = 0;  ///< with fewer than two responses left
  };
  const totals& counts() const noexcept { return counts_; }

 private:
  // Reads the next prompt's responses from all files, and the pairs to make of them; false at the end.
  bool next_prompt();

  std::vector<record_reader<sample_record>> readers_;
  pairing_options options_;
  totals counts_;
  prompt_record prompt_;
  std::vector<std::string> responses_;
  std::vector<std::pair<std::size_t, std::size_t>> pending_;  ///< pairs of the prompt, the next one at the back
};

}  // namespace coho::trainer
