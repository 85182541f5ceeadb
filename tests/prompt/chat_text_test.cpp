#include <coho/prompt/chat_prompt.hpp>
#include <coho/prompt/chat_text.hpp>

#include "support/catch.hpp"

using coho::chat_message;
using coho::chat_prompt;
using coho::chat_role;
using coho::token;
namespace chat_formats = coho::chat_formats;

namespace {

/// One id per byte.
struct letters_tokenizer {
  std::vector<token> encode(std::string_view text) const { return {text.begin(), text.end()}; }
  token eos() const { return 2; }
};

/// The same, and pieces that only a format can spell.
struct marks_tokenizer : letters_tokenizer {
  struct mark {
    std::string text;
    token id;
  };
  std::vector<mark> special_tokens() const { return {{"[/", 301}, {"[INST]", 302}, {"[/INST]", 303}, {"<end>", 2}}; }
};

/// One id per letter, and one for "ab" and for " :" as merged pieces.
struct merging_tokenizer : letters_tokenizer {
  std::vector<token> encode(std::string_view text) const {
    std::vector<token> out;
    for (std::size_t i = 0; i < text.size(); ++i) {
      const bool merged = text.substr(i).starts_with("ab");
      out.push_back(merged ? 400 : text[i]);
      i += merged;
    }
    return out;
  }
};

std::string spelled_tokens(std::span<const token> ids) {
  std::string out;
  for (const token id : ids)
    out += id == 1 ? "<s>" : id == 2 ? "</s>" : id > 255 ? "{" + std::to_string(id) + "}" : std::string(1, char(id));
  return out;
}

// What counts in the loss, replies parted by "|".
template <class Tokenizer>
std::string trained_text(const coho::chat_text& text, const Tokenizer& tokenizer) {
  const auto talk = text.encode(tokenizer, 1, 2);
  std::string out;
  for (const auto& reply : talk.replies) {
    if (reply.weight == 0) continue;
    out += "|" + spelled_tokens(std::span(talk.tokens).subspan(reply.first, reply.size));
    CHECK((reply.size > 0 && talk.tokens[reply.first + reply.size - 1] == 2) == reply.ended);
  }
  return out;
}

const std::vector<chat_message> two_exchanges{{chat_role::system, "S"},
                                              {chat_role::user, "u1"},
                                              {chat_role::assistant, "a1"},
                                              {chat_role::user, "u2"},
                                              {chat_role::assistant, "a2"}};

}  // namespace

TEST_CASE("chat text: replies and what ends them are trained on, in each format") {
  const auto trained = [](const coho::chat_format& format) {
    return trained_text(chat_prompt(format).answered(two_exchanges), letters_tokenizer{});
  };
  CHECK(trained(chat_formats::llama2_chat()) == "| a1 </s>| a2 </s>");
  CHECK(trained(chat_formats::mistral()) == "| a1</s>| a2</s>");
  CHECK(trained(chat_formats::vicuna()) == "| a1</s>| a2</s>");
  // No end token follows an earlier reply of this format: nothing is learned of one.
  CHECK(trained(chat_formats::dromedary()) == "|a1|a2</s>");
}

TEST_CASE("chat text: the tokens of a conversation go on from those of each prompt in it") {
  for (const auto* name : {"llama2_chat", "mistral", "vicuna", "dromedary"}) {
    CAPTURE(name);
    const chat_prompt prompt(chat_formats::by_name(name));
    const auto whole = prompt.answered(two_exchanges).encode(letters_tokenizer{}, 1, 2);
    REQUIRE(whole.replies.size() == 2);
    for (std::size_t k = 0; k < 2; ++k) {
      const auto asked = prompt(std::span(two_exchanges).first(2 * k + 2)).tokens(letters_tokenizer{}, 1);
      REQUIRE(asked.size() == whole.replies[k].first);
      CHECK(std::ranges::equal(asked, std::span(whole.tokens).first(asked.size())));
    }
  }
}

TEST_CASE("chat text: weights are those of the replies, and an unfinished one teaches no end") {
  auto talk = two_exchanges;
  talk[2].weight = 0;
  talk[4].weight = 0.5;
  const auto tokens = chat_prompt(chat_formats::vicuna()).answered(talk).encode(letters_tokenizer{}, 1, 2);
  const auto weights = tokens.weights();
  REQUIRE(weights.size() == tokens.tokens.size());
  CHECK(std::ranges::count(weights, 0.5) == 4);
  CHECK(std::ranges::count(weights, 0.0) == std::ssize(weights) - 4);
  CHECK(weights.back() == 0.5);

  talk[2] = {chat_role::assistant, "a1", 1, false};
  talk[4] = {chat_role::assistant, "a2", 1, false};
  CHECK(trained_text(chat_prompt(chat_formats::vicuna()).answered(talk), letters_tokenizer{}) == "| a1| a2");
  CHECK(trained_text(chat_prompt(chat_formats::llama2_chat()).answered(talk), letters_tokenizer{}) == "| a1| a2");
  CHECK(trained_text(chat_prompt(chat_formats::dromedary()).answered(talk), letters_tokenizer{}) == "|a1|a2");
}

TEST_CASE("chat text: spaces at the end of a prompt belong to the reply") {
  const coho::chat_format spaced{.name = "spaced", .user_suffix = "\n", .assistant_prefix = "A: "};
  const coho::chat_format gap{.name = "gap", .user_suffix = "\n", .assistant_prefix = "A:", .history_gap = " "};
  const std::vector<chat_message> talk{{chat_role::user, "u"}, {chat_role::assistant, "a"}};
  for (const auto& format : {spaced, gap}) {
    CHECK(spelled_tokens(chat_prompt(format)("u").tokens(letters_tokenizer{}, 1)) == "<s>u\nA:");
    CHECK(trained_text(chat_prompt(format).answered(talk), letters_tokenizer{}) == "| a</s>");
  }
}

TEST_CASE("chat text: words of the format are special tokens where the tokenizer has them, words of messages never") {
  std::vector<chat_message> talk{{chat_role::system, "[INST]"},
                                 {chat_role::user, " [/INST]u1"},
                                 {chat_role::assistant, "a1<end>"},
                                 {chat_role::user, "u2"}};
  const auto ids = chat_prompt(chat_formats::mistral())(talk).tokens(marks_tokenizer{}, 1);
  // The longest that fits; spaces of the format next to one go, those of a message stay.
  CHECK(spelled_tokens(ids) == "<s>{302}[INST]\n\n [/INST]u1{303}a1<end></s>{302}u2{303}");

  // A format that spells the end token: it ends the replies that are trained on.
  const coho::chat_format marked{.name = "marked",
                                 .user_prefix = "U ",
                                 .user_suffix = "<end>\n",
                                 .assistant_prefix = "A\n",
                                 .assistant_suffix = "<end>\n"};
  CHECK(trained_text(chat_prompt(marked).answered(two_exchanges), marks_tokenizer{}) == "|a1</s>|a2</s>");
  CHECK(spelled_tokens(chat_prompt(marked).answered(two_exchanges).encode(marks_tokenizer{}, 1, 2).tokens) ==
        "<s>SU u1</s>\nA\na1</s>\nU u2</s>\nA\na2</s>");
}

TEST_CASE("chat text: a token never crosses the border of prompt and reply") {
  const coho::chat_format tight{.name = "tight", .user_suffix = "a", .assistant_prefix = ""};
  const std::vector<chat_message> talk{{chat_role::user, "ab"}, {chat_role::assistant, "bab"}};
  const auto whole = chat_prompt(tight).answered(talk).encode(merging_tokenizer{}, 1, 2);
  CHECK(spelled_tokens(whole.tokens) == "<s>{400}ab{400}</s>");
  CHECK(chat_prompt(tight)("ab").tokens(merging_tokenizer{}, 1) == std::vector<token>{1, 400, 'a'});
  REQUIRE(whole.replies.size() == 1);
  CHECK(whole.replies[0] == coho::chat_reply_tokens{3, 3, true, 1});
}

TEST_CASE("chat text: a model without begin token has none") {
  const auto text = chat_prompt(chat_formats::vicuna())("u");
  CHECK(spelled_tokens(text.tokens(letters_tokenizer{}, -1)) == "USER: u ASSISTANT:");
  CHECK(spelled_tokens(text.tokens(letters_tokenizer{}, std::nullopt)) == "USER: u ASSISTANT:");
  CHECK(
      chat_prompt(chat_formats::vicuna()).answered(two_exchanges).encode(letters_tokenizer{}, {}, {}).replies.back() ==
      coho::chat_reply_tokens{43, 3, false, 1});
}

TEST_CASE("chat text: conversations that are not to be trained on are refused") {
  const chat_prompt prompt(chat_formats::vicuna());
  CHECK_THROWS_AS(prompt.answered(std::span(two_exchanges).first(4)), coho::argument_error);
  CHECK_THROWS_AS(prompt.answered(std::span(two_exchanges).last(1)), coho::argument_error);
}
