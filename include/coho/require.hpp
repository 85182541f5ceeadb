#pragma once

#include <coho/concepts.hpp>

/// Concept checks that name what is missing.
///
/// `require_<concept><T>()` compiles to `true` when T satisfies the concept. When it does not, the first error names
/// the numbered requirement of <coho/concepts.hpp> and the member that is missing. Drivers call these before anything
/// else.
///
///     static_assert(coho::require_policy<my_model>());
namespace coho::inline v0_1 {

/// A model with `log_probs`.
template <class Model>
consteval bool require_policy() {
  using batch = const token_batch&;
  constexpr bool exists = requires(Model& m, batch b) { m.log_probs(b); };
  static_assert(exists, "coho::policy (1): the model has no log_probs(const token_batch&)");
  if constexpr (exists) {
    static_assert(
        policy<Model>,
        "coho::policy (1): log_probs(const token_batch&) returns no contiguous range of floating-point numbers");
  }
  return true;
}

/// A policy with `forward`; reports what policy (1) needs first.
template <class Model>
consteval bool require_differentiable_policy() {
  if constexpr (!policy<Model>) {
    return require_policy<Model>();
  } else {
    using batch = const token_batch&;
    constexpr bool exists = requires(Model& m, batch b) { m.forward(b); };
    static_assert(exists, "coho::differentiable_policy (1): the model has no forward(const token_batch&)");
    if constexpr (exists) {
      constexpr bool output = requires(Model& m, batch b) {
        { m.forward(b).first.log_probs } -> number_range;
      };
      static_assert(
          output,
          "coho::differentiable_policy (1): forward(const token_batch&) returns no pair whose first has log_probs");
      constexpr bool pullback = requires(Model& m, batch b, policy_gradient g) { m.forward(b).second(g); };
      static_assert(
          pullback,
          "coho::differentiable_policy (2): the second of forward's pair is not callable with a policy_gradient");
    }
    return true;
  }
}

/// An object with `generate`.
template <class Model>
consteval bool require_sampler() {
  constexpr bool exists = requires(Model& m, const packed<token>& p, const generation_options& o, std::span<rng> r) {
    m.generate(p, o, r);
  };
  static_assert(exists,
                "coho::sampler (1): the sampler has no generate(const packed<token>&, const generation_options&, "
                "std::span<rng>)");
  if constexpr (exists) static_assert(sampler<Model>, "coho::sampler (1): generate does not return a coho::generation");
  return true;
}

/// A policy that is its own sampler; reports what policy (1) needs first.
template <class Model>
consteval bool require_causal_lm() {
  if constexpr (!policy<Model>) {
    return require_policy<Model>();
  } else {
    constexpr bool exists = requires(Model& m, const packed<token>& p, const generation_options& o, std::span<rng> r) {
      m.generate(p, o, r);
    };
    static_assert(exists,
                  "coho::causal_lm (1): the model has no generate(const packed<token>&, const generation_options&, "
                  "std::span<rng>)");
    if constexpr (exists)
      static_assert(causal_lm<Model>, "coho::causal_lm (1): generate does not return a coho::generation");
    return true;
  }
}

/// A model with `values`.
template <class Model>
consteval bool require_value_model() {
  constexpr bool exists = requires(Model& m, const token_batch& b) { m.values(b); };
  static_assert(exists, "coho::value_model (1): the model has no values(const token_batch&)");
  if constexpr (exists) {
    static_assert(
        value_model<Model>,
        "coho::value_model (1): values(const token_batch&) returns no contiguous range of floating-point numbers");
  }
  return true;
}

/// A value model with `forward`; reports what value_model (1) needs first.
template <class Model>
consteval bool require_differentiable_value_model() {
  if constexpr (!value_model<Model>) {
    return require_value_model<Model>();
  } else {
    constexpr bool exists = requires(Model& m, const token_batch& b) { m.forward(b); };
    static_assert(exists, "coho::differentiable_value_model (1): the model has no forward(const token_batch&)");
    if constexpr (exists) {
      constexpr bool output = requires(Model& m, const token_batch& b) {
        { m.forward(b).first.values } -> number_range;
      };
      static_assert(
          output,
          "coho::differentiable_value_model (1): forward(const token_batch&) returns no pair whose first has values");
      constexpr bool pullback = requires(Model& m, const token_batch& b, value_gradient g) { m.forward(b).second(g); };
      static_assert(
          pullback,
          "coho::differentiable_value_model (2): the second of forward's pair is not callable with a value_gradient");
    }
    return true;
  }
}

/// A model with `score`, or one that is called with queries.
template <class Model>
consteval bool require_reward_model() {
  using queries = std::span<const reward_query>;
  constexpr bool exists = requires(Model& m, queries q) { m.score(q); } || requires(Model& m, queries q) { m(q); };
  static_assert(
      exists,
      "coho::reward_model (1): the model has no score(std::span<const reward_query>) and is not callable with it");
  if constexpr (exists) {
    static_assert(reward_model<Model>,
                  "coho::reward_model (1): the scores are no contiguous range of floating-point numbers");
  }
  return true;
}

/// A model whose `forward` returns scores and a pullback; `score` is not needed.
template <class Model>
consteval bool require_differentiable_reward_model() {
  using queries = std::span<const reward_query>;
  constexpr bool exists = requires(Model& m, queries q) { m.forward(q); };
  static_assert(exists,
                "coho::differentiable_reward_model (1): the model has no forward(std::span<const reward_query>)");
  if constexpr (exists) {
    constexpr bool output = requires(Model& m, queries q) {
      { m.forward(q).first } -> number_range;
    };
    static_assert(output,
                  "coho::differentiable_reward_model (1): forward returns no pair whose first is a range of scores");
    constexpr bool pullback = requires(Model& m, queries q, std::span<const double> d) { m.forward(q).second(d); };
    static_assert(pullback,
                  "coho::differentiable_reward_model (2): the second of forward's pair is not callable with a "
                  "std::span<const double>");
  }
  return true;
}

/// Only (1) and (2): a driver on several ranks asks for (3) and (4) when it runs.
template <class Model>
consteval bool require_trainable() {
  constexpr bool zero = requires(Model& m) { m.zero_gradients(); };
  static_assert(zero, "coho::trainable (1): the model has no zero_gradients()");
  if constexpr (zero) {
    static_assert(
        trainable<Model>,
        "coho::trainable (2): the model has neither gradients(), a range of contiguous ranges of numbers, nor "
        "squared_gradient_norm() and scale_gradients(double)");
  }
  return true;
}

/// An object with `step`.
template <class Optimizer>
consteval bool require_optimizer() {
  static_assert(optimizer<Optimizer>, "coho::optimizer (1): the optimizer has no step(double learning_rate)");
  return true;
}

/// All three members are reported, not only the first that is missing.
template <class Tokenizer>
consteval bool require_tokenizer() {
  constexpr bool encode = requires(const Tokenizer& t, std::string_view s) { t.encode(s); };
  static_assert(encode, "coho::tokenizer (1): the tokenizer has no encode(std::string_view) const");
  constexpr bool decode = requires(const Tokenizer& t, std::span<const token> s) {
    { t.decode(s) } -> std::convertible_to<std::string>;
  };
  static_assert(decode,
                "coho::tokenizer (2): the tokenizer has no decode(std::span<const token>) const that returns a string");
  constexpr bool eos = requires(const Tokenizer& t) {
    { t.eos() } -> std::convertible_to<token>;
  };
  static_assert(eos, "coho::tokenizer (3): the tokenizer has no eos() const that returns a token");
  if constexpr (encode && decode && eos) {
    static_assert(tokenizer<Tokenizer>, "coho::tokenizer (1): encode does not return a range of tokens");
  }
  return true;
}

/// An object with `log_odds`.
template <class Judge>
consteval bool require_choice_judge() {
  constexpr bool exists =
      requires(Judge& j, std::span<const std::string> p, std::string_view a) { j.log_odds(p, a, a); };
  static_assert(exists,
                "coho::choice_judge (1): the judge has no log_odds(std::span<const std::string>, std::string_view, "
                "std::string_view)");
  if constexpr (exists) {
    static_assert(choice_judge<Judge>,
                  "coho::choice_judge (1): log_odds returns no contiguous range of floating-point numbers");
  }
  return true;
}

/// A callable whose result can be compared.
template <class Identifier>
consteval bool require_language_identifier() {
  constexpr bool exists = requires(const Identifier& l, std::string_view s) { l(s); };
  static_assert(exists,
                "coho::language_identifier (1): the identifier is not callable (const) with a std::string_view");
  if constexpr (exists) {
    static_assert(language_identifier<Identifier>,
                  "coho::language_identifier (1): what the identifier returns has no operator==");
  }
  return true;
}

/// (1) and (2); `shards()` is optional.
template <class Communicator>
consteval bool require_communicator() {
  constexpr bool place = requires(Communicator& c) {
    { c.rank() } -> std::convertible_to<std::size_t>;
    { c.size() } -> std::convertible_to<std::size_t>;
  };
  static_assert(place, "coho::communicator (1): the communicator has no rank() and size() that return integers");
  constexpr bool reduction = requires(Communicator& c, std::span<double> d, std::span<float> f) {
    c.all_reduce_sum(d);
    c.all_reduce_sum(f);
  };
  static_assert(
      reduction,
      "coho::communicator (2): the communicator has no all_reduce_sum(std::span<double>) and (std::span<float>)");
  return true;
}

}  // namespace coho::inline v0_1
