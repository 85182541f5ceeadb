#include <span>
#include <vector>

#include <coho/loss/dpo.hpp>
#include <coho/loss/kto.hpp>
#include <coho/toy/sgd.hpp>
#include <coho/train/detail/direct_preference_objective.hpp>
#include <coho/train/direct_preference.hpp>

#include "support/catch.hpp"
#include "support/small_world.hpp"
#include "support/thread_ranks.hpp"

using namespace coho;
using coho::test::small_world;

namespace {

using examples = std::vector<direct_preference_example>;

/// Pairs of different lengths, so that shards differ in length.
examples some_pairs(std::size_t count) {
  rng random(21);
  examples out;
  for (std::size_t i = 0; i < count; ++i) {
    const auto response = [&] {
      std::vector<token> tokens;
      for (std::size_t t = 1 + random.index(3); t > 0; --t) tokens.push_back(static_cast<token>(1 + random.index(2)));
      return tokens;
    };
    auto chosen = response();
    out.push_back({.prompt = {small_world::prompt}, .chosen = std::move(chosen), .rejected = response()});
  }
  return out;
}

}  // namespace

TEMPLATE_TEST_CASE("a preference run with four shards is the same bit for bit on one, two and four ranks", "", dpo_loss,
                   kto_loss) {
  const auto data = some_pairs(14);
  Eigen::MatrixXd alone;
  std::vector<double> losses;
  for (const std::size_t count : {1, 2, 4}) {
    test::run_ranks(
        count,
        [&](auto& ranks) {
          small_world world;
          rng random(9);
          for (double& z : world.policy.logits.reshaped()) z += 0.3 * random.normal();
          toy::sgd optimizer{world.policy};
          direct_preference_trainer trainer{world.policy,
                                            world.initial,
                                            optimizer,
                                            TestType{},
                                            {.learning_rate = {.peak = 0.3}, .batch_size = 6, .epochs = 2},
                                            ranks};
          const auto history = trainer.fit(data);
          const double held_out = trainer.evaluate_shared(std::span(data).first(5)).loss;
          if (ranks.rank() != 0) return;
          const std::vector<double> seen{history[0].loss, history.back().loss, history.back().kl_baseline,
                                         history.back().accuracy, held_out};
          if (count == 1) {
            alone = world.policy.logits;
            losses = seen;
          }
          CHECK(world.policy.logits == alone);
          CHECK(seen == losses);
        },
        4);
  }
  CHECK(losses[0] != losses[1]);
}

TEST_CASE("the statistics of a preference batch count its tokens") {
  small_world world;
  toy::sgd optimizer{world.policy};
  direct_preference_trainer trainer{world.policy, world.initial, optimizer, dpo_loss{}};
  CHECK(trainer.step(examples{{.prompt = {1}, .chosen = {1, 2, 1}, .rejected = {2, 0}}}).tokens == 5);
}
