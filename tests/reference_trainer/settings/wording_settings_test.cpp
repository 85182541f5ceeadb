#include "settings/wording_settings.hpp"

#include <string>
#include <vector>

#include "support/catch.hpp"
#include "support/stage_runs.hpp"

using namespace coho::trainer;
using namespace coho::test;

TEST_CASE("wording settings: the wording is that of the recipe's chat form, unless it is named") {
  const auto name = [](const settings& given) {
    const config options(given);
    const auto out = read_wording_file(options, "hhh");
    options.check_unknown();
    return out.filename().string();
  };
  CHECK(name({}) == "hhh.txt");
  CHECK(name({"prompt.format=dromedary"}) == "hhh_dromedary.txt");
  CHECK(name({"prompt.format=llama2_chat"}) == "hhh.txt");
  CHECK(name({"prompt.format=dromedary", "eval.wording=plain"}) == "hhh.txt");
  CHECK(name({"eval.wording=dromedary"}) == "hhh_dromedary.txt");
  CHECK(name({"eval.wording=dromedary", "eval.template=hhh"}) == "hhh.txt");
  CHECK(name({"eval.template=mine/own.txt"}) == "own.txt");
  CHECK_THROWS_AS(name({"eval.wording=vicuna"}), config_error);
  CHECK_THROWS_AS(name({"eval.template="}), config_error);
}
