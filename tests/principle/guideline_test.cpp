#include <algorithm>
#include <set>

#include <coho/principle/guideline.hpp>

#include "support/catch.hpp"

TEST_CASE("a guideline depends on the step's generator and the prompt's key alone") {
  std::vector<coho::principle> list;
  for (int i = 0; i < 9; ++i) list.push_back({"P" + std::to_string(i), "d" + std::to_string(i), "", 1.0});
  const coho::intervention_set set({{"Modest", "No praise."}});
  const coho::rng step(3, 14);

  for (const auto position :
       {coho::intervention_position::first, coho::intervention_position::last, coho::intervention_position::shuffled}) {
    const coho::guideline_composer compose{coho::principle_sampler(list), set, position};
    std::set<std::vector<std::string>> seen;
    std::set<std::size_t> places;
    for (std::uint64_t prompt = 0; prompt < 40; ++prompt) {
      const auto lines = compose(coho::prompt_type::general, step, prompt);
      REQUIRE(lines.size() == 4);
      CHECK(compose(coho::prompt_type::general, step, prompt) == lines);
      const auto modest = std::ranges::find(lines, "No praise.");
      REQUIRE(modest != lines.end());
      places.insert(static_cast<std::size_t>(modest - lines.begin()));
      seen.insert(lines);
    }
    CHECK(seen.size() > 30);
    if (position == coho::intervention_position::first) CHECK(places == std::set<std::size_t>{0});
    if (position == coho::intervention_position::last) CHECK(places == std::set<std::size_t>{3});
    if (position == coho::intervention_position::shuffled) CHECK(places.size() == 4);
  }
}

TEST_CASE("taking an intervention away changes nothing else of a guideline") {
  std::vector<coho::principle> list{{"A", "a", "", 1}, {"B", "b", "", 2}, {"C", "c", "", 1}, {"D", "d", "", 1}};
  const coho::intervention_set set({{"Modest", "No praise."}});
  const coho::guideline_composer with{coho::principle_sampler(list), set};
  const coho::guideline_composer without{coho::principle_sampler(list), set.without("Modest")};
  CHECK(without.interventions().empty());
  for (std::uint64_t prompt = 0; prompt < 20; ++prompt) {
    auto lines = with(coho::prompt_type::general, coho::rng(1), prompt);
    CHECK(lines.front() == "No praise.");
    lines.erase(lines.begin());
    CHECK(lines == without(coho::prompt_type::general, coho::rng(1), prompt));
  }
}
