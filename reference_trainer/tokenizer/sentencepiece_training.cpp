#include "tokenizer/sentencepiece_training.hpp"

#include <algorithm>
#include <sstream>
#include <unordered_map>

#include <coho/error.hpp>

#include "files/atomic_file.hpp"
#include "text/utf8.hpp"
#include "tokenizer/sentencepiece_library.hpp"
#include "tokenizer/sentencepiece_model.hpp"

namespace coho::trainer {
namespace {

/// One field of the comma-separated list in which the library takes symbols. Spaces are written as in pieces, because
/// the library searches for the symbols after it has replaced the spaces of the text.
std::string quote_symbol(const std::string& symbol) {
  std::string text = "\"";
  for (const char c : symbol) text += c == '"' ? "\"\"" : c == ' ' ? "\xE2\x96\x81" : std::string(1, c);
  return text + "\"";
}

// The library reports these too, but names neither the option nor its range.
void validate_training(std::span<const std::string> lines, std::size_t size,
                       const sentencepiece_training_options& options) {
  const auto reserved = 3 + std::size_t{options.pad} + (options.byte_fallback ? 256 : 0) + options.user_symbols.size();
  require_option(size > reserved && size <= (std::size_t{1} << 20), "vocabulary_size", size,
                 "above the " + std::to_string(reserved) + " reserved pieces and at most 1048576");
  require_option(options.character_coverage >= 0.98 && options.character_coverage <= 1, "character_coverage",
                 options.character_coverage, "in [0.98, 1]");
  for (const auto& symbol : options.user_symbols) {
    require_option(!symbol.empty() && symbol.size() <= sentencepiece_piece_limit && is_utf8(symbol) &&
                       symbol.find_first_of(std::string_view("\0", 1)) == std::string::npos,
                   "user_symbols", symbol, "UTF-8 text of 1 to 1024 bytes");
  }
  bool any = false;
  for (const auto& line : lines) any = any || !line.empty();
  require_argument(any, "train_sentencepiece: there is no text to train on");
}

}  // namespace

sentencepiece_tokenizer train_sentencepiece(std::span<const std::string> lines, std::size_t vocabulary_size,
                                            const std::filesystem::path& path,
                                            const sentencepiece_training_options& options) {
  validate_training(lines, vocabulary_size, options);
  const auto to_text = [](bool value) { return std::string(value ? "true" : "false"); };
  std::string symbols;
  for (const auto& symbol : options.user_symbols) symbols += (symbols.empty() ? "" : ",") + quote_symbol(symbol);
  std::ostringstream coverage;
  coverage << options.character_coverage;
  std::size_t longest = 4192;  // the library's limit, beyond which it would silently drop lines
  for (const auto& line : lines) longest = std::max(longest, line.size());

  std::unordered_map<std::string, std::string> arguments{
      {"model_type", options.kind == sentencepiece_training_options::model::bpe ? "bpe" : "unigram"},
      {"vocab_size", std::to_string(vocabulary_size)},
      {"character_coverage", coverage.str()},
      {"byte_fallback", to_text(options.byte_fallback)},
      {"split_digits", to_text(options.split_digits)},
      {"normalization_rule_name", "identity"},
      {"remove_extra_whitespaces", "false"},
      {"add_dummy_prefix", "true"},
      {"allow_whitespace_only_pieces", "true"},
      {"shuffle_input_sentence", "false"},
      {"max_sentence_length", std::to_string(longest)},
      {"num_threads", "1"},
      {"unk_id", "0"},
      {"bos_id", "1"},
      {"eos_id", "2"},
      {"pad_id", options.pad ? "3" : "-1"},
      {"minloglevel", "3"}};
  if (!symbols.empty()) arguments["user_defined_symbols"] = symbols;

  std::string model;
  const auto refusal = sentencepiece().train(arguments, lines, model);
  if (!refusal.empty()) throw argument_error("train_sentencepiece: " + refusal);
  auto tokenizer = sentencepiece_tokenizer::from_bytes(model, path.string());
  write_file(path, model);
  return tokenizer;
}

}  // namespace coho::trainer
