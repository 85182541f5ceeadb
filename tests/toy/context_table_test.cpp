#include <set>
#include <vector>

#include <coho/toy/context_table.hpp>

#include "support/catch.hpp"

using namespace coho;
using toy::context_table;

TEST_CASE("a context is the last tokens, short ones apart from long ones") {
  const context_table table(3, 2);
  CHECK(table.contexts() == 16);
  std::set<std::size_t> seen;
  for (const auto& text : std::vector<std::vector<token>>{{}, {0}, {1}, {2}, {0, 0}, {0, 1}, {1, 0}, {2, 2}}) {
    seen.insert(table.context_after(text));
  }
  CHECK(seen.size() == 8);
  CHECK(table.context_after(std::vector<token>{2, 1, 0}) == table.context_after(std::vector<token>{0, 1, 0}));
  CHECK(table.next_context(table.context_after(std::vector<token>{2, 1}), 0) ==
        table.context_after(std::vector<token>{1, 0}));
}

TEST_CASE("contexts before each response token") {
  const context_table table(3, 2);
  const token_batch batch{{{1}, {2, 2}}, {{0, 2}, {1}}};
  CHECK(table.response_contexts(batch) == std::vector<std::size_t>{table.context_after(std::vector<token>{1}),
                                                                   table.context_after(std::vector<token>{1, 0}),
                                                                   table.context_after(std::vector<token>{2, 2})});
  CHECK(context_table(3, 0).response_contexts(batch) == std::vector<std::size_t>{0, 0, 0});
}

TEST_CASE("context_table refuses what it cannot hold") {
  CHECK_THROWS_AS(context_table(0, 1), option_error);
  CHECK_THROWS_AS(context_table(1000, 4), option_error);
  CHECK_THROWS_AS(context_table(3, 1).context_after(std::vector<token>{3}), argument_error);
  CHECK_THROWS_AS(context_table(3, 1).context_after(std::vector<token>{-1}), argument_error);
}
