#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <coho/concepts.hpp>

/// The least that satisfies each concept: a driver that compiles with these asks for nothing beyond the concepts.
namespace coho::test::archetype {

struct policy {
  std::vector<float> log_probs(const token_batch& batch) { return std::vector<float>(batch.responses.total(), -1.0F); }
};

struct differentiable_policy : policy {
  struct output {
    std::vector<float> log_probs;
  };
  auto forward(const token_batch& batch) {
    return std::pair(output{log_probs(batch)}, [](const policy_gradient&) {});
  }
};

struct causal_lm : policy {
  generation generate(const packed<token>& prompts, const generation_options&, std::span<rng>) {
    generation out;
    for (std::size_t i = 0; i < prompts.size(); ++i) {
      out.responses.push_back({token{1}});
      out.log_probs.push_back({-1.0F});
      out.finished.push_back(1);
    }
    return out;
  }
};

struct value_model {
  std::vector<float> values(const token_batch& batch) { return std::vector<float>(batch.responses.total(), 0.0F); }
};

struct differentiable_value_model : value_model {
  struct output {
    std::vector<float> values;
  };
  auto forward(const token_batch& batch) {
    return std::pair(output{values(batch)}, [](const value_gradient&) {});
  }
};

struct reward_model {
  std::vector<double> score(std::span<const reward_query> queries) { return std::vector<double>(queries.size(), 0.5); }
};

struct differentiable_reward_model {
  auto forward(std::span<const reward_query> queries) {
    return std::pair(std::vector<float>(queries.size(), 0.0F), [](std::span<const double>) {});
  }
};

struct trainable {
  std::array<float, 2> gradient{};
  void zero_gradients() { gradient = {}; }
  std::array<std::span<float>, 1> gradients() { return {std::span<float>(gradient)}; }
};

struct trainable_elsewhere {
  double norm = 3;
  void zero_gradients() { norm = 0; }
  double squared_gradient_norm() { return norm * norm; }
  void scale_gradients(double factor) { norm *= factor; }
};

struct optimizer {
  void step(double) {}
};

struct tokenizer {
  std::vector<token> encode(std::string_view text) const { return std::vector<token>(text.size(), 1); }
  std::string decode(std::span<const token> tokens) const { return std::string(tokens.size(), 'x'); }
  token eos() const { return 0; }
};

struct choice_judge {
  std::vector<float> log_odds(std::span<const std::string> prompts, std::string_view, std::string_view) {
    return std::vector<float>(prompts.size(), 0.0F);
  }
};

struct language_identifier {
  int operator()(std::string_view text) const { return static_cast<int>(text.size() % 2); }
};

struct communicator {
  std::size_t rank() { return 0; }
  std::size_t size() { return 1; }
  void all_reduce_sum(std::span<double>) {}
  void all_reduce_sum(std::span<float>) {}
};

/// What PPO asks of a policy, and of a value model, in one.
struct trained_policy : causal_lm, trainable {
  struct output {
    std::vector<float> log_probs;
  };
  auto forward(const token_batch& batch) {
    return std::pair(output{log_probs(batch)}, [](const policy_gradient&) {});
  }
};
struct trained_value : differentiable_value_model, trainable {};
struct trained_reward : differentiable_reward_model, trainable {};

}  // namespace coho::test::archetype
