#include "models/shown_examples.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include <coho/error.hpp>

#include "datasets/preference_data.hpp"
#include "models/sft_prompts.hpp"
#include "observe/format.hpp"
#include "text/utf8.hpp"

namespace coho::trainer {
namespace {

constexpr std::string_view opening = "⟦", closing = "⟧";

std::string labelled(std::string_view label, const std::string& text) {
  return std::string(label) + ": " + text + "\n";
}

// The number of bytes of the first `count` characters.
std::size_t bytes_of(std::string_view text, std::size_t count) {
  std::size_t at = 0;
  const auto continues = [&] { return at < text.size() && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80; };
  for (; count > 0 && at < text.size(); --count) {
    ++at;
    while (continues()) ++at;
  }
  return at;
}

}  // namespace

shown_examples::shown_examples(shown_example_options options, const loaded_model* model)
    : options_(std::move(options)) {
  if (model == nullptr) return;
  tokenizer_ = model->tokenizer;
  prompts_ = make_prompters(options_.forms, *model);
  wording_ = load_reward_wording(options_.reward);
}

std::string shown_examples::shorten(std::string_view text) const {
  const std::size_t all = count_utf8_characters(text), limit = options_.characters;
  if (limit == 0 || all <= limit) return std::string(text);
  const std::size_t head = (limit + 1) / 2, tail = limit / 2;
  return std::string(text.substr(0, bytes_of(text, head))) + " …[" + std::to_string(all - head - tail) +
         " characters]… " + std::string(text.substr(bytes_of(text, all - tail)));
}

std::string shown_examples::show(std::span<const token> tokens, std::span<const double> weights) const {
  std::string out, part;
  std::size_t learned = 0;
  const auto is_learned = [&](std::size_t i) { return i < weights.size() && weights[i] > 0; };
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    learned += is_learned(i);
    part += tokenizer_->is_control(tokens[i]) ? tokenizer_->display_text(tokens[i])
                                              : std::string(tokenizer_->token_bytes(tokens[i]));
    if (i + 1 < tokens.size() && is_learned(i) == is_learned(i + 1)) continue;
    const auto text = shorten(repair_utf8(std::exchange(part, {})));
    out += is_learned(i) ? std::string(opening) + text + std::string(closing) : text;
  }
  return out + "\n(" + std::to_string(tokens.size()) + " tokens" +
         (weights.empty() ? "" : ", " + std::to_string(learned) + " learned") + ")\n";
}

std::string shown_examples::show(std::span<const chat_message> messages, bool replies_are_learned) const {
  constexpr std::array names{"system", "user", "assistant"};
  std::string out;
  for (const auto& message : messages) {
    const bool learned = replies_are_learned && message.role == chat_role::assistant && message.weight > 0;
    const auto text = shorten(message.text);
    out += labelled(names[static_cast<std::size_t>(message.role)],
                    learned ? std::string(opening) + text + std::string(closing) : text);
  }
  return out;
}

std::string shown_examples::operator()(const prompt_record& record) const {
  const auto messages = record.messages();
  if (!tokenizer_) return show(messages, false);
  return show(prompts_.front().tokens(messages), {});
}

std::string shown_examples::operator()(const source_prompt& record) const {
  return labelled("prompt", shorten(record.prompt.text()));
}

std::string shown_examples::operator()(const sft_record& record, std::size_t number) const {
  const auto& sft = options_.sft;
  if (!tokenizer_) return show(trained_messages(record, sft.replies), true);
  const auto example =
      make_supervised_example(record, prompts_[number % prompts_.size()], sft.max_response_tokens, sft.replies);
  if (example.response.empty()) return "no reply has a weight above 0: the record is left out\n";
  auto tokens = example.prompt;
  std::vector<double> weights(tokens.size(), 0.0);
  tokens.insert(tokens.end(), example.response.begin(), example.response.end());
  if (example.token_weights.empty()) weights.resize(tokens.size(), 1.0);
  weights.insert(weights.end(), example.token_weights.begin(), example.token_weights.end());
  return show(tokens, weights);
}

std::string shown_examples::operator()(const preference_record& record) const {
  std::vector<preference_batch> batch;
  try {
    batch.emplace_back(std::vector{record}, options_.principles);
  } catch (const argument_error& problem) {
    return std::string(problem.what()) + " (reward.principles)\n";
  }
  const auto& pair = batch.front().pairs().front();
  std::string out;
  if (!tokenizer_) {
    out = labelled("prompt", shorten(pair.chosen.prompt));
    for (const auto& line : pair.chosen.principles) out += labelled("principle", line);
    out += labelled("chosen", shorten(pair.chosen.response));
    out += labelled("rejected", shorten(pair.rejected.response));
  } else {
    reward_cuts cuts;
    const auto text = [&](const reward_query& query) {
      return show(reward_tokens(query, *tokenizer_, wording_->guided, wording_->plain, options_.reward.limits, cuts),
                  {});
    };
    out = labelled("chosen", text(pair.chosen)) + labelled("rejected", text(pair.rejected));
  }
  return out + "learned: the score at the end of chosen above that of rejected" +
         (pair.loss_margin == 0 ? "" : ", by a margin of " + format_short(pair.loss_margin)) + "\n";
}

std::string shown_examples::operator()(const sample_record& record) const {
  std::string out = labelled("prompt", shorten(record.prompt.text()));
  for (const auto& response : record.responses) out += labelled("response", shorten(response));
  return out;
}

std::string shown_examples::operator()(const judgement_record& record) const {
  std::string out = labelled("prompt", shorten(record.pair.prompt.text())) +
                    labelled("response 1", shorten(record.pair.response_1)) +
                    labelled("response 2", shorten(record.pair.response_2));
  for (const auto& score : record.scores)
    out += labelled("log-odds of response 1, " + score.principle, format_short(score.mean()));
  return out;
}

}  // namespace coho::trainer
