#include <string>

#include <coho/error.hpp>
#include <coho/train/options/group_relative_trainer_options.hpp>
#include <coho/train/options/policy_training_options.hpp>
#include <coho/train/options/ppo_options.hpp>

#include "support/catch.hpp"

using namespace coho;
using Catch::Matchers::ContainsSubstring;

TEMPLATE_TEST_CASE("policy training options: both drivers refuse what has no effect, under the given prefix", "",
                   ppo_options, group_relative_trainer_options) {
  CHECK_NOTHROW(detail::check_policy_training(TestType{}, "x."));
  TestType options{};
  options.generation.temperature = 0;
  CHECK_THROWS_WITH(detail::check_policy_training(options, "x."), ContainsSubstring("x.generation.temperature"));
  options = {};
  options.reduction.fixed_length = 7;
  CHECK_THROWS_WITH(detail::check_policy_training(options, "x."), ContainsSubstring("x.reduction.fixed_length"));
  options = {};
  options.kl_loss_coefficient = 0;
  options.kl_loss.estimator = options.kl_loss.estimator == kl_estimator::k1 ? kl_estimator::k2 : kl_estimator::k1;
  CHECK_THROWS_WITH(detail::check_policy_training(options, "x."),
                    ContainsSubstring("x.kl_loss.estimator") && ContainsSubstring("kl_loss_coefficient is 0"));
}

TEST_CASE("policy training options: a caller's own KL controller leaves the options of KL without effect") {
  CHECK_NOTHROW(detail::require_no_kl_options(ppo_options{}));
  ppo_options options{};
  options.shaping.kl_coefficient = 0.5;
  CHECK_THROWS_WITH(detail::require_no_kl_options(options), ContainsSubstring("shaping.kl_coefficient"));
  options = {};
  options.adaptive_kl = adaptive_kl_options{};
  CHECK_THROWS_WITH(detail::require_no_kl_options(options), ContainsSubstring("adaptive_kl"));
}

TEST_CASE("policy training options: a preset's own KL coefficient is not one that was asked for") {
  auto code = ppo_options::salmon_code();
  CHECK_NOTHROW(detail::require_no_kl_options(code));
  code.adaptive_kl = adaptive_kl_options{.initial = 0.2};
  CHECK_NOTHROW(detail::check_policy_training(code, ""));
  code.shaping.kl_coefficient = 0.3;
  CHECK_THROWS_WITH(detail::check_policy_training(code, ""), ContainsSubstring("shaping.kl_coefficient"));
  auto rloo = group_relative_trainer_options::rloo();
  CHECK_NOTHROW(detail::require_no_kl_options(rloo));
  rloo.adaptive_kl = adaptive_kl_options{.initial = 0.2};
  CHECK_NOTHROW(detail::check_policy_training(rloo, ""));
}
