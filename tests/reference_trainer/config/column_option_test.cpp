#include "config/column_option.hpp"

#include "config/option_list.hpp"
#include "config/read_options.hpp"
#include "datasets/sft_data.hpp"
#include "support/catch.hpp"

using namespace coho::trainer;
using Catch::Matchers::ContainsSubstring;

namespace {

sft_data_settings read(const config& recipe) {
  auto out = read_section<sft_data_settings>(recipe.section("sft"));
  recipe.check_unknown();
  return out;
}

const column_choice chosen{{"prompt", "question"}, {"response", "answers.text.0"}};

}  // namespace

TEST_CASE("column option: an inline section, a section of its own, and --set") {
  const std::string sft = "[sft]\ndata = \"a.jsonl\"\n";
  CHECK(read(config::parse(sft, "r.toml")).columns.empty());
  CHECK(read(config::parse(sft + "columns = { prompt = \"question\", response = \"answers.text.0\" }\n", "r.toml"))
            .columns == chosen);
  CHECK(read(config::parse(sft + "[sft.columns]\nprompt = \"question\"\nresponse = \"answers.text.0\"\n", "r.toml"))
            .columns == chosen);
  const std::vector<std::string> set{"sft.columns.prompt=question", "sft.columns.response=answers.text.0"};
  CHECK(read(config::parse(sft, "r.toml", set)).columns == chosen);
  const std::vector<std::string> whole{"sft.columns={prompt=\"question\", response=\"answers.text.0\"}"};
  CHECK(read(config::parse(sft, "r.toml", whole)).columns == chosen);
}

TEST_CASE("column option: what was read reads back") {
  const auto recipe = config::parse("[sft]\ndata = \"a\"\ncolumns = { prompt = \"a \\\"b\\\"\" }\n", "r.toml");
  const auto columns = read(recipe).columns;
  CHECK(read(config::parse(recipe.resolved(), "again.toml")).columns == columns);
  CHECK(toml_text(columns) == R"({ prompt = "a \"b\"" })");
  const auto none = config::parse("[sft]\ndata = \"a\"\n", "r.toml");
  CHECK(read(none).columns.empty());
  CHECK(none.resolved().find("columns") == std::string::npos);
}

TEST_CASE("column option: unknown names and other values are refused with their place") {
  const auto refused = [](const std::string& columns, const std::string& says) {
    INFO(columns);
    CHECK_THROWS_WITH(read(config::parse("[sft]\ndata = \"a.jsonl\"\ncolumns = " + columns + "\n", "r.toml")),
                      ContainsSubstring(says));
  };
  refused("{ promt = \"question\" }",
          "r.toml:3: sft.columns.promt = 'question' is not allowed: it must be given to a name "
          "that is read here: answer, completion, ");
  refused("{ chosen = \"best\" }", "sft.columns.chosen = ");
  refused("{ prompt = \"\" }", "it must be the name of a column");
  refused("{ prompt = 3 }", "expected a section of texts");
  refused("\"question\"", "sft.columns is a string ('question'), expected a section of texts");
  CHECK_THROWS_WITH(read(config::parse("[sft]\ndata = \"a\"\nrows = { prompt = \"a\" }\n", "r.toml")),
                    ContainsSubstring("unknown key sft.rows.prompt"));
}
