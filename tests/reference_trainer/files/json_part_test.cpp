#include "files/json_part.hpp"

#include <nlohmann/json.hpp>

#include <coho/error.hpp>

#include "support/catch.hpp"

using namespace coho::trainer;
using nlohmann::json;

TEST_CASE("json_part: typed members, with a value for those that are absent or null") {
  const json document{{"size", 7}, {"none", nullptr}, {"rate", 0.5}, {"on", true}, {"name", "a"}, {"list", {1, 2}}};
  const json_part part(document, "c.json");
  CHECK(part.integer("size", 3, 1, 10) == 7);
  CHECK(part.integer("none", 3, 1, 10) == 3);
  CHECK(part.optional_number("rate") == 0.5);
  CHECK_FALSE(part.optional_number("absent"));
  CHECK(part.boolean("on", false));
  CHECK(part.text("name") == "a");
  CHECK(part.text("absent", "b") == "b");
  CHECK(part.items("list")[1].integer() == 2);
  CHECK((part.is_null("none") && !part.is_null("absent") && !part.has("none")));
}

TEST_CASE("json_part: what is wrong is reported at its place, with the file's own mend where there is no other") {
  const json document{{"rope", {{"factor", -1}}}, {"ids", {1, "x"}}, {"big", 18446744073709551615ull}};
  const json_part part(document, "c.json", "", "put the model's own file there");
  CHECK_THROWS_WITH(part.at("rope").positive("factor", 1),
                    "c.json: rope.factor: must be above 0; put the model's own file there");
  CHECK_THROWS_WITH(part.items("ids")[1].whole_number(),
                    Catch::Matchers::ContainsSubstring("ids[1]: must be a whole number"));
  CHECK_THROWS_WITH(part.at("big").integer(), Catch::Matchers::ContainsSubstring("big: must be an integer"));
  CHECK_THROWS_WITH(part.integer("absent", 3, 5, 9), Catch::Matchers::ContainsSubstring("absent: 3 is outside 5 to 9"));
  CHECK_THROWS_WITH(part.at("absent"), Catch::Matchers::ContainsSubstring("absent: is missing"));
  CHECK_THROWS_WITH(part.refuse_member("ids", "are too many", "use fewer"), "c.json: ids: are too many; use fewer");
}

TEST_CASE("json_part: members in file order where the document keeps it") {
  const auto document = nlohmann::ordered_json::parse(R"({"b": 1, "a": 2})");
  const basic_json_part<nlohmann::ordered_json> part(document, "c.json");
  CHECK(part.value().begin().key() == "b");
  CHECK(part.integer("a", 0, 0, 9) == 2);
}
