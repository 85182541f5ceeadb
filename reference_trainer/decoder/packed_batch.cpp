#include "decoder/packed_batch.hpp"

#include <coho/error.hpp>

#include "decoder/tensor_conversion.hpp"

namespace coho::trainer {
namespace {

// Tokens of each sequence that go into the forward pass: prompt and response without its last token.
std::vector<std::int64_t> input_lengths(const token_batch& batch) {
  std::vector<std::int64_t> out;
  for (std::size_t i = 0; i < batch.size(); ++i) {
    require_argument(batch.prompts.length(i) > 0, "a prompt is empty: give at least a begin token");
    const std::size_t response = batch.responses.length(i);
    out.push_back(static_cast<std::int64_t>(batch.prompts.length(i) + (response > 0 ? response - 1 : 0)));
  }
  return out;
}

// Tokens of each sequence.
std::vector<std::int64_t> sequence_lengths(std::span<const std::vector<token>> sequences) {
  std::vector<std::int64_t> out;
  for (const auto& sequence : sequences) out.push_back(static_cast<std::int64_t>(sequence.size()));
  return out;
}

}  // namespace

response_batch::response_batch(const token_batch& batch, at::Device device) : layout(input_lengths(batch), device) {
  require_argument(batch.prompts.size() == batch.responses.size(), "a batch needs one response per prompt");
  std::vector<token> ids;
  std::vector<std::int64_t> rows;
  for (std::size_t i = 0; i < batch.size(); ++i) {
    const auto prompt = batch.prompts[i];
    const auto response = batch.responses[i];
    const auto first = static_cast<std::int64_t>(ids.size() + prompt.size()) - 1;
    ids.insert(ids.end(), prompt.begin(), prompt.end());
    if (!response.empty()) ids.insert(ids.end(), response.begin(), response.end() - 1);
    for (std::size_t t = 0; t < response.size(); ++t) rows.push_back(first + static_cast<std::int64_t>(t));
  }
  tokens = token_tensor(ids, device);
  predicting = index_tensor(rows, device);
  targets = token_tensor(batch.responses.values, device);
}

last_token_batch::last_token_batch(std::span<const std::vector<token>> sequences, at::Device device)
    : layout(sequence_lengths(sequences), device) {
  std::vector<token> ids;
  std::vector<std::int64_t> rows;
  for (const auto& sequence : sequences) {
    ids.insert(ids.end(), sequence.begin(), sequence.end());
    rows.push_back(static_cast<std::int64_t>(ids.size()) - 1);
  }
  tokens = token_tensor(ids, device);
  last = index_tensor(rows, device);
}

}  // namespace coho::trainer
