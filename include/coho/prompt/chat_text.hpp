#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <ranges>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <coho/detail/if_called.hpp>
#include <coho/detail/white_space.hpp>
#include <coho/packed.hpp>

namespace coho::inline v0_1 {

enum class chat_role : std::uint8_t { system, user, assistant };

/// One message of a conversation. The last two members matter for replies that are trained on.
struct chat_message {
  chat_role role = chat_role::user;
  std::string text{};
  double weight = 1;     ///< of the reply's tokens in the loss; 0: it is read but not trained on
  bool finished = true;  ///< false: the reply was cut, so nothing is learned from where it ends
  friend bool operator==(const chat_message&, const chat_message&) = default;
};

/// A range of characters.
struct chat_span {
  std::size_t begin = 0, end = 0;
  friend bool operator==(const chat_span&, const chat_span&) = default;
};

/// A reply within the text of a piece: `begin` is where the prompt before it ends, so everything after it is the
/// model's (including the gap before the words); `end` is one past its last trained character.
struct chat_reply {
  std::size_t begin = 0, end = 0;
  double weight = 1;
  bool finished = true;
  friend bool operator==(const chat_reply&, const chat_reply&) = default;
};

/// A part of a prompt's text and the special tokens around it.
struct chat_piece {
  std::string text;
  bool begin = false;                 ///< the begin token comes before the text
  bool end = false;                   ///< the end token comes after the text
  std::vector<chat_span> messages{};  ///< the messages in it, as opposed to the format's own words
  std::vector<chat_reply> replies{};
  /// The text is tokenised as it is written: spaces next to special tokens and at its end are part of it.
  bool verbatim = false;
  friend bool operator==(const chat_piece&, const chat_piece&) = default;
};

/// The tokens of a reply within those of a conversation.
struct chat_reply_tokens {
  std::size_t first = 0, size = 0;  ///< including the end token if there is one
  bool ended = false;               ///< the last of them is the end token
  double weight = 1;
  friend bool operator==(const chat_reply_tokens&, const chat_reply_tokens&) = default;
};

/// A conversation as a model reads it.
struct chat_tokens {
  std::vector<token> tokens;
  std::vector<chat_reply_tokens> replies;  ///< all of them, in order

  /// One weight per token: that of its reply, 0 outside replies.
  template <class = detail::if_called>
  std::vector<double> weights() const {
    std::vector<double> out(tokens.size(), 0.0);
    for (const auto& reply : replies)
      for (std::size_t i = 0; i < reply.size; ++i) out[reply.first + i] = reply.weight;
    return out;
  }
};

namespace detail {

/// The tokens of `text` where it follows `before`: the tail of encode(before + text). If a token
/// would cross the border, `text` is tokenised after a line break instead: a model that writes it has read `before` as
/// it is.
template <class Tokenizer>
std::vector<token> encode_after(const Tokenizer& tokenizer, std::string_view before, std::string_view text) {
  const auto encode = [&](std::string_view whole) {
    std::vector<token> out;
    for (const auto id : tokenizer.encode(whole)) out.push_back(static_cast<token>(id));
    return out;
  };
  if (before.empty()) return encode(text);
  for (const std::string_view context : {before, std::string_view("\n")}) {
    const auto head = encode(context);
    const auto whole = encode(std::string(context).append(text));
    const auto [end, rest] = std::ranges::mismatch(head, whole);
    if (end == head.end()) return {rest, whole.end()};
  }
  return encode(text);
}

/// Tokenises the pieces of a conversation in order. Between special tokens the text is encoded as a whole and cut only
/// where replies begin.
template <class Tokenizer>
class chat_encoder {
 public:
  chat_encoder(const Tokenizer& tokenizer, std::optional<token> begin, std::optional<token> end)
      : tokenizer_(tokenizer), begin_(begin), end_(end) {
    if constexpr (requires { tokenizer.special_tokens(); })
      for (const auto& special : tokenizer.special_tokens())
        if (!special.text.empty()) special_.emplace_back(special.text, static_cast<token>(special.id));
  }

  /// Appends the tokens of a piece and the positions of its replies.
  void add_piece(const chat_piece& piece) {
    base_ = out_.replies.size();
    if (piece.begin && begin_) out_.tokens.push_back(*begin_);
    const std::string_view text = piece.text;
    std::size_t from = 0;
    for (std::size_t at = 0; at < text.size();) {
      const auto [size, id] = find_special(piece, at);
      if (size == 0) {
        ++at;
        continue;
      }
      // Spaces of the format next to a special token only separate it from the words for human readers.
      std::size_t last = at, next = at + size;
      while (!piece.verbatim && last > from && text[last - 1] == ' ' && is_format(piece, last - 1)) --last;
      while (!piece.verbatim && next < text.size() && text[next] == ' ' && is_format(piece, next)) ++next;
      append_text(piece, from, last);
      append_special(piece, at, id);
      at = from = next;
    }
    append_text(piece, from, text.size());
    if (piece.end && end_) append_special(piece, text.size(), *end_);
    while (out_.replies.size() < base_ + piece.replies.size()) begin_reply(piece);
  }

  /// The tokens of all pieces; the encoder is empty afterwards.
  chat_tokens release() { return std::move(out_); }

 private:
  // Whether a character belongs to the format's own words, not to a message.
  static bool is_format(const chat_piece& piece, std::size_t at) {
    return std::ranges::none_of(piece.messages, [&](const chat_span& m) { return m.begin <= at && at < m.end; });
  }

  // The longest special token that the format spells at a position; size 0 if there is none.
  std::pair<std::size_t, token> find_special(const chat_piece& piece, std::size_t at) const {
    std::pair<std::size_t, token> out{0, 0};
    if (special_.empty() || !is_format(piece, at)) return out;
    std::size_t room = piece.text.size();
    for (const auto& message : piece.messages)
      if (message.begin >= at && message.begin < message.end) room = std::min(room, message.begin);
    const auto rest = std::string_view(piece.text).substr(at, room - at);
    for (const auto& [text, id] : special_)
      if (text.size() > out.first && rest.starts_with(text)) out = {text.size(), id};
    return out;
  }

  // Appends a special token: one that the text spells at a position, or the end token after the text. It belongs to a
  // reply if it is inside, or if it is the end token that finishes it.
  void append_special(const chat_piece& piece, std::size_t at, token id) {
    for (const auto& reply : piece.replies) {
      const bool inside = reply.begin <= at && at < reply.end;
      const bool behind =
          at >= reply.end && std::string_view(piece.text).substr(reply.end, at - reply.end).find_first_not_of(' ') ==
                                 std::string_view::npos;
      const bool ends = behind && reply.finished && end_ && id == *end_;
      if (!inside && !ends) continue;
      extend_reply(piece, reply, 1);
      out_.replies.back().ended = ends;
    }
    out_.tokens.push_back(id);
  }

  // Appends text without special tokens, cut where replies begin. A reply that ends inside a token does not own that
  // token.
  void append_text(const chat_piece& piece, std::size_t from, std::size_t to) {
    const std::string_view text = piece.text;
    for (std::string_view before; from < to;) {
      std::size_t cut = to;
      for (const auto& reply : piece.replies)
        if (reply.begin > from) cut = std::min(cut, reply.begin);
      const auto part = text.substr(from, cut - from);
      const auto ids = encode(before, part);
      for (const auto& reply : piece.replies) {
        if (reply.begin > from || reply.end <= from) continue;
        std::size_t own = ids.size();
        if (reply.end < cut) {
          const auto words = encode(before, text.substr(from, reply.end - from));
          own = static_cast<std::size_t>(std::ranges::mismatch(words, ids).in1 - words.begin());
        }
        extend_reply(piece, reply, own);
      }
      out_.tokens.insert(out_.tokens.end(), ids.begin(), ids.end());
      before = part;
      from = cut;
    }
  }

  // The tokens of `text` after `before`, or at the start of a stretch if that is empty.
  std::vector<token> encode(std::string_view before, std::string_view text) const {
    return encode_after(tokenizer_, before, text);
  }

  // The next reply begins at the next token.
  void begin_reply(const chat_piece& piece) {
    const double weight = piece.replies[out_.replies.size() - base_].weight;
    out_.replies.push_back({.first = out_.tokens.size(), .size = 0, .ended = false, .weight = weight});
  }

  // The next `count` tokens belong to the reply, which begins there if it has not yet.
  void extend_reply(const chat_piece& piece, const chat_reply& reply, std::size_t count) {
    const auto number = base_ + static_cast<std::size_t>(&reply - piece.replies.data());
    while (out_.replies.size() <= number) begin_reply(piece);
    out_.replies.back().size += count;
  }

  const Tokenizer& tokenizer_;
  std::optional<token> begin_, end_;
  std::vector<std::pair<std::string, token>> special_{};
  std::size_t base_ = 0;  // replies of earlier pieces
  chat_tokens out_{};
};

}  // namespace detail

/// A laid-out conversation: what the model reads, how its response must begin, where the response stops.
struct chat_text {
  std::vector<chat_piece> pieces;
  std::string response_prefix;  ///< empty if the conversation ends with a reply
  std::vector<std::string> stop;
  bool answered = false;  ///< it ends with a reply

  /// The whole text, the response prefix last, with the given spellings of the begin and end tokens (none by default).
  template <class = detail::if_called>
  std::string text(std::string_view begin = {}, std::string_view end = {}) const {
    std::string out;
    for (const auto& piece : pieces) {
      out.append(piece.begin ? begin : std::string_view{})
          .append(piece.text)
          .append(piece.end ? end : std::string_view{});
    }
    return out.append(response_prefix);
  }

  /// The tokens, and the positions of the replies in them, using a tokenizer that satisfies `tokenizer` of
  /// concepts.hpp. A begin or end token that the model does not have (none, or an id below 0) adds nothing.
  ///
  /// The text between two special tokens is tokenised as a whole and cut only where a reply begins: the prompt of a
  /// reply has the same tokens as when the reply is sampled. Spaces at the end of a prompt belong to the reply's first
  /// word. If the tokenizer has a member `special_tokens()` (a range of {text, id}), words of the format that spell
  /// such a token become that id; words of messages never do.
  template <class Tokenizer>
  chat_tokens encode(const Tokenizer& tokenizer, std::optional<token> begin, std::optional<token> end) const {
    const auto known = [](std::optional<token> id) { return id && *id >= 0 ? id : std::nullopt; };
    detail::chat_encoder<Tokenizer> encoder(tokenizer, known(begin), known(end));
    for (std::size_t i = 0; i < pieces.size(); ++i) {
      if (answered || i + 1 < pieces.size()) {
        encoder.add_piece(pieces[i]);
        continue;
      }
      chat_piece last = pieces[i];
      last.text += response_prefix;
      while (!last.verbatim && last.text.ends_with(' ')) last.text.pop_back();
      for (auto& message : last.messages) message.end = std::min(message.end, last.text.size());
      encoder.add_piece(last);
    }
    return encoder.release();
  }
  /// The tokens only.
  template <class Tokenizer>
  std::vector<token> tokens(const Tokenizer& tokenizer, std::optional<token> begin) const {
    return encode(tokenizer, begin, static_cast<token>(tokenizer.eos())).tokens;
  }
};

}  // namespace coho::inline v0_1
