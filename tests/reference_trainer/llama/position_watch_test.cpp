#include "llama/position_watch.hpp"

#include <string>
#include <vector>

#include <ATen/ATen.h>

#include "generation/engine.hpp"
#include "support/catch.hpp"
#include "support/heard_notices.hpp"
#include "support/small_models.hpp"

using namespace coho::trainer;
using namespace coho::test;

namespace {

// The notices of a run that starts here.
struct watched_run : heard_notices {
  watched_run() { position_watch::instance().clear(); }
};

}  // namespace

TEST_CASE("position watch: the first sequence beyond the positions is said, the others are counted") {
  const watched_run said;
  auto& watch = position_watch::instance();
  watch.record(std::vector<std::int64_t>{3, 64}, 64);
  CHECK(said.lines().empty());
  watch.record(std::vector<std::int64_t>{65, 3, 80}, 64);
  watch.record(std::vector<std::int64_t>{100}, 64);
  watch.warn_ahead(500, 64);
  CHECK(said.lines() == std::vector<std::string>{"note: a sequence has 80 tokens; the model was made for 64"});
  CHECK(watch.count() == 3);
  CHECK(watch.longest() == 100);
}

TEST_CASE("position watch: what may come is said before it does, and a new start says it again") {
  const watched_run said;
  auto& watch = position_watch::instance();
  watch.warn_ahead(64, 64);
  watch.warn_ahead(70, 64);
  watch.record(std::vector<std::int64_t>{65}, 64);
  CHECK(said.lines() ==
        std::vector<std::string>{"note: prompt and response may take 70 tokens; the model was made for 64"});
  const watched_run again;
  watch.record(std::vector<std::int64_t>{65}, 64);
  CHECK(again.lines().size() == 1);
}

TEST_CASE("position watch: forward passes and decoding are seen, each sequence once") {
  adapter_bank bank(small_weights());  // made for 64 positions
  bank.add_base("policy");
  auto& watch = position_watch::instance();
  const watched_run said;
  logits_of(bank, "policy", random_tokens(64, 23, 1));
  CHECK(said.lines().empty());
  logits_of(bank, "policy", random_tokens(70, 23, 1));
  CHECK(said.lines().size() == 1);
  CHECK(watch.count() == 1);

  const watched_run shared;
  const prefix_group group{.shared = 60, .own = {3, 8, 9}};
  bank.hidden("policy", token_tensor(random_tokens(80, 23, 2)), prefix_layout(std::span(&group, 1)));
  CHECK(watch.count() == 2);
  CHECK(watch.longest() == 69);

  const watched_run sampled;
  generation_engine engine(bank, "policy", {.slots = 2});
  coho::packed<coho::token> prompts;
  prompts.push_back(random_tokens(60, 23, 3));
  prompts.push_back(random_tokens(10, 23, 4));
  std::vector<coho::rng> streams{coho::rng(1), coho::rng(2)};
  engine.generate(prompts, {.max_new_tokens = 12}, {}, streams);
  CHECK(sampled.lines() == std::vector<std::string>{"note: a sequence has 65 tokens; the model was made for 64"});
  CHECK(watch.count() == 1);
}
