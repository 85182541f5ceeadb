#pragma once

#include <type_traits>
#include <utility>

#include <coho/array_view.hpp>
#include <coho/loss/inputs/kto_loss_inputs.hpp>
#include <coho/loss/inputs/pair_loss_inputs.hpp>
#include <coho/loss/inputs/preference_loss_inputs.hpp>

/// Named inputs for tests that call one loss many times, in the number type of their first array.
namespace coho::test {

template <class Array>
struct inputs_of {
  using type = detail::own_number_t<Array>;
};
template <detail::device_array Array>
struct inputs_of<Array> {
  using type = Array;
};
template <class Array>
using inputs_of_t = typename inputs_of<std::remove_cvref_t<Array>>::type;

/// Of DPO.
template <class Chosen, class Rejected, class ReferenceChosen, class ReferenceRejected>
preference_loss_inputs<inputs_of_t<Chosen>> with_reference(Chosen&& chosen, Rejected&& rejected,
                                                           ReferenceChosen&& reference_chosen,
                                                           ReferenceRejected&& reference_rejected,
                                                           const optional_weights<inputs_of_t<Chosen>>& weights = {}) {
  return {.chosen = std::forward<Chosen>(chosen),
          .rejected = std::forward<Rejected>(rejected),
          .reference_chosen = std::forward<ReferenceChosen>(reference_chosen),
          .reference_rejected = std::forward<ReferenceRejected>(reference_rejected),
          .weights = weights};
}

/// Of CPO.
template <class Chosen, class Rejected, class Tokens>
preference_loss_inputs<inputs_of_t<Chosen>> with_lengths(Chosen&& chosen, Rejected&& rejected, Tokens&& chosen_tokens,
                                                         const optional_weights<inputs_of_t<Chosen>>& weights = {}) {
  return {.chosen = std::forward<Chosen>(chosen),
          .rejected = std::forward<Rejected>(rejected),
          .chosen_tokens = std::forward<Tokens>(chosen_tokens),
          .weights = weights};
}

/// Of ORPO and SimPO.
template <class Chosen, class Rejected>
preference_loss_inputs<inputs_of_t<Chosen>> means(Chosen&& chosen, Rejected&& rejected,
                                                  const optional_weights<inputs_of_t<Chosen>>& weights = {}) {
  return {.chosen = std::forward<Chosen>(chosen), .rejected = std::forward<Rejected>(rejected), .weights = weights};
}

/// Of KTO.
template <class LogProbs, class Reference, class Desirable>
kto_loss_inputs<inputs_of_t<LogProbs>> judged(LogProbs&& log_probs, Reference&& reference, Desirable&& desirable,
                                              double kl_baseline,
                                              const optional_weights<inputs_of_t<LogProbs>>& weights = {}) {
  return {.log_probs = std::forward<LogProbs>(log_probs),
          .reference_log_probs = std::forward<Reference>(reference),
          .desirable = std::forward<Desirable>(desirable),
          .kl_baseline = kl_baseline,
          .weights = weights};
}

/// Of Bradley–Terry with ties.
template <class First, class Second, class Outcomes>
pair_loss_inputs<inputs_of_t<First>> compared(First&& first, Second&& second, Outcomes&& outcomes,
                                              const optional_weights<inputs_of_t<First>>& weights = {}) {
  return {.chosen = std::forward<First>(first),
          .rejected = std::forward<Second>(second),
          .targets = std::forward<Outcomes>(outcomes),
          .weights = weights};
}

}  // namespace coho::test
