#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <coho/detail/if_called.hpp>
#include <coho/error.hpp>
#include <coho/packed.hpp>

namespace coho::inline v0_1::toy {

/// A tokenizer over a fixed list of words: text is split at spaces, token i is word i. The end token decodes to
/// nothing. Unknown words throw `argument_error`.
///
///     coho::toy::vocabulary_tokenizer words{{"</s>", "the", "fox"}, 0};
///     words.encode("the fox");  // {1, 2}
class vocabulary_tokenizer {
 public:
  template <class = detail::if_called>
  vocabulary_tokenizer(std::vector<std::string> words, token end) : words_(std::move(words)), end_(end) {
    require_option(end >= 0 && static_cast<std::size_t>(end) < words_.size(), "end", end, "the index of a word");
    for (std::size_t i = 0; i < words_.size(); ++i) {
      const bool fresh = ids_.emplace(words_[i], static_cast<token>(i)).second;
      require_argument(fresh, "the word \"" + words_[i] + "\" occurs twice in the vocabulary");
    }
  }

  /// The words between spaces, of which runs count as one. Throws `argument_error` for an unknown word.
  template <class = detail::if_called>
  std::vector<token> encode(std::string_view text) const {
    std::vector<token> out;
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t end = std::min(text.find(' ', at), text.size());
      if (end > at) {
        const auto word = text.substr(at, end - at);
        const auto found = ids_.find(word);
        require_argument(found != ids_.end(), "the word \"" + std::string(word) + "\" is not in the vocabulary");
        out.push_back(found->second);
      }
      at = end + 1;
    }
    return out;
  }

  /// The words with one space between them, end tokens left out. Throws `argument_error` for an id outside the list.
  template <class = detail::if_called>
  std::string decode(std::span<const token> tokens) const {
    std::string out;
    for (const token t : tokens) {
      require_argument(t >= 0 && static_cast<std::size_t>(t) < words_.size(),
                       "token " + std::to_string(t) + " is outside the vocabulary");
      if (t == end_) continue;
      if (!out.empty()) out += ' ';
      out += words_[static_cast<std::size_t>(t)];
    }
    return out;
  }

  token eos() const noexcept { return end_; }
  std::size_t size() const noexcept { return words_.size(); }

 private:
  std::vector<std::string> words_;
  std::map<std::string, token, std::less<>> ids_;
  token end_;
};

}  // namespace coho::inline v0_1::toy
