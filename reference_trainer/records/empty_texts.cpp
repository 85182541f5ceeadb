#include "records/empty_texts.hpp"

#include <coho/reward/empty_response.hpp>

namespace coho::trainer {

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
