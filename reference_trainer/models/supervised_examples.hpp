#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string_view>
#include <vector>

#include <coho/train/supervised.hpp>

#include "models/prompter.hpp"
#include "records/records.hpp"

namespace coho::trainer {

/// Which replies of a conversation are trained on, besides those of weight 0: `sft.replies`.
enum class trained_replies : std::uint8_t { all, last, first };
constexpr auto option_names(trained_replies) { return std::array{"all", "last", "first"}; }

/// The keys of the section `sft` that decide what an example is, besides the form of its prompt.
struct sft_example_options {
  std::vector<std::filesystem::path> templates{};
  trained_replies replies = trained_replies::all;
  std::size_t max_response_tokens = 512;

  static void describe(auto&& visit, auto&... o) {
    visit({"templates", "n templates in place of prompt.template: example i takes template i mod n"}, o.templates...);
    visit({"replies", "which replies of a conversation are trained on"}, o.replies...);
    visit({"max_response_tokens", "longest reply; a longer one is cut and has no end token; 0: no limit", {}, "tokens"},
          o.max_response_tokens...);
  }
};

/// The messages of a record; those that are not trained on have the weight 0.
std::vector<chat_message> trained_messages(const sft_record& record, trained_replies replies);

/// A record as it is trained on: a conversation in the prompter's form, whose replies count in the loss by their
/// weights, along with the end token of each finished one. Of a reply of `max_response_tokens` or more only the first
/// `max_response_tokens` tokens count, without an end token (0: no limit). The text before the first such token is the
/// example's prompt; the text after the last one is left out. An example without a response: no reply is trained on.
/// `limit_key`: the option that gives the limit, for the line on replies that were cut.
supervised_example make_supervised_example(const sft_record& record, const prompter& prompts,
                                           std::size_t max_response_tokens,
                                           trained_replies replies = trained_replies::all,
                                           std::string_view limit_key = "sft.max_response_tokens");

}  // namespace coho::trainer
