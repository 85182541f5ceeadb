#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <coho/concepts.hpp>
#include <coho/detail/span_of.hpp>
#include <coho/error.hpp>
#include <coho/packed.hpp>
#include <coho/rng.hpp>
#include <coho/rollout/token_sampling.hpp>
#include <coho/torch/module_gradients.hpp>
#include <coho/torch/module_tokens.hpp>

namespace coho::inline v0_1 {

struct module_policy_options {
  token end = 0;                ///< ends a response; it is the response's last token
  token padding = 0;            ///< fills rows on the right; any token of the vocabulary
  double temperature = 1;       ///< of sampling and scoring; above 0
  std::vector<token> banned{};  ///< tokens of probability 0
};

/// A libtorch module as a language model: causal_lm, differentiable_policy (with entropy) and trainable.
///
///     log p(y_t | x, y_<t) = log softmax(logits / temperature), over the tokens that are not banned
///
/// The module's forward takes tokens [B, T] and returns logits [B, T, V] of the token after each position
/// (`token_module`). Gradients come from autograd. `generate` calls forward once per token over the whole sequences so
/// far, without a cache: for models that are small, or sampled elsewhere (`sampler`). Each sequence draws from its own
/// rng with `token_sampler`. The module is held by reference.
///
/// Throws `option_error` on construction; `argument_error` for outputs of the wrong shape, banned tokens in a response,
/// and in `generate` for a temperature that is neither the policy's nor 0 (greedy), and for stop strings.
///
///     coho::module_policy policy{module, {.end = 2}};
///     torch::optim::Adam adam(module.parameters());
///     coho::module_optimizer optimizer{adam};
template <token_module Module>
class module_policy : public module_gradients {
 public:
  explicit module_policy(Module& module, module_policy_options options = {})
      : module_gradients(detail::module_parameters(module)), module_(&module), options_(std::move(options)) {
    require_option(std::isfinite(options_.temperature) && options_.temperature > 0, "temperature", options_.temperature,
                   "finite and greater than 0");
    for (const token id : options_.banned) {
      require_option(id >= 0 && id != options_.end, "banned", id, "a token id other than the end token");
    }
  }

  struct output {
    std::vector<double> log_probs, entropy;  // one per response token, nats
  };
  /// Holds the graph of one forward.
  class pullback {
   public:
    pullback(at::Tensor all, at::Tensor chosen) : all_(std::move(all)), chosen_(std::move(chosen)) {}
    /// One backward pass for both gradients; none where both are empty.
    void operator()(const policy_gradient& gradient) const {
      at::Tensor total;
      const auto add = [&](std::span<const double> seed, const at::Tensor& of) {
        const at::Tensor term = (of * detail::from_doubles(seed, of)).sum();
        total = total.defined() ? total + term : term;
      };
      if (!gradient.log_probs.empty()) add(gradient.log_probs, chosen_);
      if (!gradient.entropy.empty()) add(gradient.entropy, row_entropies(all_));
      if (total.defined()) total.backward();
    }

   private:
    at::Tensor all_, chosen_;
  };

  const module_policy_options& options() const noexcept { return options_; }

  /// As policy (1): one forward, without a graph.
  std::vector<double> log_probs(const token_batch& batch) {
    const at::NoGradGuard no_gradient;
    return detail::to_doubles(evaluate(batch).second);
  }

  /// As differentiable_policy; the pullback may be called once.
  std::pair<output, pullback> forward(const token_batch& batch) {
    auto [all, chosen] = evaluate(batch);
    output out{.log_probs = detail::to_doubles(chosen), .entropy = detail::to_doubles(row_entropies(all.detach()))};
    return {std::move(out), pullback(std::move(all), std::move(chosen))};
  }

  /// As sampler; a sequence is dropped from the forwards once it has ended.
  generation generate(const packed<token>& prompts, const generation_options& options, std::span<rng> streams) {
    require_argument(streams.size() == prompts.size(), "module_policy: generate needs one rng per prompt");
    require_argument(options.temperature == options_.temperature || options.temperature == 0,
                     "module_policy: the sampling temperature is " + std::to_string(options.temperature) +
                         ", that of the log-probabilities " + std::to_string(options_.temperature));
    require_argument(options.stop.empty() && options.unfinished_stop.empty(),
                     "module_policy: it has no tokenizer, so there are no stop strings");
    const at::NoGradGuard no_gradient;
    std::vector<token> banned = options_.banned;
    banned.insert(banned.end(), options.banned.begin(), options.banned.end());
    const token_sampler sampler(
        {.temperature = options.temperature, .top_k = options.top_k, .top_p = options.top_p, .banned = banned});
    std::vector<sequence> all(prompts.size());
    std::vector<std::size_t> active(prompts.size());
    std::iota(active.begin(), active.end(), std::size_t{0});
    for (const std::size_t i : active) {
      require_argument(!prompts[i].empty(), "module_policy: prompt " + std::to_string(i) + " has no tokens");
      all[i].tokens.assign(prompts[i].begin(), prompts[i].end());
    }
    for (std::size_t t = 0; t < options.max_new_tokens && !active.empty(); ++t) {
      const at::Tensor logits = next_logits(all, active);
      const auto vocabulary = static_cast<std::size_t>(logits.size(1));
      for (std::size_t k = 0; k < active.size(); ++k) {
        sequence& s = all[active[k]];
        const auto next =
            sampler(detail::span_of(std::as_const(logits).const_data_ptr<float>() + k * vocabulary, vocabulary),
                    streams[active[k]]);
        s.tokens.push_back(next.id);
        s.log_probs.push_back(static_cast<float>(next.log_prob));
        s.finished = next.id == options_.end;
      }
      std::erase_if(active, [&](std::size_t i) { return all[i].finished; });
    }
    generation out;
    for (std::size_t i = 0; i < all.size(); ++i) {
      out.responses.push_back(std::span<const token>(all[i].tokens).subspan(prompts.length(i)));
      out.log_probs.push_back(all[i].log_probs);
      out.finished.push_back(all[i].finished ? 1 : 0);
    }
    return out;
  }

 private:
  struct sequence {
    std::vector<token> tokens;
    std::vector<float> log_probs;
    bool finished = false;
  };

  // −Σ_v p_v log p_v of each row of log p.
  static at::Tensor row_entropies(const at::Tensor& log_p) { return -(log_p.exp() * log_p).sum(1); }

  at::Device device() const { return detail::device_of(detail::module_parameters(*module_)); }

  // log p of all tokens at the positions of the responses, [tokens, V], and of the actual ones, [tokens].
  std::pair<at::Tensor, at::Tensor> evaluate(const token_batch& batch) {
    if (batch.responses.total() == 0) return {at::empty({0, 1}), at::empty({0})};
    const detail::module_batch rows(batch, options_.padding, device());
    at::Tensor logits = detail::position_rows(*module_, rows.rows, "module_policy").index_select(0, rows.predicting);
    check_targets(rows.targets, logits.size(1));
    if (options_.temperature != 1) logits = logits / options_.temperature;
    if (!options_.banned.empty()) {
      // Finite, so that 0·log 0 in the entropy is 0 and not NaN.
      const std::vector<std::int64_t> banned(options_.banned.begin(), options_.banned.end());
      logits = logits.index_fill(1, detail::indices_tensor(banned, logits.device()), -1e9);
    }
    const at::Tensor all = at::log_softmax(logits, 1);
    const at::Tensor targets = detail::indices_tensor(rows.targets, all.device());
    return {all, all.gather(1, targets.unsqueeze(1)).squeeze(1)};
  }

  // Throws argument_error for a response token outside the vocabulary or banned: its log-probability has no meaning.
  void check_targets(const std::vector<std::int64_t>& targets, std::int64_t vocabulary) const {
    for (const std::int64_t id : targets) {
      require_argument(id >= 0 && id < vocabulary, "module_policy: token " + std::to_string(id) + " is outside the " +
                                                       std::to_string(vocabulary) + " logits");
      require_argument(std::ranges::find(options_.banned, static_cast<token>(id)) == options_.banned.end(),
                       "module_policy: token " + std::to_string(id) + " is banned but occurs in a response");
    }
  }

  // The logits of the token after each active sequence, in float and host memory: [active, V].
  at::Tensor next_logits(const std::vector<sequence>& all, const std::vector<std::size_t>& active) {
    std::vector<std::vector<token>> rows;
    std::size_t longest = 0;
    for (const std::size_t i : active) {
      rows.push_back(all[i].tokens);
      longest = std::max(longest, rows.back().size());
    }
    std::vector<std::int64_t> last;
    for (std::size_t k = 0; k < rows.size(); ++k)
      last.push_back(static_cast<std::int64_t>(k * longest + rows[k].size() - 1));
    const at::Device on = device();
    const at::Tensor logits =
        detail::position_rows(*module_, detail::padded_rows(rows, options_.padding, on), "module_policy");
    return logits.index_select(0, detail::indices_tensor(last, on)).to(at::kCPU, at::kFloat).contiguous();
  }

  Module* module_;
  module_policy_options options_;
};

}  // namespace coho::inline v0_1
