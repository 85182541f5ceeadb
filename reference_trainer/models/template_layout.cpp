#include "models/template_layout.hpp"

#include <algorithm>
#include <string_view>
#include <utility>

#include <coho/error.hpp>

#include "jsonl/dropped_parts.hpp"
#include "text/white_space.hpp"

namespace coho::trainer {
namespace {

using json = nlohmann::ordered_json;

const char* role_name(chat_role role) {
  switch (role) {
    case chat_role::system:
      return "system";
    case chat_role::user:
      return "user";
    default:
      return "assistant";
  }
}

bool is_reply(const chat_message& message) { return message.role == chat_role::assistant; }

// The first characters of a conversation, for messages.
std::string beginning_of(std::span<const chat_message> messages) {
  std::string text;
  for (const auto& message : messages) text += (text.empty() ? "" : " ") + message.text;
  constexpr std::size_t shown = 60;
  if (text.size() <= shown) return text;
  std::size_t end = shown;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;  // not within a character
  return text.substr(0, end) + "…";
}

// Words that no template and no other message contains, in the place of message `i`.
std::string mark_of(std::size_t i) { return "\ue000" + std::to_string(i) + "\ue001"; }

}  // namespace

template_layout::template_layout(model_chat_template form, std::vector<std::string> special,
                                 std::vector<std::string> ends, const std::tm& now)
    : form_(std::move(form)), special_(std::move(special)), ends_(std::move(ends)), now_(now) {}

rendered_chat template_layout::render(std::span<const chat_message> messages, bool prompt) const {
  json variables = form_.special_tokens;
  json list = json::array();
  for (const auto& message : messages) list.push_back({{"role", role_name(message.role)}, {"content", message.text}});
  variables["messages"] = std::move(list);
  variables["tools"] = nullptr;
  variables["documents"] = nullptr;
  variables["add_generation_prompt"] = prompt;
  try {
    return form_.form.render(variables, {.now = [this] { return now_; }});
  } catch (const template_error& problem) {
    throw template_error(form_.form.name(), problem.line(), problem.column(),
                         problem.cause() + " (in the conversation that begins \"" + beginning_of(messages) + "\")");
  }
}

std::vector<chat_span> template_layout::find_messages(std::span<const chat_message> messages, bool prompt,
                                                      const std::string& text) const {
  const auto spells = [&](const chat_message& message) {
    return std::ranges::any_of(special_,
                               [&](const std::string& token) { return message.text.find(token) != std::string::npos; });
  };
  if (std::ranges::none_of(messages, spells)) return {};
  std::vector<chat_message> marked(messages.begin(), messages.end());
  for (std::size_t i = 0; i < marked.size(); ++i)
    if (spells(messages[i])) marked[i].text = mark_of(i);
  std::string with_marks = render(marked, prompt).text;
  std::vector<chat_span> out;
  for (std::size_t i = 0; i < messages.size(); ++i) {
    if (!spells(messages[i])) continue;
    const std::string mark = mark_of(i);
    for (auto at = with_marks.find(mark); at != std::string::npos; at = with_marks.find(mark, at)) {
      // Templates that trim a message trim the mark's place, too.
      std::string_view words = messages[i].text;
      if (!std::string_view(text).substr(std::min(at, text.size())).starts_with(words)) words = trim_characters(words);
      with_marks.replace(at, mark.size(), words);
      out.push_back({at, at + words.size()});
      at += words.size();
    }
  }
  require_argument(with_marks == text,
                   "a message spells a special token, and the chat template changes it, so that it cannot be told from "
                   "the template's own: \"" +
                       beginning_of(messages) + "\"");
  return out;
}

std::vector<chat_reply> template_layout::marked_replies(std::span<const chat_message> messages,
                                                        const rendered_chat& whole) const {
  std::vector<chat_reply> out;
  std::size_t next = 0;
  for (const auto& message : messages) {
    if (!is_reply(message)) continue;
    require_argument(next < whole.generated.size(),
                     form_.form.name() + " marks " + std::to_string(whole.generated.size()) +
                         " replies of a conversation that has more of them: \"" + beginning_of(messages) + "\"");
    const auto [begin, end] = whole.generated[next++];
    out.push_back({.begin = begin,
                   .end = message.finished ? end : reply_end(message, whole.text, begin, end),
                   .weight = message.weight,
                   .finished = message.finished});
  }
  require_argument(next == whole.generated.size(), form_.form.name() + " marks " +
                                                       std::to_string(whole.generated.size()) +
                                                       " replies of a conversation that has " + std::to_string(next) +
                                                       ": \"" + beginning_of(messages) + "\"");
  return out;
}

std::vector<chat_reply> template_layout::prefix_replies(std::span<const chat_message> messages,
                                                        const std::string& whole, bool answered) const {
  std::vector<chat_reply> out;
  for (std::size_t i = 0; i < messages.size(); ++i) {
    if (!is_reply(messages[i])) continue;
    const bool last = i + 1 == messages.size();
    const std::string prompt = render(messages.first(i), true).text;
    const std::string through = last ? whole : render(messages.first(i + 1), false).text;
    if (through.size() > prompt.size() && whole.starts_with(prompt) && whole.starts_with(through)) {
      out.push_back({.begin = prompt.size(),
                     .end = reply_end(messages[i], whole, prompt.size(), through.size()),
                     .weight = messages[i].weight,
                     .finished = messages[i].finished});
    } else if (answered) {
      require_argument(!last, "the prompt that " + form_.form.name() +
                                  " makes of a conversation is not the beginning of what it makes of the answered one, "
                                  "so a reply cannot be learnt after it (give prompt.format another form): \"" +
                                  beginning_of(messages) + "\"");
      if (messages[i].weight > 0)
        dropped_parts::of_run().add(
            "replies before the last one are read but not trained on, because the chat template changes earlier turns",
            beginning_of(messages));
    }
  }
  return out;
}

std::size_t template_layout::reply_end(const chat_message& reply, const std::string& whole, std::size_t begin,
                                       std::size_t end) const {
  const std::string_view words = trim_characters(reply.text);
  const auto found = whole.find(words, begin);
  const std::size_t behind = found != std::string::npos && found + words.size() <= end ? found + words.size() : begin;
  if (!reply.finished && behind > begin) return behind;
  std::size_t first = std::string::npos, size = 0;
  for (const auto& text : ends_) {
    const auto at = whole.find(text, behind);
    if (at < first && at + text.size() <= end) first = at, size = text.size();
  }
  if (first == std::string::npos) return end;
  return reply.finished ? first + size : first;
}

bool template_layout::ends_turn(const std::string& text, const chat_reply& reply) const {
  return std::ranges::any_of(
      ends_, [&](const std::string& end) { return std::string_view(text).substr(0, reply.end).ends_with(end); });
}

chat_text template_layout::operator()(std::span<const chat_message> messages, bool answered) const {
  require_argument(!messages.empty() && is_reply(messages.back()) == answered,
                   answered ? "a conversation to be trained on must end with an assistant message"
                            : "a conversation to be answered must end with a user message");
  rendered_chat whole = render(messages, !answered);
  chat_piece piece{.text = whole.text, .verbatim = true};
  piece.messages = find_messages(messages, !answered, whole.text);
  // Of a prompt too: its tokens are cut where an earlier reply was sampled.
  const auto replies = static_cast<std::size_t>(std::ranges::count_if(messages, is_reply));
  const bool marks = form_.form.marks_generation() && (answered || whole.generated.size() == replies);
  piece.replies = marks ? marked_replies(messages, whole) : prefix_replies(messages, whole.text, answered);
  if (answered) {
    // A template without an end of turn leaves it to the end token.
    piece.end = messages.back().finished && !ends_turn(piece.text, piece.replies.back());
  }
  return {.pieces = {std::move(piece)}, .response_prefix = {}, .stop = {}, .answered = answered};
}

}  // namespace coho::trainer
