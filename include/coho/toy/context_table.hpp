#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include <Eigen/Core>

#include <coho/detail/if_called.hpp>
#include <coho/error.hpp>
#include <coho/packed.hpp>

namespace coho::inline v0_1::toy {

/// Numbers the contexts of a toy language: the last `order` tokens before a position, prompt included, with a blank
/// for each token missing at the start. For order n over a vocabulary of v tokens there are (v + 1)ⁿ contexts.
class context_table {
 public:
  template <class = detail::if_called>
  context_table(std::size_t vocabulary, std::size_t order) : vocabulary_(vocabulary), order_(order) {
    require_option(vocabulary >= 1, "vocabulary", vocabulary, "at least 1");
    for (std::size_t i = 0; i < order; ++i) {
      contexts_ *= vocabulary + 1;
      require_option(contexts_ <= 10'000'000, "order", order, "small enough for ten million contexts");
    }
  }

  /// The number of tokens of the vocabulary.
  std::size_t vocabulary() const noexcept { return vocabulary_; }
  /// The number of contexts: the rows of the table.
  std::size_t contexts() const noexcept { return contexts_; }

  /// The context after `text`. Throws `argument_error` for a token outside the vocabulary.
  template <class = detail::if_called>
  std::size_t context_after(std::span<const token> text) const {
    std::size_t context = 0;
    for (const token t : text.last(std::min(order_, text.size()))) context = next_context(context, t);
    return context;
  }
  /// The context once token `t` is appended. Throws `argument_error` for a token outside the vocabulary.
  template <class = detail::if_called>
  std::size_t next_context(std::size_t context, token t) const {
    require_argument(t >= 0 && static_cast<std::size_t>(t) < vocabulary_,
                     "token " + std::to_string(t) + " is outside the vocabulary of " + std::to_string(vocabulary_));
    return (context * (vocabulary_ + 1) + static_cast<std::size_t>(t) + 1) % contexts_;
  }
  /// The context before each response token of a batch, laid out as `batch.responses.values`.
  template <class = detail::if_called>
  std::vector<std::size_t> response_contexts(const token_batch& batch) const {
    std::vector<std::size_t> out;
    out.reserve(batch.responses.total());
    for (std::size_t i = 0; i < batch.size(); ++i) {
      std::size_t context = context_after(batch.prompts[i]);
      for (const token t : batch.responses[i]) {
        out.push_back(context);
        context = next_context(context, t);
      }
    }
    return out;
  }

 private:
  std::size_t vocabulary_, order_, contexts_ = 1;
};

}  // namespace coho::inline v0_1::toy
