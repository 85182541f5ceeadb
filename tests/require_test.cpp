#include <coho/require.hpp>

#include "support/archetypes.hpp"
#include "support/catch.hpp"

using namespace coho;
namespace archetype = coho::test::archetype;

// The failing halves are in compile_fail/.
TEST_CASE("what satisfies a concept passes its check") {
  STATIC_REQUIRE(require_policy<archetype::policy>());
  STATIC_REQUIRE(require_differentiable_policy<archetype::differentiable_policy>());
  STATIC_REQUIRE(require_causal_lm<archetype::causal_lm>());
  STATIC_REQUIRE(require_value_model<archetype::value_model>());
  STATIC_REQUIRE(require_differentiable_value_model<archetype::differentiable_value_model>());
  STATIC_REQUIRE(require_reward_model<archetype::reward_model>());
  STATIC_REQUIRE(require_differentiable_reward_model<archetype::differentiable_reward_model>());
  STATIC_REQUIRE(require_trainable<archetype::trainable>());
  STATIC_REQUIRE(require_trainable<archetype::trainable_elsewhere>());
  STATIC_REQUIRE(require_optimizer<archetype::optimizer>());
  STATIC_REQUIRE(require_tokenizer<archetype::tokenizer>());
  STATIC_REQUIRE(require_choice_judge<archetype::choice_judge>());
  STATIC_REQUIRE(require_language_identifier<archetype::language_identifier>());
  STATIC_REQUIRE(require_communicator<archetype::communicator>());
}
