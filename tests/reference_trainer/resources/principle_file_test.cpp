#include "resources/principle_file.hpp"

#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <unistd.h>

#include <coho/principle/aggregation.hpp>
#include <coho/principle/sampling.hpp>

#include "support/catch.hpp"
#include "support/shared_data.hpp"

using Catch::Matchers::ContainsSubstring;
using coho::trainer::load_interventions;
using coho::trainer::load_principles;

namespace {

/// A file that lives as long as the test.
struct scratch_file {
  explicit scratch_file(std::string_view content)
      : path(std::filesystem::temp_directory_path() / ("coho_principle_file_" + std::to_string(::getpid()) + ".json")) {
    std::ofstream(path, std::ios::binary) << content;
  }
  ~scratch_file() { std::filesystem::remove(path); }
  std::filesystem::path path;
};

std::vector<coho::principle> load_principles_from(std::string_view content) {
  return load_principles(scratch_file(content).path);
}

std::filesystem::path shipped_principles(const std::string& name) {
  return coho::test::source_dir() / "reference_trainer" / "principles" / (name + ".json");
}

std::vector<std::string> names(const std::vector<coho::principle>& list) {
  std::vector<std::string> out;
  for (const auto& p : list) out.push_back(p.name);
  return out;
}

std::vector<double> weights(const std::vector<coho::principle>& list) {
  std::vector<double> out;
  for (const auto& p : list) out.push_back(p.weight);
  return out;
}

const std::vector<std::string> excluded_from_aggregation{"Overall Helpful", "Natural and Fluent", "Multilingual"};

}  // namespace

TEST_CASE("principles are read with their optional members") {
  const auto list = load_principles_from(R"([{"dimension": "Kind", "definition": "Be kind."},
    {"dimension": "Brief", "definition": "Be brief.", "negative_definition": "Be long.", "weight": 2.5},
    {"weight": 0, "definition": "x", "dimension": "Off", "negative_definition": null}])");
  REQUIRE(list.size() == 3);
  CHECK(list[0] == coho::principle{"Kind", "Be kind.", "", 1.0});
  CHECK(list[1] == coho::principle{"Brief", "Be brief.", "Be long.", 2.5});
  CHECK(list[2] == coho::principle{"Off", "x", "", 0.0});
}

TEST_CASE("errors name the file and the entry") {
  CHECK_THROWS_WITH(load_principles_from("{}"),
                    ContainsSubstring("coho_principle_file_") && ContainsSubstring("not a JSON array"));
  CHECK_THROWS_WITH(load_principles_from("[]"), ContainsSubstring("no principles"));
  CHECK_THROWS_AS(load_principles_from("[{"), coho::file_error);
  CHECK_THROWS_WITH(load_principles_from("[1]"), ContainsSubstring("entry 1: is not a JSON object"));
  CHECK_THROWS_WITH(load_principles_from(R"([{"dimension": "A", "definition": "a"}, {"definition": "b"}])"),
                    ContainsSubstring("entry 2: has no \"dimension\""));
  CHECK_THROWS_WITH(load_principles_from(R"([{"dimension": "A"}])"),
                    ContainsSubstring("entry 1 (\"A\"): has no \"definition\""));
  CHECK_THROWS_WITH(load_principles_from(R"([{"dimension": "A", "definition": " "}])"),
                    ContainsSubstring("\"definition\" is empty"));
  CHECK_THROWS_WITH(load_principles_from(R"([{"dimension": 3, "definition": "a"}])"),
                    ContainsSubstring("\"dimension\" is not a string"));
  CHECK_THROWS_WITH(load_principles_from(R"([{"dimension": "A", "definition": "a", "weight": -2}])"),
                    ContainsSubstring("entry 1 (\"A\"): \"weight\" is -2"));
  CHECK_THROWS_WITH(load_principles_from(R"([{"dimension": "A", "definition": "a", "weight": "2"}])"),
                    ContainsSubstring("not a number"));
  CHECK_THROWS_WITH(load_principles_from(R"([{"dimension": "A", "definition": "a", "wieght": 2}])"),
                    ContainsSubstring("unknown member \"wieght\""));
  CHECK_THROWS_WITH(
      load_principles_from(R"([{"dimension": "A", "definition": "a"}, {"dimension": "A", "definition": "b"}])"),
      ContainsSubstring("entry 2 (\"A\"): has the same dimension as entry 1"));
  CHECK_THROWS_WITH(load_principles_from(R"([{"dimension": "A", "definition": "a", "weight": 0}])"),
                    ContainsSubstring("positive weight"));
  CHECK_THROWS_AS(load_principles("/nowhere/principles.json"), coho::file_error);
}

TEST_CASE("the shipped lists are those of the paper") {
  const auto rm = load_principles(shipped_principles("reward_model"));
  CHECK(names(rm) == std::vector<std::string>{"Overall Helpful", "Concise", "Honest and Accurate", "Ethical",
                                              "Natural and Fluent", "Specific", "Educational and Engaging",
                                              "Methodical", "Multilingual", "Creative", "Comprehensive"});
  for (const auto& p : rm) CHECK((p.can_be_negated() && p.weight == 1.0));
  const auto judged = coho::drop_principles(rm, excluded_from_aggregation);
  CHECK(judged.size() == 8);
  CHECK_NOTHROW(coho::preference_aggregator(judged, coho::judgement_statistics(8)));

  const auto rl = load_principles(shipped_principles("reinforcement"));
  CHECK(names(rl) == std::vector<std::string>{"Honest and Accurate", "Ethical", "Educational and Engaging", "Creative",
                                              "Multilingual", "Comprehensive", "Natural Language",
                                              "Consistent Reasoning", "Numerical Sensitive", "Analytical Structure",
                                              "Vivid", "Privacy Protection", "Candor", "Stand-Alone"});
  CHECK(weights(rl) == std::vector<double>{3, 2, 1, 1, 1, 3, 3, 1, 1, 3, 1, 1, 4, 2});
  CHECK(coho::boosted_weights(rl, coho::prompt_type::reasoning)[7] == 129);
  CHECK(coho::boosted_weights(rl, coho::prompt_type::reasoning)[8] == 129);
  CHECK(coho::boosted_weights(rl, coho::prompt_type::red_teaming)[1] == 130);

  CHECK(weights(load_principles(shipped_principles("harmless"))) ==
        std::vector<double>{10, 5, 4, 4, 4, 4, 1, 1, 1, 1, 1});
  CHECK(weights(load_principles(shipped_principles("honest"))) == std::vector<double>{5, 5, 4, 5, 4, 4, 1, 1});
  // In parentheses: the lists are compared, not printed.
  CHECK((load_principles(shipped_principles("non_evasive")) ==
         coho::drop_principles(rl, std::vector<std::string>{"Honest and Accurate", "Ethical", "Privacy Protection",
                                                            "Candor", "Stand-Alone"})));
  CHECK(load_interventions(shipped_principles("interventions")).size() == 3);
  CHECK(names(load_principles(shipped_principles("self_align"))) ==
        std::vector<std::string>{"ethical", "informative", "helpful", "question assessment", "reasoning",
                                 "multi-aspect", "candor", "knowledge recitation", "static", "clarification",
                                 "numerical sensitivity", "dated knowledge", "step-by-step",
                                 "balanced and informative perspectives", "creative", "operational", "multilingual"});
}

TEST_CASE("lists that others published load unchanged") {
  const auto data = coho::test::shared_data();
  if (!data) {
    WARN("shared data absent: skipped");
    return;
  }
  const auto published = [&](const std::string& name) {
    return load_principles(*data / "principles" / ("principle_collection_" + name + ".json"));
  };
  const std::map<std::string, std::string> same_names{
      {"rm", "reward_model"}, {"ppo", "reinforcement"}, {"non_evasive", "non_evasive"}};
  for (const auto& [theirs, ours] : same_names) {
    CHECK(names(published(theirs)) == names(load_principles(shipped_principles(ours))));
    CHECK(weights(published(theirs)) == weights(load_principles(shipped_principles(ours))));
  }
  CHECK(weights(published("harmless")) == weights(load_principles(shipped_principles("harmless"))));
  CHECK(weights(published("honest")) == weights(load_principles(shipped_principles("honest"))));
  CHECK(published("ppo")[4].definition.find("中文") != std::string::npos);
  for (const auto& p : published("rm")) CHECK(p.can_be_negated());
}
