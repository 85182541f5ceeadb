#include "decoder/packed_batch.hpp"

#include <algorithm>

#include <coho/error.hpp>

namespace coho::trainer {
namespace {

std::vector<std::int64_t> input_lengths(const token_batch& batch) {
  std::vector<std::int64_t> out;
  for (std::size_t i = 0; i < batch.size(); ++i) {
    require_argument(batch.prompts.length(i) > 0, "a prompt is empty: give at least a begin token");
    const std::size_t response = batch.responses.length(i);
    out.push_back(static_cast<std::int64_t>(batch.prompts.length(i) + (response > 0 ? response - 1 : 0)));
  }
  return out;
}

std::vector<std::int64_t> lengths_of(std::span<const std::vector<token>> sequences) {
  std::vector<std::int64_t> out;
  for (const auto& sequence : sequences) out.push_back(static_cast<std::int64_t>(sequence.size()));
  return out;
}

at::Tensor index_tensor(const std::vector<std::int64_t>& values, at::Device device) {
  at::Tensor out = at::empty({static_cast<std::int64_t>(values.size())}, at::kLong);
  std::copy(values.begin(), values.end(), out.data_ptr<std::int64_t>());
  return out.to(device);
}

}  // namespace

at::Tensor token_tensor(std::span<const token> tokens, at::Device device) {
  at::Tensor out = at::empty({static_cast<std::int64_t>(tokens.size())}, at::kLong);
  std::copy(tokens.begin(), tokens.end(), out.data_ptr<std::int64_t>());
  return out.to(device);
}

response_batch::response_batch(const token_batch& batch, at::Device device) : layout(input_lengths(batch), device) {
  require_argument(batch.prompts.size() == batch.responses.size(), "a batch needs one response a prompt");
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
    : layout(lengths_of(sequences), device) {
  std::vector<token> ids;
  std::vector<std::int64_t> rows;
  for (const auto& sequence : sequences) {
    ids.insert(ids.end(), sequence.begin(), sequence.end());
    rows.push_back(static_cast<std::int64_t>(ids.size()) - 1);
  }
  tokens = token_tensor(ids, device);
  last = index_tensor(rows, device);
}

std::vector<double> to_doubles(const at::Tensor& tensor) {
  const at::Tensor host = tensor.detach().to(at::kCPU, at::kDouble).contiguous();
  return {host.data_ptr<double>(), host.data_ptr<double>() + host.numel()};
}

at::Tensor from_doubles(std::span<const double> numbers, const at::Tensor& like) {
  at::Tensor out = at::empty({static_cast<std::int64_t>(numbers.size())}, at::kDouble);
  std::copy(numbers.begin(), numbers.end(), out.data_ptr<double>());
  return out.to(like.device(), like.scalar_type());
}

}  // namespace coho::trainer
