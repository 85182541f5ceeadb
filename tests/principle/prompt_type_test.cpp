#include <set>

#include <coho/principle/prompt_type.hpp>

#include "support/catch.hpp"

using coho::prompt_type;

TEST_CASE("prompt types have the numbers of the field question_type, and names") {
  CHECK(static_cast<int>(prompt_type::general) == 0);
  CHECK(static_cast<int>(prompt_type::reasoning) == 1);
  CHECK(static_cast<int>(prompt_type::red_teaming) == 2);
  CHECK(coho::name_of(prompt_type::general) == "general");
  CHECK(coho::name_of(prompt_type::reasoning) == "reasoning");
  CHECK(coho::name_of(prompt_type::red_teaming) == "red_teaming");
  CHECK(std::set(coho::prompt_types.begin(), coho::prompt_types.end()).size() == 3);
}
