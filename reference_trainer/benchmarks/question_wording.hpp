#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace coho::trainer {

/// The wording of an evaluation's question: a text that holds each of the given placeholders ("{Input}") once, in any
/// order, and ends where the model is to go on. Line ends behind it are dropped; texts put in are not looked at for
/// placeholders.
///
/// Throws file_error naming the placeholder that is missing or occurs twice, and for a text that ends with one.
///
///     question_wording wording("{Question} {Answer}: true or false? It is", "truthfulqa.txt", {"{Question}", "{Answer}"});
///     std::string prompt = wording({question, answer});
class question_wording {
 public:
  question_wording(std::string_view text, std::string_view source_name, const std::vector<std::string>& placeholders);
  static question_wording from_file(const std::filesystem::path& path, const std::vector<std::string>& placeholders);

  /// The values in the order of the placeholders given at construction.
  std::string operator()(const std::vector<std::string_view>& values) const;

 private:
  std::vector<std::string> texts_;         ///< around the placeholders, one more than those
  std::vector<std::size_t> placeholders_;  ///< which of the values stands at each place
};

}  // namespace coho::trainer
