#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace coho::trainer {

/// The wording of an evaluation's question: a text that contains each of the given placeholders ("{Input}") once, in
/// any order, and ends where the model continues. Trailing line breaks are dropped; inserted texts are not searched for
/// placeholders.
///
/// Throws file_error naming the placeholder that is missing or repeated, and for a text that ends with one.
///
///     question_wording wording("{Question} {Answer}: true or false? It is", "truthfulqa.txt", {"{Question}", "{Answer}"});
///     std::string prompt = wording({question, answer});
class question_wording {
 public:
  /// `source_name`: the file in messages.
  question_wording(std::string_view text, std::string_view source_name, const std::vector<std::string>& placeholders);
  /// Reads a text file of at most 1 MiB.
  static question_wording from_file(const std::filesystem::path& path, const std::vector<std::string>& placeholders);

  /// The text with values in place of placeholders, in the order in which these were given at construction.
  std::string operator()(const std::vector<std::string_view>& values) const;

 private:
  std::vector<std::string> texts_;         ///< the texts around the placeholders, one more than placeholders
  std::vector<std::size_t> placeholders_;  ///< the index of the value at each position
};

}  // namespace coho::trainer
