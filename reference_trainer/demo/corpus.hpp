#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include <coho/rng.hpp>

#include "demo/principles.hpp"
#include "demo/world.hpp"

namespace coho::trainer::demo {

/// The weight of the loss on the tokens of text[begin, end). Both ends are token boundaries.
struct weighted_span {
  std::size_t begin = 0, end = 0;
  double weight = 1;
};

/// A training text. Tokens outside every span have weight 0.
struct document {
  std::string text;
  std::vector<weighted_span> spans;
  double end_weight = 0;  ///< above 0: the end token follows, with this weight
};

/// The contents of the demo's template files (with the placeholders of judge, reward and inference templates).
struct corpus_templates {
  std::string judge, reward, inference;
};

struct corpus_options {
  std::size_t steps = 1250;
  std::size_t documents_per_step = 56;
  double answer_weight = 5;
  double reply_weight = 0.1;  ///< on the replies inside judging documents
};

/// The content of a review.
struct review_form {
  std::size_t principles = 1;  ///< 1 to 6, all different
  bool negations = false;      ///< each principle negated half of the time
  bool levels = false;         ///< the level of each principle after its line
};

/// The training text of the base model, as a stream by step.
///
/// Three kinds of document, each in the exact template that its stage renders: dialogues (inference), reviews, which
/// end in a level (reward), and pairs, which end in a letter (judge). Curriculum: for the first 20 % of the steps
/// dialogues, reviews under one principle and reviews that show a level after each principle, all without negations;
/// then negations as well, and pairs that show a level after each output; from 60 % pairs as the judging stage renders
/// them, and mostly such reviews. Letters are drawn with the log-odds that `true_score` gives; the level of a list is
/// the mean of its principles'.
///
///     corpus c(templates, {.steps = 1250});
///     for (std::size_t step = 0; step < 1250; ++step) { rng r(seed, step); train(c.batch(step, r)); }
class corpus {
 public:
  /// Throws coho::argument_error when a template lacks a placeholder, coho::option_error for options out of range.
  corpus(corpus_templates templates, corpus_options options);

  /// The documents of a step, `documents_per_step` of them, mixed as the curriculum says.
  std::vector<document> batch(std::size_t step, rng& random) const;

  /// A prompt and its reply; all of the reply is trained on, and the end token after it.
  document dialogue(rng& random) const;
  /// A reply under the principles of `form`, and its level as one word at the end.
  document review(const review_form& form, rng& random) const;
  /// Two replies under one principle, and the letter of one of them at the end. `with_levels`: each reply's level is
  /// written after it.
  document pair(bool with_levels, rng& random) const;

  const corpus_options& options() const noexcept { return options_; }

 private:
  // Adds the answer to the text, trained on with `answer_weight`.
  void append_answer(document& to, std::string_view answer) const;

  corpus_templates templates_;
  corpus_options options_;
};

/// Texts with every word of the world and of its templates about equally often: the training text of the tokenizer.
std::vector<std::string> tokenizer_texts(const corpus& source, std::size_t documents, rng& random);

}  // namespace coho::trainer::demo
