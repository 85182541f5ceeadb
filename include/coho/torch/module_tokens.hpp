#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <ATen/ATen.h>

#include <coho/error.hpp>
#include <coho/packed.hpp>

namespace coho::inline v0_1 {

/// token_module: a libtorch module over tokens, or a holder of one (`torch::nn::ModuleHolder`).
///  (1) `m.forward(tokens)`, or `m->forward(tokens)`, with a [B, T] int64 tensor on the device of the parameters,
///      returns an `at::Tensor` with numbers for each position;
///  (2) `m.parameters()`, or `m->parameters()`, returns the trained `at::Tensor`s;
///  (3) the numbers of a position depend only on the tokens up to it in its own row (a causal model), so padding on the
///      right of a row changes nothing; they are repeatable (dropout is off: `m.eval()`).
template <class Module>
concept token_module = requires(Module& m, const at::Tensor& tokens) {
  { m.forward(tokens) } -> std::convertible_to<at::Tensor>;
  { m.parameters() } -> std::convertible_to<std::vector<at::Tensor>>;
} || requires(Module& m, const at::Tensor& tokens) {
  { m->forward(tokens) } -> std::convertible_to<at::Tensor>;
  { m->parameters() } -> std::convertible_to<std::vector<at::Tensor>>;
};

namespace detail {

/// The output of a module or of what a holder holds.
template <token_module Module>
at::Tensor module_forward(Module& module, const at::Tensor& tokens) {
  if constexpr (requires { module.forward(tokens); }) {
    return module.forward(tokens);
  } else {
    return module->forward(tokens);
  }
}

/// The parameters of a module or of what a holder holds, trained or not.
template <token_module Module>
std::vector<at::Tensor> module_parameters(Module& module) {
  if constexpr (requires { module.parameters(); }) {
    return module.parameters();
  } else {
    return module->parameters();
  }
}

/// The device of a module: that of its first parameter; the CPU without any.
inline at::Device device_of(const std::vector<at::Tensor>& parameters) {
  return parameters.empty() ? at::Device(at::kCPU) : parameters.front().device();
}

/// Sequences as rows of one tensor, with `padding` after the shorter ones: [sequences, longest].
inline at::Tensor padded_rows(std::span<const std::vector<token>> sequences, token padding, at::Device device) {
  std::size_t longest = 0;
  for (const auto& sequence : sequences) longest = std::max(longest, sequence.size());
  const at::Tensor out = at::full({static_cast<std::int64_t>(sequences.size()), static_cast<std::int64_t>(longest)},
                                  padding, at::TensorOptions(at::kLong));
  for (std::size_t i = 0; i < sequences.size(); ++i)
    std::copy(sequences[i].begin(), sequences[i].end(), out.data_ptr<std::int64_t>() + i * longest);
  return out.to(device);
}

/// int64 [indices] on the device.
inline at::Tensor indices_tensor(const std::vector<std::int64_t>& indices, at::Device device) {
  return at::tensor(indices, at::TensorOptions(at::kLong)).to(device);
}

/// A token_batch in the form that a module takes.
struct module_batch {
  at::Tensor rows;        ///< [sequences, longest], each without its last token, which predicts nothing
  at::Tensor predicting;  ///< for each response token, the flattened index in `rows` that predicts it
  std::vector<std::int64_t> targets;

  module_batch(const token_batch& batch, token padding, at::Device device) {
    std::vector<std::vector<token>> sequences(batch.size());
    std::size_t longest = 0;
    for (std::size_t i = 0; i < batch.size(); ++i) {
      const auto prompt = batch.prompts[i], response = batch.responses[i];
      require_argument(!prompt.empty(), "sequence " + std::to_string(i) + " has no prompt tokens");
      sequences[i].assign(prompt.begin(), prompt.end());
      sequences[i].insert(sequences[i].end(), response.begin(), response.end());
      if (!response.empty()) sequences[i].pop_back();
      longest = std::max(longest, sequences[i].size());
    }
    std::vector<std::int64_t> places;
    for (std::size_t i = 0; i < batch.size(); ++i) {
      for (std::size_t t = 0; t < batch.responses.length(i); ++t)
        places.push_back(static_cast<std::int64_t>(i * longest + batch.prompts.length(i) - 1 + t));
    }
    rows = padded_rows(sequences, padding, device);
    predicting = indices_tensor(places, device);
    targets.assign(batch.responses.values.begin(), batch.responses.values.end());
  }
};

/// A module's output, one row per position: [sequences · longest, last]. An output of shape [B, T] has one number per
/// position. Throws argument_error, naming the model `what`, for an output of another shape.
template <token_module Module>
at::Tensor position_rows(Module& module, const at::Tensor& rows, const char* what) {
  at::Tensor out = module_forward(module, rows);
  if (out.dim() == 2) out = out.unsqueeze(2);
  require_argument(out.dim() == 3 && out.size(0) == rows.size(0) && out.size(1) == rows.size(1),
                   std::string(what) + ": the module's forward did not return a tensor of [" +
                       std::to_string(rows.size(0)) + ", " + std::to_string(rows.size(1)) + "] positions");
  // In half precision, sums over a vocabulary would lose the small differences that are trained on.
  const auto type = out.scalar_type();
  if (type != at::kFloat && type != at::kDouble) out = out.to(at::kFloat);
  return out.flatten(0, 1);
}

/// One number for each of the chosen positions (flattened indices of `rows`): [positions]. Throws argument_error for an
/// output with several numbers per position.
template <token_module Module>
at::Tensor position_numbers(Module& module, const at::Tensor& rows, const at::Tensor& positions, const char* what) {
  const at::Tensor all = position_rows(module, rows, what);
  require_argument(all.size(1) == 1, std::string(what) + ": the module's forward returned " +
                                         std::to_string(all.size(1)) + " numbers for a position instead of one");
  return all.squeeze(1).index_select(0, positions);
}

/// All numbers of a tensor on any device, without its graph, row by row.
inline std::vector<double> to_doubles(const at::Tensor& x) {
  const at::Tensor flat = x.detach().to(at::kCPU, at::kDouble).contiguous();
  return {flat.data_ptr<double>(), flat.data_ptr<double>() + flat.numel()};
}

/// Converts to a tensor with the device and number type of another one.
inline at::Tensor from_doubles(std::span<const double> x, const at::Tensor& like) {
  const at::Tensor out = at::empty({static_cast<std::int64_t>(x.size())}, at::kDouble);
  std::copy(x.begin(), x.end(), out.data_ptr<double>());
  return out.to(like.device(), like.scalar_type());
}

}  // namespace detail
}  // namespace coho::inline v0_1
