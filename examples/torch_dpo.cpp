// DPO of a libtorch module with the library's driver. The module does not depend on coho: forward takes tokens [B, T]
// and returns the logits of the token after each position.
#include <cstdint>
#include <cstdio>
#include <vector>

#include <torch/torch.h>

#include <coho/loss/dpo.hpp>
#include <coho/torch/module_optimizer.hpp>
#include <coho/torch/module_policy.hpp>
#include <coho/train/direct_preference.hpp>

constexpr std::int64_t vocabulary = 5;

// In double, so that the output is the same on every machine.
struct language_model : torch::nn::Module {
  torch::nn::Embedding embedding = register_module("embedding", torch::nn::Embedding(vocabulary, 16));
  torch::nn::GRU gru = register_module("gru", torch::nn::GRU(torch::nn::GRUOptions(16, 16).batch_first(true)));
  torch::nn::Linear head = register_module("head", torch::nn::Linear(16, vocabulary));

  language_model() {
    to(torch::kDouble);
    torch::NoGradGuard none;
    coho::rng random(1);  // torch's own initialisation draws different numbers in different versions
    for (auto& p : parameters()) {
      for (std::int64_t i = 0; i < p.numel(); ++i) p.view(-1)[i] = 0.3 * random.normal();
    }
  }
  at::Tensor forward(const at::Tensor& tokens) {
    return head->forward(std::get<0>(gru->forward(embedding->forward(tokens))));
  }
};

// Responses of up to six tokens to the prompt 1; 0 ends them.
std::vector<std::vector<coho::token>> sample(coho::module_policy<language_model>& policy, std::size_t count,
                                             std::uint64_t seed) {
  coho::packed<coho::token> prompts;
  std::vector<coho::rng> streams;
  for (std::size_t i = 0; i < count; ++i) {
    prompts.push_back({1});
    streams.push_back(coho::rng(seed).split(i));
  }
  const auto drawn = policy.generate(prompts, {.max_new_tokens = 6}, streams).responses;
  std::vector<std::vector<coho::token>> out;
  for (std::size_t i = 0; i < count; ++i) out.emplace_back(drawn[i].begin(), drawn[i].end());
  return out;
}

// The goal: each token is one more than the token before it, and 0, the end token, comes after 4.
double right_steps(const std::vector<coho::token>& response) {
  double right = 0;
  coho::token before = 1;
  for (const coho::token t : response) {
    right += t == (before + 1) % vocabulary ? 1 : 0;
    before = t;
  }
  return right;
}

int main() {
  torch::set_num_threads(1);
  language_model model, initial_model;
  coho::module_policy policy{model, {.end = 0}}, initial{initial_model, {.end = 0}};

  // Pairs of the model's own responses, the better one first; ties carry no information.
  const auto a = sample(policy, 256, 3), b = sample(policy, 256, 4);
  std::vector<coho::direct_preference_example> examples;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double difference = right_steps(a[i]) - right_steps(b[i]);
    if (difference > 0) examples.push_back({{1}, a[i], b[i]});
    if (difference < 0) examples.push_back({{1}, b[i], a[i]});
  }
  // The reference's log-probabilities are computed once; its memory could be freed after this.
  coho::add_reference_log_probs(examples, initial);

  torch::optim::Adam adam(model.parameters());
  coho::module_optimizer optimizer{adam};
  coho::direct_preference_trainer trainer{policy,
                                          coho::no_reference,
                                          optimizer,
                                          coho::dpo_loss{{.beta = 0.3}},
                                          {.learning_rate = {.peak = 0.01}, .batch_size = 32, .epochs = 8}};
  const auto mean_steps = [&] {
    double sum = 0;
    for (const auto& response : sample(policy, 256, 5)) sum += right_steps(response);
    return sum / 256;
  };
  std::printf("%zu pairs; right steps before: %.2f\n", examples.size(), mean_steps());
  const auto history = trainer.fit(examples);
  const auto first = history.front(), last = history.back();
  std::printf("loss %.4f -> %.4f, accuracy %.2f -> %.2f\n", first.loss, last.loss, first.accuracy, last.accuracy);
  const double after = mean_steps();
  std::printf("right steps after: %.2f\n", after);
  return after > 1.5 ? 0 : 1;
}
