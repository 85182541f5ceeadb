// A custom trainer over a custom libtorch module. coho's losses take tensors as they take arrays: the result is a 0-d
// tensor that autograd differentiates, so a loss is one line of an ordinary libtorch loop. First preferences (DPO),
// then rewards (GRPO), on the same small model.
#include <cstdio>
#include <vector>

#include <torch/torch.h>

#include <coho/advantage/group_relative.hpp>
#include <coho/loss/dpo.hpp>
#include <coho/loss/ppo_clip.hpp>
#include <coho/reduce.hpp>
#include <coho/rng.hpp>
#include <coho/rollout/token_sampling.hpp>
#include <coho/torch/ops.hpp>

constexpr std::int64_t vocabulary = 5, length = 6;

// The model: nothing here depends on coho. In double, so that the output is the same on every machine.
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
  // [N, T] tokens → [N, T, vocabulary] logits of the token after each.
  at::Tensor logits(const at::Tensor& tokens) {
    return head->forward(std::get<0>(gru->forward(embedding->forward(tokens))));
  }
  // coho's input: log π of every response token, response by response, without the prompt and without padding.
  at::Tensor log_probs(const at::Tensor& tokens) {
    const at::Tensor log_p = torch::log_softmax(logits(tokens.slice(1, 0, -1)), -1);
    return log_p.gather(2, tokens.slice(1, 1).unsqueeze(2)).flatten();
  }
};

// N responses to the prompt "1", as [N, 1 + length]. One stream per response; streams do not depend on torch.
at::Tensor sample(language_model& model, std::int64_t count, const coho::rng& base) {
  torch::NoGradGuard none;
  const coho::token_sampler sampler;
  at::Tensor tokens = torch::ones({count, 1}, torch::kLong);
  for (std::int64_t t = 0; t < length; ++t) {
    const at::Tensor logits = model.logits(tokens).select(1, -1).to(torch::kFloat).contiguous();
    at::Tensor next = torch::empty({count, 1}, torch::kLong);
    for (std::int64_t i = 0; i < count; ++i) {
      coho::rng stream = base.split(static_cast<std::uint64_t>(i * length + t));
      const std::span row(logits.data_ptr<float>() + i * vocabulary, vocabulary);
      next[i][0] = sampler(row, stream).id;
    }
    tokens = torch::cat({tokens, next}, 1);
  }
  return tokens;
}

// The goal: each token is one more than the token before it, wrapping from 4 to 0. Between 0 and length.
at::Tensor score(const at::Tensor& tokens) {
  const at::Tensor wanted = (tokens.slice(1, 0, -1) + 1).remainder(vocabulary);
  return (tokens.slice(1, 1) == wanted).sum(1).to(torch::kDouble);
}

// All responses have `length` tokens here. Responses of different lengths only need different offsets.
std::vector<std::size_t> every(std::size_t step, std::int64_t count) {
  std::vector<std::size_t> offsets;
  for (std::int64_t i = 0; i <= count; ++i) offsets.push_back(step * static_cast<std::size_t>(i));
  return offsets;
}

int main() {
  torch::set_num_threads(1);
  language_model model;
  torch::optim::Adam optimizer(model.parameters(), 0.01);
  std::printf("untrained: score %.3f\n", score(sample(model, 64, coho::rng(2))).mean().item<double>());

  // ---- DPO. Pairs of the model's own responses, the better one first; ties carry no information.
  const at::Tensor a = sample(model, 128, coho::rng(3)), b = sample(model, 128, coho::rng(4));
  const at::Tensor differ = (score(a) != score(b)).nonzero().flatten(), a_wins = (score(a) > score(b)).unsqueeze(1);
  const at::Tensor preferred = torch::where(a_wins, a, b).index_select(0, differ);
  const at::Tensor other = torch::where(a_wins, b, a).index_select(0, differ);
  const auto pair_offsets = every(length, differ.numel());
  const auto whole = [&](const at::Tensor& tokens) {  // log π of whole responses: [pairs]
    return coho::sequence_sums(model.log_probs(tokens), pair_offsets);
  };
  // The reference is the model before training: its outputs are computed once, and no second model is kept.
  const at::Tensor reference_chosen = whole(preferred).detach(), reference_rejected = whole(other).detach();
  const coho::dpo_loss dpo{{.beta = 0.5}};
  for (int step = 0; step <= 20; ++step) {
    const at::Tensor loss = dpo(coho::preference_loss_inputs<at::Tensor>{.chosen = whole(preferred),
                                                                         .rejected = whole(other),
                                                                         .reference_chosen = reference_chosen,
                                                                         .reference_rejected = reference_rejected});
    if (step % 10 == 0) std::printf("DPO step %d: loss %.4f\n", step, loss.item<double>());
    optimizer.zero_grad();
    loss.backward();
    optimizer.step();
  }
  std::printf("after DPO: score %.3f\n", score(sample(model, 64, coho::rng(2))).mean().item<double>());

  // ---- GRPO. 4 groups of 16 responses; a response is compared with the others of its group.
  const auto offsets = every(length, 64), groups = every(16, 4);
  const coho::ppo_clip_loss clipped{{.clip_low = 0.2, .clip_high = 0.28}};
  for (int step = 0; step < 30; ++step) {
    const at::Tensor tokens = sample(model, 64, coho::rng(5).split(static_cast<std::uint64_t>(step)));
    const at::Tensor old_log_probs = model.log_probs(tokens).detach();
    // Advantages are constants of the optimisation: computed on the host, returned as a tensor without a graph.
    const at::Tensor advantages = coho::sequence_spread(coho::group_relative(score(tokens), groups), offsets);
    for (int epoch = 0; epoch < 2; ++epoch) {
      optimizer.zero_grad();
      clipped(coho::policy_loss_inputs<at::Tensor>{
                  .log_probs = model.log_probs(tokens), .old_log_probs = old_log_probs, .advantages = advantages})
          .backward();
      optimizer.step();
    }
  }
  std::printf("after GRPO: score %.3f\n", score(sample(model, 64, coho::rng(2))).mean().item<double>());
}
