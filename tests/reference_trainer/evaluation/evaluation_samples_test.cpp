#include "evaluation/evaluation_samples.hpp"

#include <nlohmann/json.hpp>

#include "jsonl/jsonl.hpp"
#include "support/catch.hpp"
#include "support/shared_data.hpp"
#include "support/temporary_directory.hpp"

using namespace coho::trainer;
using namespace coho::test;

namespace {

std::vector<evaluation_sample> samples_of(std::uint64_t step, const std::string& response = "r") {
  return {{.step = step, .prompt = "p", .response = response, .score = 1.25, .finished = true, .language_match = true},
          {.step = step, .prompt = "q", .type = coho::prompt_type::reasoning, .response = response, .score = -0.5}};
}

std::vector<std::pair<std::uint64_t, std::string>> lines_of(const std::filesystem::path& path) {
  std::vector<std::pair<std::uint64_t, std::string>> out;
  jsonl_reader reader(path);
  for (json line; reader.next(line);) out.emplace_back(line.at("step"), line.at("response"));
  return out;
}

}  // namespace

TEST_CASE("evaluation_samples: a line holds what a sample says") {
  const temporary_directory folder;
  write_samples(folder / "s.jsonl", 0, samples_of(0, "one\n\"two\""));
  CHECK(
      read_bytes(folder / "s.jsonl") ==
      R"({"step":0,"prompt":"p","type":"general","response":"one\n\"two\"","score":1.25,"finished":true,"language_match":true}
{"step":0,"prompt":"q","type":"reasoning","response":"one\n\"two\"","score":-0.5,"finished":false,"language_match":false}
)");
}

TEST_CASE("evaluation_samples: lines at or after the step are replaced, earlier ones stay as they are") {
  const temporary_directory folder;
  const auto path = folder / "s.jsonl";
  for (const std::uint64_t step : {0, 2, 4}) write_samples(path, step, samples_of(step, "old"));
  write_samples(path, 2, samples_of(2, "new"));
  using line = std::pair<std::uint64_t, std::string>;
  CHECK(lines_of(path) == std::vector<line>{{0, "old"}, {0, "old"}, {2, "new"}, {2, "new"}});
  write_samples(path, 1, {});
  CHECK(lines_of(path) == std::vector<line>{{0, "old"}, {0, "old"}});
  write_samples(path, 0, samples_of(0, "fresh"));
  CHECK(lines_of(path) == std::vector<line>{{0, "fresh"}, {0, "fresh"}});
}

TEST_CASE("evaluation_samples: lines that are no records go, and nothing to write makes no file") {
  const temporary_directory folder;
  const auto path = folder / "s.jsonl";
  write_samples(path, 3, {});
  CHECK_FALSE(std::filesystem::exists(path));
  CHECK_FALSE(is_samples_file(path));
  write_samples(path, 3, samples_of(3));
  CHECK(is_samples_file(path));
  write_samples(path, 3, {});
  CHECK_FALSE(std::filesystem::exists(path));
  write_bytes(path, "{\"instruction\":\"a\",\"responses\":[]}\n");
  CHECK_FALSE(is_samples_file(path));
  write_bytes(path, "{\"step\":0,\"response\":\"a\"}\n{\"step\":-1}\n[1]\n{\"step\":\"0\"}\n{\"step\":1,\"resp");
  write_samples(path, 5, {});
  CHECK(lines_of(path) == std::vector<std::pair<std::uint64_t, std::string>>{{0, "a"}});
}

TEST_CASE("evaluation_samples: bytes that are no text are written as replacement characters") {
  const temporary_directory folder;
  write_samples(folder / "s.jsonl", 0, samples_of(0, "a\xFFz"));
  CHECK(lines_of(folder / "s.jsonl").front().second == "a\xEF\xBF\xBDz");
}

TEST_CASE("evaluation_samples: tables for the terminal and for Markdown") {
  auto samples = samples_of(3, "first line\nsecond | line <b>");
  const std::string table = samples_table(samples), markdown = samples_markdown(samples);
  CHECK(table.find("first line second | line") != std::string::npos);
  CHECK(table.find("1.25") != std::string::npos);
  CHECK(table.find("other") != std::string::npos);
  CHECK(markdown ==
        "| prompt | response | score | finished | language |\n| --- | --- | ---: | --- | --- |\n"
        "| p | first line<br>second \\| line &lt;b> | 1.25 | yes | same |\n"
        "| q | first line<br>second \\| line &lt;b> | -0.50 | no | other |\n");
}

TEST_CASE("evaluation_samples: what a model wrote loads no image in Markdown") {
  const auto markdown = samples_markdown(samples_of(3, "![x](http://y/z.png) \\![x](u)"));
  CHECK(markdown.find("&#33;&#91;x](http://y/z.png)") != std::string::npos);
  CHECK(markdown.find('[') == std::string::npos);
}
