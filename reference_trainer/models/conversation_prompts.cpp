// How a prompter lays out conversations: in a chat format, or in plain form.
#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

#include <coho/error.hpp>

#include "jsonl/dropped_parts.hpp"
#include "models/prompter.hpp"
#include "records/conversation.hpp"

namespace coho::trainer {
namespace {

constexpr auto is_user = [](const chat_message& message) { return message.role == chat_role::user; };

// Several turns without a chat format: as in HH-RLHF, and as judges and reward models read them.
chat_prompt transcript_format() {
  return chat_prompt({.name = "plain",
                      .system_suffix = "\n\n",
                      .user_prefix = "Human: ",
                      .user_suffix = "\n\n",
                      .assistant_prefix = "Assistant:",
                      .history_gap = " ",
                      .assistant_suffix = "\n\n",
                      .trim_messages = true});
}

// The words of a template around a question, or only the question. A template's text may spell special tokens.
chat_piece lay_out_question(const std::string& question, const std::optional<prompt_template>& wording) {
  chat_piece out{.text = question, .begin = true};
  std::size_t front = 0, behind = 0;
  if (wording && wording->uses("Input")) {
    out.text = wording->render({{"Input", question}});
    front = wording->shared_prefix().size();
    behind = wording->tail().size();
  } else if (wording) {
    front = wording->tail().size();
    out.text = std::string(wording->tail()) + question;
  }
  if (front + behind < out.text.size()) out.messages.push_back({front, out.text.size() - behind});
  return out;
}

// Appends the reply to its question: they are one text, separated by a space, or by a line break that one of them
// contains.
void append_reply(chat_piece& piece, const chat_message& reply) {
  while (piece.text.ends_with(' ')) piece.text.pop_back();
  for (auto& message : piece.messages) message.end = std::min(message.end, piece.text.size());
  std::string_view words = reply.text;
  words.remove_prefix(std::min(words.find_first_not_of(' '), words.size()));
  const auto begin = piece.text.size();
  const bool separated = piece.text.empty() || piece.text.back() == '\n' || words.starts_with('\n');
  piece.text.append(separated ? "" : " ").append(words);
  piece.messages.push_back({begin, piece.text.size()});
  piece.replies.push_back(
      {.begin = begin, .end = piece.text.size(), .weight = reply.weight, .finished = reply.finished});
  piece.end = reply.finished;
}

// A conversation in plain form: a single question in the template's words, several turns as a transcript. `answered`:
// it ends with a reply.
chat_text lay_out_plain(std::span<const chat_message> messages, bool answered,
                        const std::optional<prompt_template>& wording) {
  conversation talk;
  const bool system = !messages.empty() && messages.front().role == chat_role::system;
  if (system) talk.system = messages.front().text;
  talk.turns.assign(messages.begin() + system, messages.end());
  require_argument(!talk.turns.empty() && is_user(talk.turns.back()) != answered,
                   answered ? "a conversation to be trained on must end with an assistant message"
                            : "a conversation to be answered must end with a user message");
  if (talk.turns.size() > 2 && !wording) {
    const auto form = transcript_format();
    return answered ? form.answered(messages) : form(messages);
  }
  chat_message reply;
  if (answered) {
    reply = std::move(talk.turns.back());
    talk.turns.pop_back();
    require_argument(!talk.turns.empty() && is_user(talk.turns.back()),
                     "user and assistant must take turns, the user first");
    if (std::ranges::any_of(talk.turns, [](const auto& turn) { return !is_user(turn) && turn.weight > 0; }))
      dropped_parts::of_run().add(
          "replies before the last one are read but not trained on, because prompt.template has only one place: "
          "choose a chat format",
          dialogue_text(talk));
  }
  chat_text out{.pieces = {lay_out_question(dialogue_text(talk), wording)},
                .response_prefix = {},
                .stop = {},
                .answered = answered};
  if (answered) append_reply(out.pieces.back(), reply);
  return out;
}

}  // namespace

chat_text prompter::lay_out(std::span<const chat_message> messages, bool answered) const {
  if (!chat_ && !own_template_) return lay_out_plain(messages, answered, template_);
  const bool own = !messages.empty() && messages.front().role == chat_role::system;
  std::vector<chat_message> all(messages.begin(), messages.end());
  if (!system_.empty() && !own) all.insert(all.begin(), {chat_role::system, system_});
  if (own && template_ && !messages.front().text.empty())
    dropped_parts::of_run().add("its own system text, which replaces prompt.template",
                                messages.front().text + '\n' + messages.back().text);
  if (own_template_) return (*own_template_)(all, answered);
  return answered ? chat_->answered(all) : (*chat_)(all);
}

chat_tokens prompter::encode(const chat_text& text) const {
  const auto end = ends_.empty() ? std::nullopt : std::optional(ends_.front());
  return text.encode(*tokenizer_, tokenizer_->bos(), end);
}

chat_tokens prompter::training_tokens(std::span<const chat_message> messages) const {
  const auto first = std::ranges::find_if(
      messages, [](const chat_message& m) { return m.role == chat_role::assistant && m.weight > 0; });
  auto all = fit_to_limit({messages.begin(), first == messages.end() ? messages.end() - 1 : first});
  all.insert(all.end(), first == messages.end() ? messages.end() - 1 : first, messages.end());
  return encode(lay_out(all, true));
}

}  // namespace coho::trainer
