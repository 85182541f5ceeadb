#pragma once

#include <cstdint>

#include <torch/nn/module.h>

#include <coho/rng.hpp>
#include <coho/toy/tabular_policy.hpp>
#include <coho/toy/tabular_value.hpp>

namespace coho::test {

/// A module of one table: what it says of a position is the row of the position's token or, where `running`, the sum of
/// the rows up to there. In double.
struct table_module : torch::nn::Module {
  at::Tensor table;
  bool running = false;

  table_module(std::int64_t tokens, std::int64_t columns, std::uint64_t seed)
      : table(register_parameter("table", at::zeros({tokens, columns}, at::kDouble))) {
    rng random(seed);
    auto* numbers = table.data_ptr<double>();
    for (std::int64_t i = 0; i < table.numel(); ++i) numbers[i] = random.normal();
  }
  at::Tensor forward(const at::Tensor& tokens) {
    const at::Tensor rows = table.index_select(0, tokens.flatten()).view({tokens.size(0), tokens.size(1), -1});
    return running ? rows.cumsum(1) : rows;
  }
  double number(std::int64_t row, std::int64_t column) const { return table.index({row, column}).item<double>(); }
  double gradient(std::int64_t row, std::int64_t column) const {
    return table.grad().index({row, column}).item<double>();
  }
};

/// The same policy in closed form.
inline toy::tabular_policy tabular(const table_module& module, toy::tabular_policy_options options) {
  options.vocabulary = static_cast<std::size_t>(module.table.size(1));
  options.order = 1;
  toy::tabular_policy out(options);
  for (token c = 0; c < static_cast<token>(options.vocabulary); ++c) {
    const auto context = static_cast<Eigen::Index>(out.contexts().context_after(std::vector<token>{c}));
    for (Eigen::Index v = 0; v < out.logits.rows(); ++v) out.logits(v, context) = module.number(c, v);
  }
  return out;
}

/// The largest difference of two gradients of that table.
inline double gradient_difference(const table_module& module, const toy::tabular_policy& policy) {
  double most = 0;
  for (token c = 0; c < static_cast<token>(policy.logits.rows()); ++c) {
    const auto context = static_cast<Eigen::Index>(policy.contexts().context_after(std::vector<token>{c}));
    for (Eigen::Index v = 0; v < policy.logits.rows(); ++v)
      most = std::max(most, std::abs(module.gradient(c, v) - policy.gradient(v, context)));
  }
  return most;
}

/// Three sequences of different lengths.
inline token_batch uneven_batch() { return {{{1, 2, 3, 1}, {2}, {3, 3}}, {{2, 0}, {3, 1, 2, 0}, {1}}}; }

}  // namespace coho::test
