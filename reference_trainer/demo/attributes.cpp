#include "demo/attributes.hpp"

#include <array>
#include <bitset>
#include <optional>

#include "demo/language.hpp"
#include "text/white_space.hpp"

namespace coho::trainer::demo {
namespace {

// Counts sentence by sentence, for texts and for replies in the grammar's own form. Without a prompt nothing is on
// topic.
class attribute_counter {
 public:
  explicit attribute_counter(std::optional<prompt> asked) : asked_(asked) {}

  // A sentence that the grammar accepts.
  void add(const sentence& s) {
    ++accepted_;
    switch (s.kind) {
      case sentence_kind::hedge:
        out_.hedge = true;
        break;
      case sentence_kind::question:
        out_.question = true;
        break;
      case sentence_kind::self_praise:
        out_.self_praise = true;
        break;
      case sentence_kind::example:
        out_.example = true;
        count_object(s.object);
        break;
      case sentence_kind::fact:
        stated_.set(s.object * facts_per_object + s.variant);
        count_object(s.object);
        break;
    }
  }
  void add_invalid() { ++rejected_; }

  // The attributes once all sentences are added; the language and words are those of the whole text.
  attributes finish(language in, std::size_t words) {
    out_.facts = stated_.count();
    out_.in = in;
    out_.same_language = asked_ && in == asked_->in;
    out_.on_topic = on_object_ > 0 && off_object_ == 0;
    const std::size_t sentences = accepted_ + rejected_;
    out_.valid = sentences == 0 ? 0.0 : static_cast<double>(accepted_) / static_cast<double>(sentences);
    out_.words = words;
    return out_;
  }

 private:
  // What a fact or example is about: the prompt's object, or another.
  void count_object(std::size_t object) { ++(asked_ && asked_->object == object ? on_object_ : off_object_); }

  std::optional<prompt> asked_;
  attributes out_;
  std::bitset<object_count * facts_per_object> stated_;
  std::size_t accepted_ = 0, rejected_ = 0, on_object_ = 0, off_object_ = 0;
};

std::string_view trim(std::string_view text) { return trim_characters(text, " \n\t"); }

}  // namespace

attributes parse_attributes(std::string_view reply_text, std::string_view prompt_text) {
  attribute_counter seen(parse_prompt(trim(prompt_text)));
  const std::string_view text = trim(reply_text);
  for (std::string_view rest = text; !(rest = trim(rest)).empty();) {
    const auto end = rest.find_first_of(".?");
    const std::string_view one = end == std::string_view::npos ? rest : rest.substr(0, end + 1);
    if (const auto parsed = parse_sentence(one)) {
      seen.add(parsed->first);
    } else {
      seen.add_invalid();
    }
    rest.remove_prefix(one.size());
  }
  return seen.finish(identify_demo_language(text), count_words(text));
}

attributes measure_attributes(const reply& r, const prompt& p) {
  attribute_counter seen(p);
  for (const sentence& s : r.sentences) seen.add(s);
  return seen.finish(r.sentences.empty() ? language::neither : r.in, count_words(render(r)));
}

}  // namespace coho::trainer::demo
