#include <array>
#include <utility>
#include <vector>

#include <Eigen/Core>

#include <coho/concepts.hpp>

#include "support/archetypes.hpp"
#include "support/catch.hpp"

using namespace coho;
namespace archetype = coho::test::archetype;

static_assert(policy<archetype::policy>);
static_assert(differentiable_policy<archetype::differentiable_policy>);
static_assert(!differentiable_policy<archetype::policy>);
static_assert(causal_lm<archetype::causal_lm>);
static_assert(!causal_lm<archetype::policy>);
static_assert(value_model<archetype::value_model>);
static_assert(!value_model<archetype::policy>);
static_assert(differentiable_value_model<archetype::differentiable_value_model>);
static_assert(!differentiable_value_model<archetype::value_model>);
static_assert(reward_model<archetype::reward_model>);
static_assert(reward_model<decltype([](std::span<const reward_query>) { return std::vector<double>{}; })>);
static_assert(!reward_model<decltype([](std::span<const reward_query>) { return std::vector<int>{}; })>);
static_assert(differentiable_reward_model<archetype::differentiable_reward_model>);
static_assert(trainable<archetype::trainable>);
static_assert(trainable<archetype::trainable_elsewhere>);
static_assert(!trainable<archetype::policy>);
static_assert(optimizer<archetype::optimizer>);
static_assert(tokenizer<archetype::tokenizer>);
static_assert(choice_judge<archetype::choice_judge>);
static_assert(language_identifier<archetype::language_identifier>);
static_assert(communicator<archetype::communicator>);
static_assert(communicator<local_communicator>);
static_assert(communicator<const local_communicator>);

static_assert(number_range<std::vector<float>>);
static_assert(number_range<std::span<const double>>);
static_assert(number_range<std::array<double, 3>>);
static_assert(number_range<Eigen::ArrayXd>);
static_assert(number_range<Eigen::VectorXf>);
static_assert(!number_range<std::vector<int>>);
static_assert(!number_range<Eigen::MatrixXd>);

TEST_CASE("number_range refuses strided views, whose memory is not what it seems") {
  Eigen::MatrixXd matrix = Eigen::MatrixXd::Zero(2, 2);
  CHECK_FALSE(number_range<decltype(matrix.row(0))>);
}

TEST_CASE("score_queries takes both forms of a reward model") {
  const std::vector<reward_query> queries(3);
  archetype::reward_model member;
  CHECK(score_queries(member, std::span<const reward_query>(queries)).size() == 3);
  auto lambda = [](std::span<const reward_query> q) { return std::vector<float>(q.size(), 2.0F); };
  CHECK(score_queries(lambda, std::span<const reward_query>(queries))[2] == 2.0F);
}

TEST_CASE("the local communicator is rank 0 of 1 and leaves sums as they are") {
  std::vector<double> values{1, 2};
  local.all_reduce_sum(std::span<double>(values));
  CHECK(values == std::vector<double>{1, 2});
  CHECK(local.rank() == 0);
  CHECK(local.size() == 1);
}
