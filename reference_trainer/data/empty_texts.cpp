#include "data/empty_texts.hpp"

#include "text/utf8.hpp"

namespace coho::trainer {
namespace {

bool is_white(char32_t c) {
  return c == U' ' || (c >= U'\t' && c <= U'\r') || c == U'\u0085' || c == U'\u00A0' || c == U'\u1680' ||
         (c >= U'\u2000' && c <= U'\u200B') || c == U'\u2028' || c == U'\u2029' || c == U'\u202F' || c == U'\u205F' ||
         c == U'\u3000' || c == U'\uFEFF';
}

}  // namespace

bool is_blank(std::string_view text) noexcept {
  while (!text.empty()) {
    const auto length = utf8_length(text);
    if (length == 0 || !is_white(utf8_code_point(text))) return false;
    text.remove_prefix(length);
  }
  return true;
}

void refuse_empty_texts(const prompt_record& record, const jsonl_reader& at) {
  if (is_blank(record.text())) at.fail("the prompt is empty");
}

void refuse_empty_texts(const sft_record& record, const jsonl_reader& at) {
  refuse_empty_texts(record.prompt, at);
  if (is_blank(record.response)) at.fail("the response is empty or white space: there is nothing to learn from");
}

void refuse_empty_texts(const sample_record& record, const jsonl_reader& at) { refuse_empty_texts(record.prompt, at); }
void refuse_empty_texts(const pair_record& record, const jsonl_reader& at) { refuse_empty_texts(record.prompt, at); }
void refuse_empty_texts(const judgement_record& record, const jsonl_reader& at) {
  refuse_empty_texts(record.pair.prompt, at);
}
void refuse_empty_texts(const preference_record& record, const jsonl_reader& at) {
  refuse_empty_texts(record.prompt, at);
}

void refuse_empty_texts(const labelled_record& record, const jsonl_reader& at) {
  refuse_empty_texts(record.prompt, at);
  if (is_blank(record.response)) at.fail("the response is empty or white space: there is nothing to learn from");
}

}  // namespace coho::trainer
