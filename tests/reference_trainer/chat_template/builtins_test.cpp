// Every filter, test, method and function, with right and wrong arguments: builtins.jsonl has the texts of Jinja, which
// tests/interop/chat_builtins.py writes.
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "chat_template/builtins/filters.hpp"
#include "chat_template/builtins/methods.hpp"
#include "reference_trainer/chat_template/rendering.hpp"
#include "support/catch.hpp"

using namespace coho::test;
using namespace coho::trainer;
using nlohmann::ordered_json;

namespace {

std::string with_value(std::string text, const std::string& value) {
  for (auto at = text.find('@'); at != std::string::npos; at = text.find('@', at + value.size()))
    text.replace(at, 1, value);
  return text;
}

// Calls visit(kind, name, template, Jinja's text or null) for each cell of the table.
template <class Visit>
void for_each_cell(Visit&& visit) {
  std::ifstream file(std::filesystem::path(COHO_SOURCE_DIR) / "tests/reference_trainer/chat_template/builtins.jsonl");
  std::string line;
  REQUIRE(std::getline(file, line));
  const auto head = ordered_json::parse(line);
  while (std::getline(file, line)) {
    const auto row = ordered_json::parse(line);
    const auto kind = row[0].get<std::string>(), name = row[1].get<std::string>();
    const auto& values = head["values"][kind];
    REQUIRE(values.size() == row[3].size());
    for (std::size_t i = 0; i < values.size(); ++i)
      if (!row[3][i].is_boolean())
        visit(kind, name, with_value(row[2].get<std::string>(), values[i].get<std::string>()), row[3][i],
              head["variables"]);
  }
}

}  // namespace

TEST_CASE("chat template: every filter, test, method and function gives the text of Jinja, or fails as it does") {
  std::size_t cells = 0;
  for_each_cell([&](const auto&, const auto&, const std::string& text, const ordered_json& expected,
                    const ordered_json& variables) {
    ++cells;
    std::string got;
    bool failed = false;
    try {
      got = rendered(text, variables).text;
    } catch (const template_error& problem) {
      got = problem.what();
      failed = true;
    }
    if (failed == expected.is_null() && (failed || got == expected)) return;
    FAIL_CHECK(text << " gives " << got << ", not " << expected.dump());
  });
  CHECK(cells > 10000);
}

TEST_CASE("chat template: the table of built-in names is complete, each with a text and with a failure") {
  std::map<std::pair<std::string, std::string>, std::pair<int, int>> counts;
  for_each_cell([&](const auto& kind, const auto& name, const auto&, const ordered_json& expected, const auto&) {
    ++(expected.is_null() ? counts[{kind, name}].second : counts[{kind, name}].first);
  });
  const auto check = [&](const std::string& kind, std::string_view name) {
    INFO(kind << " " << name);
    const auto [texts, failures] = counts[{kind, std::string(name)}];
    CHECK(texts > 0);
    CHECK(failures > 0);
  };
  for (const auto filters :
       {jinja::text_filters(), jinja::number_filters(), jinja::sequence_filters(), jinja::lazy_filters()})
    for (const auto& filter : filters) check("filter", filter.name);
  for (const auto& test : jinja::all_tests()) check("test", test.name);
  for (const auto& [kind, name] :
       {std::pair{jinja::kind::text, "str"}, std::pair{jinja::kind::dict, "dict"}, std::pair{jinja::kind::list, "list"},
        std::pair{jinja::kind::tuple, "tuple"}, std::pair{jinja::kind::range, "range"}})
    for (const auto& method : jinja::methods_of(kind)) check(name, method.name);
}
