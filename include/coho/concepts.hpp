#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <ranges>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include <coho/generation.hpp>
#include <coho/packed.hpp>
#include <coho/rng.hpp>

namespace coho::inline v0_1 {

namespace detail {
// Eigen's one-dimensional arrays own contiguous memory, but their iterators do not say so.
template <class Range>
concept plain_eigen = requires { typename Range::PlainObject; } && std::same_as<Range, typename Range::PlainObject>;
}  // namespace detail

/// A contiguous range of floating-point numbers: what models return and what gradients are. std::vector, std::array,
/// std::span, Eigen::ArrayXd, Eigen::VectorXf …
template <class Range>
concept number_range = std::ranges::sized_range<Range> && std::floating_point<std::ranges::range_value_t<Range>> &&
                       (std::ranges::contiguous_range<Range> || detail::plain_eigen<std::remove_cvref_t<Range>>);

/// What a reward model is asked. Text members are empty when the trainer was given no tokenizer.
struct reward_query {
  std::span<const token> prompt_tokens{};
  std::span<const token> response_tokens{};
  std::string_view prompt{};
  std::string_view response{};
  /// The guideline, one line per principle, in presentation order, including interventions added during RL.
  std::span<const std::string> principles{};
  /// Whether the response ended by itself (stop sequence or end token) rather than by the length limit.
  bool finished = true;
  /// The prompt record's factor on the length bonus (record field `length_bonus`).
  double length_multiplier = 1.0;
};

/// Gradients of the loss to pull back through a policy: one number per response token each. Empty spans mean zero.
struct policy_gradient {
  std::span<const double> log_probs{};
  std::span<const double> entropy{};
};
struct value_gradient {
  std::span<const double> values{};
};

/// policy
///  (1) `m.log_probs(batch)` with a `const token_batch&` returns a number_range with one log-probability per response
///      token, laid out as `batch.responses.values`: log p(y_t | x, y_<t) under the distribution that `generate`
///      samples (temperature included).
///  (2) The result for a sequence does not depend on the other sequences of the batch.
template <class Model>
concept policy = requires(Model& m, const token_batch& batch) {
  { m.log_probs(batch) } -> number_range;
};

/// differentiable_policy: a policy, and
///  (1) `auto [out, pullback] = m.forward(batch)`, where `out.log_probs` equals `log_probs(batch)`; if `out.entropy`
///      exists, it is the entropy (nats) of the distribution at each response token;
///  (2) `pullback(policy_gradient)` adds dL/dθ to the model's gradients, given dL/d(log_probs) and dL/d(entropy); it
///      may be called once per forward.
template <class Model>
concept differentiable_policy =
    policy<Model> && requires(Model& m, const token_batch& batch, policy_gradient gradient) {
      { m.forward(batch).first.log_probs } -> number_range;
      m.forward(batch).second(gradient);
    };

/// sampler: what answers prompts, say an inference engine with the policy's weights.
///  (1) `s.generate(prompts, options, streams)`: prompts `const packed<token>&`, `const generation_options&`, and one
///      rng per sequence (`std::span<rng>`), returns a `generation`; its log_probs may be empty where they are unknown;
///  (2) a sequence's result depends only on its prompt, the options and its rng;
///  (3) it samples from the policy that is trained: what the optimizer changes reaches it before the next call.
template <class Model>
concept sampler =
    requires(Model& m, const packed<token>& prompts, const generation_options& options, std::span<rng> streams) {
      { m.generate(prompts, options, streams) } -> std::convertible_to<generation>;
    };

/// causal_lm: a policy that is a sampler, of log-probabilities as `log_probs` gives them.
template <class Model>
concept causal_lm = policy<Model> && sampler<Model>;

/// value_model
///  (1) `m.values(batch)` returns a number_range with one V_t per response token, computed before y_t is seen.
template <class Model>
concept value_model = requires(Model& m, const token_batch& batch) {
  { m.values(batch) } -> number_range;
};

/// differentiable_value_model: a value_model, and
///  (1) `auto [out, pullback] = m.forward(batch)` with `out.values`, and (2) `pullback(value_gradient)`, as for
///      policies.
template <class Model>
concept differentiable_value_model =
    value_model<Model> && requires(Model& m, const token_batch& batch, value_gradient gradient) {
      { m.forward(batch).first.values } -> number_range;
      m.forward(batch).second(gradient);
    };

/// reward_model
///  (1) `m.score(queries)` with `std::span<const reward_query>`, or `m(queries)`, returns a number_range with one score
///      per query. A lambda qualifies.
///  (2) A query's score does not depend on the other queries of the span.
template <class Model>
concept reward_model = requires(Model& m, std::span<const reward_query> queries) {
  { m.score(queries) } -> number_range;
} || requires(Model& m, std::span<const reward_query> queries) {
  { m(queries) } -> number_range;
};

/// differentiable_reward_model: what `train/reward_model` trains.
///  (1) `auto [scores, pullback] = m.forward(queries)`, where `scores` is a number_range with one score per query;
///  (2) `pullback(std::span<const double> d_scores)` adds to the model's gradients.
template <class Model>
concept differentiable_reward_model =
    requires(Model& m, std::span<const reward_query> queries, std::span<const double> d_scores) {
      { m.forward(queries).first } -> number_range;
      m.forward(queries).second(d_scores);
    };

/// trainable
///  (1) `m.zero_gradients()` sets the accumulated gradients to zero.
///  (2) Either `m.gradients()`, a range of number_ranges over the accumulated gradients (writable, because clipping and
///      all-reduce change them in place; in the same order at every call), or, for gradients outside host memory,
///      `m.squared_gradient_norm()`, Σ g² over all of them, and `m.scale_gradients(double)`, g ← g · factor.
///  (3) For more than one process without `m.gradients()`: `m.all_reduce_gradients(communicator)` leaves the sum over
///      the ranks on each rank. Copying to host memory, calling `all_reduce_sum` and copying back is enough.
///  (4) If ranks work on several shards (`communicator` (3)) without `m.gradients()`: `m.fold_gradients()` adds the
///      gradients to a sum of higher precision and sets them to zero; `m.unfold_gradients(communicator)` leaves that
///      sum over the ranks in the gradients. A model that draws random numbers in its forward may have
///      `m.begin_shard(number)` and `m.end_shards()`; its draws must then depend on the shard and not on the rank.
/// A model may have all of these: its specific member is then used instead of `m.gradients()`, so a model can decide at
/// run time where its gradients are. Each member must be bit-reproducible for a run to be.
template <class Model>
concept trainable =
    requires(Model& m) { m.zero_gradients(); } &&
    (
        requires(Model& m) { requires number_range<std::ranges::range_value_t<decltype(m.gradients())>>; } ||
        requires(Model& m, double factor) {
          { m.squared_gradient_norm() } -> std::convertible_to<double>;
          m.scale_gradients(factor);
        });

/// optimizer
///  (1) `o.step(learning_rate)` applies the accumulated gradients of the parameters that it was built with.
template <class Optimizer>
concept optimizer = requires(Optimizer& o, double learning_rate) { o.step(learning_rate); };

/// tokenizer
///  (1) `t.encode(std::string_view)` returns a range of `token`, without begin or end tokens;
///  (2) `t.decode(std::span<const token>)` returns a std::string;
///  (3) `t.eos()` returns the end token.
template <class Tokenizer>
concept tokenizer = requires(const Tokenizer& t, std::string_view text, std::span<const token> tokens) {
  requires std::convertible_to<std::ranges::range_value_t<decltype(t.encode(text))>, token>;
  { t.decode(tokens) } -> std::convertible_to<std::string>;
  { t.eos() } -> std::convertible_to<token>;
};

/// choice_judge
///  (1) `j.log_odds(prompts, first, second)` with `std::span<const std::string>` and two `std::string_view` answers
///      returns a number_range: log p(first) − log p(second) as the continuation of each prompt.
template <class Judge>
concept choice_judge = requires(Judge& j, std::span<const std::string> prompts, std::string_view answer) {
  { j.log_odds(prompts, answer, answer) } -> number_range;
};

/// language_identifier
///  (1) `l(std::string_view)` returns the language of a text as any type with operator==.
template <class Identifier>
concept language_identifier = requires(const Identifier& l, std::string_view text) {
  { l(text) } -> std::equality_comparable;
};

/// communicator (data parallel)
///  (1) `c.rank()` and `c.size()` return integers;
///  (2) `c.all_reduce_sum(std::span<double>)` and `(std::span<float>)` leave the sum over the ranks on each rank,
///      summed in a fixed order, floats with the precision of double.
///  (3) Optional, `c.shards()`: how many shards the work of a step is divided into, the same on all ranks; without it,
///      one per rank. Bit-identical results depend on the number of shards and not on the number of ranks
///      (`shard_count`).
template <class Communicator>
concept communicator = requires(Communicator& c, std::span<double> doubles, std::span<float> floats) {
  { c.rank() } -> std::convertible_to<std::size_t>;
  { c.size() } -> std::convertible_to<std::size_t>;
  c.all_reduce_sum(doubles);
  c.all_reduce_sum(floats);
};

/// The communicator of one process.
struct local_communicator {
  static constexpr std::size_t rank() noexcept { return 0; }
  static constexpr std::size_t size() noexcept { return 1; }
  static constexpr void all_reduce_sum(std::span<double>) noexcept {}
  static constexpr void all_reduce_sum(std::span<float>) noexcept {}
};

/// The default communicator of everything that takes one.
inline constexpr local_communicator local{};

/// Scores queries through whichever form the reward model has.
template <reward_model Model>
auto score_queries(Model& model, std::span<const reward_query> queries) {
  if constexpr (requires { model.score(queries); }) {
    return model.score(queries);
  } else {
    return model(queries);
  }
}

}  // namespace coho::inline v0_1
