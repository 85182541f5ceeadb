#include <type_traits>
#include <vector>

#include <coho/loss/cpo.hpp>
#include <coho/loss/dpo.hpp>
#include <coho/loss/inputs/preference_loss_inputs.hpp>
#include <coho/loss/simpo.hpp>

#include "support/catch.hpp"
#include "support/test_arrays.hpp"

using namespace coho::test;

TEST_CASE("preferences by name give the same loss whatever the containers, kept or written in place") {
  const std::vector<double> chosen{-1, -2}, rejected{-3, -1};
  const std::vector<float> reference{-2, -2};
  const std::vector<int> lengths{2, 4};
  const coho::preference_loss_inputs<double> kept{.chosen = chosen,
                                                  .rejected = rejected,
                                                  .reference_chosen = reference,
                                                  .reference_rejected = array({-1, -1.5}) * 2,
                                                  .chosen_tokens = lengths};
  const coho::dpo_loss dpo;
  CHECK(dpo(kept) == Approx(0.5 * (dpo(-1.0, -3.0, -2.0, -2.0) + dpo(-2.0, -1.0, -2.0, -3.0))));
  const coho::cpo_loss cpo;
  CHECK(cpo(kept) == Approx(0.5 * (cpo(-1.0, -3.0, 2.0) + cpo(-2.0, -1.0, 4.0))));
  const coho::simpo_loss simpo;
  CHECK(simpo(kept) == Approx(0.5 * (simpo(-1.0, -3.0) + simpo(-2.0, -1.0))));
  CHECK(simpo({.chosen = array({-1, -2}), .rejected = array({-3, -1})}) == simpo(kept));
}

TEST_CASE("gradients of preferences have the number type of the inputs") {
  const std::vector<float> x{-1, -1};
  const auto narrow =
      coho::simpo_loss{}.value_and_grad(coho::preference_loss_inputs<float>{.chosen = x, .rejected = x});
  STATIC_REQUIRE(std::is_same_v<decltype(narrow.d_rejected), Eigen::ArrayXf>);
  CHECK(narrow.d_chosen[0] == -narrow.d_rejected[0]);
}
