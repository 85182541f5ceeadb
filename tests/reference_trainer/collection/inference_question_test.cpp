#include "collection/inference_question.hpp"

#include "support/catch.hpp"

using namespace coho::trainer;

TEST_CASE("inference questions: a claim is held against a text") {
  for (const auto* text : {
           "Premise: A dog runs over a meadow.\nHypothesis: An animal is outside.\nDoes one follow?",
           "Say whether the second sentence ENTAILS the first or contradicts it: Rain falls. The street is dry.",
           "The cook burnt the soup. Should we assume that the cook made soup? Yes, no, or maybe?",
           "The cook burnt the soup.\nOptions:\n- yes\n- it's   not possible\nto tell\n- no",
           "Taken as given: all doors were shut. Is it then true, false, or inconclusive that one stood open?",
           "Two men play chess. Does it follow that someone plays? Options: yes; no",
           "It is not possible to tell, or is it? The bus was late; it rained.",
           "Rain fell all night. Say whether the hypothesis is true: the street is wet.",
           "Answer it’s not possible to tell where the text leaves it open.",
       }) {
    CAPTURE(text);
    CHECK(is_inference_question(text));
  }
}

TEST_CASE("inference questions: other questions that use their words are none") {
  for (const auto* text : {
           "What is a null hypothesis, and when is it rejected?",
           "What does a promotion to team lead entail?",
           "Write a story whose premise is that the sun goes out.",
           "Does the river Rhine flow north? Answer yes or no.",
           "Read the text and answer the question: who made the soup?",
           "",
       }) {
    CAPTURE(text);
    CHECK_FALSE(is_inference_question(text));
  }
}
