#include <cmath>

#include <coho/loss/detail/preference_terms.hpp>

#include "support/catch.hpp"

using coho::dpo_form, coho::detail::preference_terms;

TEST_CASE("terms of the forms by hand, and their slopes by central differences") {
  CHECK(preference_terms<false>(dpo_form::sigmoid, 0.0, 1, 0).value == Approx(std::log(2.0)));
  CHECK(preference_terms<false>(dpo_form::hinge, 0.25, 1, 0).value == 0.75);
  CHECK(preference_terms<false>(dpo_form::ipo, 1.0, 0.5, 0).value == 1);  // (1/0.5 − 1/(2·0.5))²
  for (const auto form :
       {dpo_form::sigmoid, dpo_form::hinge, dpo_form::ipo, dpo_form::conservative, dpo_form::robust}) {
    const double epsilon = form == dpo_form::conservative || form == dpo_form::robust ? 0.2 : 0, h = 1e-6;
    const auto at = [&](double z) { return preference_terms<true>(form, z, 0.5, epsilon); };
    for (const double z : {-2.0, 0.3, 4.0})
      CHECK(at(z).slope == Approx((at(z + h).value - at(z - h).value) / (2 * h)).margin(1e-8));
  }
}

TEST_CASE("label smoothing is for the forms of wrong labels only") {
  CHECK_NOTHROW(coho::detail::require_label_smoothing(dpo_form::robust, 0.1, ""));
  CHECK_NOTHROW(coho::detail::require_label_smoothing(dpo_form::hinge, 0, ""));
  CHECK_THROWS_WITH(coho::detail::require_label_smoothing(dpo_form::hinge, 0.1, "loss."),
                    Catch::Contains("loss.label_smoothing"));
}
