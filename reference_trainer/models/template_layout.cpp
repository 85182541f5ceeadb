#include "models/template_layout.hpp"

#include <algorithm>
#include <charconv>
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

// Words that no template and no message contains, in the place of others.
constexpr std::string_view mark_begin = "\ue000", mark_end = "\ue001";
std::string mark_of(std::size_t i) { return std::string(mark_begin) + std::to_string(i) + std::string(mark_end); }

// The longest of the texts that a text has at a position; empty: none.
std::string_view find_at(std::string_view text, std::size_t at, const std::vector<std::string>& texts) {
  std::string_view out;
  for (const std::string& one : texts)
    if (one.size() > out.size() && text.substr(at).starts_with(one)) out = one;
  return out;
}

// The messages with a mark in the place of each special token that they spell, and these tokens in their order.
struct marked_messages {
  std::vector<chat_message> messages;
  std::vector<std::string_view> spelled;
};

marked_messages mark_spelled(std::span<const chat_message> messages, const std::vector<std::string>& special) {
  marked_messages out{{messages.begin(), messages.end()}, {}};
  for (auto& message : out.messages) {
    const std::string text = std::exchange(message.text, {});
    for (std::size_t at = 0; at < text.size();) {
      const auto token = find_at(text, at, special);
      message.text += token.empty() ? std::string(1, text[at]) : mark_of(out.spelled.size());
      if (!token.empty()) out.spelled.push_back(token);
      at += std::max<std::size_t>(token.size(), 1);
    }
  }
  return out;
}

// The number of a mark that a text begins with, and its size; 0: it begins with none.
std::pair<std::size_t, std::size_t> read_mark(std::string_view text) {
  std::size_t number = 0;
  if (!text.starts_with(mark_begin)) return {0, 0};
  const char* const digits = text.data() + mark_begin.size();
  const auto [end, problem] = std::from_chars(digits, text.data() + text.size(), number);
  const auto size = static_cast<std::size_t>(end - text.data());
  if (problem != std::errc() || !text.substr(size).starts_with(mark_end)) return {0, 0};
  return {number, size + mark_end.size()};
}

// A text with the tokens in the places of their marks, and these places.
struct unmarked_text {
  std::string text;
  std::vector<chat_span> tokens;
};

unmarked_text replace_marks(std::string_view marked, const std::vector<std::string_view>& tokens) {
  unmarked_text out;
  while (!marked.empty()) {
    const auto [number, size] = read_mark(marked);
    const bool known = size > 0 && number < tokens.size();
    if (known) out.tokens.push_back({out.text.size(), out.text.size() + tokens[number].size()});
    const auto length = known ? size : std::min(marked.find(mark_begin, 1), marked.size());
    out.text += known ? tokens[number] : marked.substr(0, length);
    marked.remove_prefix(length);
  }
  return out;
}

// Whether a special token at a position of the text belongs to a message.
bool is_spelled(const chat_piece& whole, std::size_t at) {
  return std::ranges::any_of(whole.messages, [&](const chat_span& token) { return token.begin == at; });
}

}  // namespace

std::string text_after_reply(const model_chat_template& form, const std::tm& now) {
  const std::string mark = mark_of(1);
  const std::vector<chat_message> talk{{chat_role::user, mark_of(0)}, {chat_role::assistant, mark}};
  try {
    const std::string text = template_layout(form, {}, {}, now).render(talk, false).text;
    const auto at = text.rfind(mark);
    return at == std::string::npos ? "" : std::string(trim_characters(text.substr(at + mark.size())));
  } catch (const template_error&) {
    return {};  // a template that wants more than these two messages
  }
}

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

std::vector<chat_span> template_layout::find_spelled(std::span<const chat_message> messages, bool prompt,
                                                     const std::string& text) const {
  const auto spells = [&](const chat_message& message) {
    return std::ranges::any_of(special_,
                               [&](const std::string& token) { return message.text.find(token) != std::string::npos; });
  };
  if (std::ranges::none_of(messages, spells)) return {};
  const auto [marked, tokens] = mark_spelled(messages, special_);
  auto out = replace_marks(render(marked, prompt).text, tokens);
  require_argument(out.text == text,
                   "a message spells a special token, and the chat template changes it, so that it cannot be told from "
                   "the template's own: \"" +
                       beginning_of(messages) + "\"");
  return std::move(out.tokens);
}

std::vector<chat_reply> template_layout::marked_replies(std::span<const chat_message> messages, const chat_piece& whole,
                                                        const std::vector<text_span>& generated) const {
  std::vector<chat_reply> out;
  std::size_t next = 0;
  for (const auto& message : messages) {
    if (!is_reply(message)) continue;
    require_argument(next < generated.size(), form_.form.name() + " marks " + std::to_string(generated.size()) +
                                                  " replies of a conversation that has more of them: \"" +
                                                  beginning_of(messages) + "\"");
    const auto [begin, end] = generated[next++];
    out.push_back({.begin = begin,
                   .end = message.finished ? end : reply_end(message, whole, begin, end),
                   .weight = message.weight,
                   .finished = message.finished});
  }
  require_argument(next == generated.size(), form_.form.name() + " marks " + std::to_string(generated.size()) +
                                                 " replies of a conversation that has " + std::to_string(next) +
                                                 ": \"" + beginning_of(messages) + "\"");
  return out;
}

std::vector<chat_reply> template_layout::prefix_replies(std::span<const chat_message> messages, const chat_piece& whole,
                                                        bool answered) const {
  std::vector<chat_reply> out;
  for (std::size_t i = 0; i < messages.size(); ++i) {
    if (!is_reply(messages[i])) continue;
    const bool last = i + 1 == messages.size();
    const std::string prompt = render(messages.first(i), true).text;
    const std::string through = last ? whole.text : render(messages.first(i + 1), false).text;
    if (through.size() > prompt.size() && whole.text.starts_with(prompt) && whole.text.starts_with(through)) {
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
            whole.text);
    }
  }
  return out;
}

std::size_t template_layout::reply_end(const chat_message& reply, const chat_piece& whole, std::size_t begin,
                                       std::size_t end) const {
  const std::string_view words = trim_characters(reply.text);
  const auto found = whole.text.find(words, begin);
  const std::size_t behind = found != std::string::npos && found + words.size() <= end ? found + words.size() : begin;
  if (!reply.finished && behind > begin) return behind;
  for (std::size_t at = behind; at < end; ++at) {
    const auto token = find_at(std::string_view(whole.text).substr(0, end), at, ends_);
    if (!token.empty() && !is_spelled(whole, at)) return reply.finished ? at + token.size() : at;
  }
  return end;
}

bool template_layout::ends_turn(const chat_piece& whole, const chat_reply& reply) const {
  return std::ranges::any_of(ends_, [&](const std::string& end) {
    return std::string_view(whole.text).substr(0, reply.end).ends_with(end) &&
           !is_spelled(whole, reply.end - end.size());
  });
}

chat_text template_layout::operator()(std::span<const chat_message> messages, bool answered) const {
  require_argument(!messages.empty() && is_reply(messages.back()) == answered,
                   answered ? "a conversation to be trained on must end with an assistant message"
                            : "a conversation to be answered must end with a user message");
  rendered_chat whole = render(messages, !answered);
  chat_piece piece{.text = whole.text, .verbatim = true};
  piece.messages = find_spelled(messages, !answered, whole.text);
  // Of a prompt too: its tokens are cut where an earlier reply was sampled.
  const auto replies = static_cast<std::size_t>(std::ranges::count_if(messages, is_reply));
  const bool marks = form_.form.marks_generation() && (answered || whole.generated.size() == replies);
  piece.replies = marks ? marked_replies(messages, piece, whole.generated) : prefix_replies(messages, piece, answered);
  if (answered) {
    // A template without an end of turn leaves it to the end token.
    piece.end = messages.back().finished && !ends_turn(piece, piece.replies.back());
  }
  return {.pieces = {std::move(piece)}, .response_prefix = {}, .stop = {}, .answered = answered};
}

}  // namespace coho::trainer
