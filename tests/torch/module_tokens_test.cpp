#include <cstdint>
#include <memory>
#include <vector>

#include <coho/torch/module_tokens.hpp>

#include "support/catch.hpp"
#include "support/table_module.hpp"

using namespace coho;
using coho::test::table_module;

TEST_CASE("a batch of tokens as rows of a module, and where each response token is predicted") {
  const coho::detail::module_batch rows(test::uneven_batch(), 9, at::kCPU);
  const at::Tensor expected = at::tensor({1, 2, 3, 1, 2, 2, 3, 1, 2, 9, 3, 3, 9, 9, 9}, at::kLong).view({3, 5});
  CHECK(rows.rows.equal(expected));
  CHECK(rows.predicting.equal(at::tensor({3, 4, 5, 6, 7, 8, 11}, at::kLong)));
  CHECK(rows.targets == std::vector<std::int64_t>{2, 0, 3, 1, 2, 0, 1});
  // A response that is missing predicts nothing.
  const coho::detail::module_batch one({{{1, 2}, {3}}, {{}, {4}}}, 0, at::kCPU);
  CHECK(one.rows.equal(at::tensor({1, 2, 3, 0}, at::kLong).view({2, 2})));
  CHECK(one.predicting.equal(at::tensor({2}, at::kLong)));
  CHECK_THROWS_WITH(coho::detail::module_batch({{{1}, {}}, {{2}, {2}}}, 0, at::kCPU),
                    "sequence 1 has no prompt tokens");
}

TEST_CASE("modules may be objects or pointers to them") {
  table_module module(4, 2, 1);
  auto shared = std::make_shared<table_module>(4, 2, 1);
  const at::Tensor tokens = at::tensor({1, 3}, at::kLong).view({1, 2});
  CHECK(coho::detail::module_forward(module, tokens).equal(coho::detail::module_forward(shared, tokens)));
  CHECK(coho::detail::module_parameters(shared).size() == 1);
  STATIC_REQUIRE(token_module<table_module>);
  STATIC_REQUIRE(token_module<std::shared_ptr<table_module>>);
  STATIC_REQUIRE_FALSE(token_module<std::vector<int>>);
}

TEST_CASE("outputs of a module that do not fit the tokens are refused") {
  struct : table_module {
    using table_module::table_module;
    int way = 0;
    at::Tensor forward(const at::Tensor& tokens) {
      const at::Tensor out = table_module::forward(tokens);
      return way == 0 ? out.flatten() : way == 1 ? out.slice(1, 1) : out;
    }
  } module(4, 2, 1);
  const at::Tensor tokens = at::tensor({1, 3, 2}, at::kLong).view({1, 3}), first = at::tensor({0}, at::kLong);
  using Catch::Matchers::ContainsSubstring;
  for (module.way = 0; module.way < 2; ++module.way) {
    CHECK_THROWS_WITH(coho::detail::position_rows(module, tokens, "here"),
                      "here: the module's forward did not return a tensor of [1, 3] positions");
  }
  CHECK(coho::detail::position_rows(module, tokens, "here").sizes() == at::IntArrayRef({3, 2}));
  CHECK_THROWS_WITH(coho::detail::position_numbers(module, tokens, first, "here"),
                    ContainsSubstring("2 numbers for a position"));
}

TEST_CASE("numbers go to the host and back in double, half precision is widened") {
  const at::Tensor like = at::zeros({1}, at::kFloat);
  const std::vector<double> numbers{0.5, -2, 3};
  CHECK(coho::detail::from_doubles(numbers, like).scalar_type() == at::kFloat);
  CHECK(coho::detail::to_doubles(coho::detail::from_doubles(numbers, like)) == numbers);
  struct half : table_module {
    using table_module::table_module;
    at::Tensor forward(const at::Tensor& tokens) { return table_module::forward(tokens).to(at::kBFloat16); }
  } module(4, 2, 1);
  CHECK(coho::detail::position_rows(module, at::tensor({1}, at::kLong).view({1, 1}), "").scalar_type() == at::kFloat);
}
