#include <cstring>
#include <limits>
#include <string>

#include <Eigen/Core>

#include <coho/detail/span_of.hpp>
#include <coho/parallel/detail/serialization.hpp>

#include "support/catch.hpp"

using namespace coho;

TEST_CASE("what a rank_message_writer wrote is read back bit for bit") {
  detail::rank_message_writer out;
  const Eigen::ArrayXd numbers{{-0.0, std::numeric_limits<double>::infinity(), 0.1}};
  out.write_number(std::int64_t{-5});
  out.write_array(numbers);
  out.write_array(std::string());
  out.write_array(std::string("für"));
  detail::rank_message_reader in(detail::span_of(out.bytes()));
  CHECK(in.read_number<std::int64_t>() == -5);
  const auto read = in.read_array<Eigen::ArrayXd>();
  CHECK(std::memcmp(read.data(), numbers.data(), 3 * sizeof(double)) == 0);
  CHECK(in.read_array<std::string>().empty());
  CHECK_FALSE(in.at_end());
  CHECK(in.read_array<std::string>() == "für");
  CHECK(in.at_end());
}

TEST_CASE("members are read in the order in which they were written, nested ones included") {
  rl_prompt prompt{.tokens = {3, 1}, .text = "why?", .type = prompt_type::reasoning, .principles = {"be brief", ""}};
  prompt.key = 1ULL << 60;
  detail::rank_message_writer out;
  for_each_field(prompt, detail::write_field{out});
  detail::rank_message_reader in(detail::span_of(out.bytes()));
  rl_prompt read;
  for_each_field(read, detail::read_field{in});
  CHECK(in.at_end());
  CHECK(read.tokens == prompt.tokens);
  CHECK(read.text == "why?");
  CHECK(read.type == prompt_type::reasoning);
  CHECK(read.principles == prompt.principles);
  CHECK(read.key == prompt.key);
  CHECK(read.value_tokens.empty());
}
