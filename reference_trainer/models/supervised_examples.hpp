#pragma once

#include <cstddef>
#include <cstdint>

#include <coho/train/supervised.hpp>

#include "models/prompter.hpp"
#include "records/records.hpp"

namespace coho::trainer {

/// Which replies of a conversation are trained on, those of weight 0 aside: `sft.replies`.
enum class trained_replies : std::uint8_t { all, last, first };

/// A record as it is trained on: a conversation in the prompter's form, of which the replies count in the loss, by
/// their weights, and the end token of each that is finished. Of a reply of `max_response_tokens` or more the first so
/// many count, without an end token (0: no limit). What comes before the first such token is the example's prompt, what
/// comes behind the last one is left out. An example without a response: no reply is trained on.
supervised_example make_supervised_example(const sft_record& record, const prompter& prompts,
                                           std::size_t max_response_tokens,
                                           trained_replies replies = trained_replies::all);

}  // namespace coho::trainer
