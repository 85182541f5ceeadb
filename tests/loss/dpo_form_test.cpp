#include <cstddef>
#include <string>

#include <coho/loss/dpo_form.hpp>

#include "support/catch.hpp"

using coho::dpo_form;

TEST_CASE("the forms of direct preferences are named in their order") {
  const auto names = option_names(dpo_form{});
  CHECK(names[static_cast<std::size_t>(dpo_form::hinge)] == std::string("hinge"));
  CHECK(names[static_cast<std::size_t>(dpo_form::robust)] == std::string("robust"));
}
