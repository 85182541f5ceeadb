#include "preferences/preference_evaluation.hpp"

#include <nlohmann/json.hpp>

#include "files/json_file.hpp"
#include "support/catch.hpp"
#include "support/temporary_directory.hpp"

using namespace coho;
using namespace coho::trainer;
using namespace coho::test;

TEST_CASE("preference_evaluation: it is due every so many steps and after the last, and measures once per step") {
  const temporary_directory folder;
  int calls = 0;
  preference_evaluation evaluation(
      [&] {
        ++calls;
        return direct_preference_statistics{.loss = 0.5, .accuracy = 0.8, .reward_difference = 1.5, .examples = 25};
      },
      {.every = 4, .steps = 10});
  CHECK_FALSE(evaluation.is_due(3));
  CHECK(evaluation.is_due(4));
  CHECK(evaluation.is_due(10));
  CHECK(evaluation.evaluate(4, {}).loss == 0.5);
  CHECK(evaluation.evaluate(4, {}).loss == 0.5);
  CHECK(calls == 1);
  evaluation.evaluate(10, folder.path());
  CHECK(calls == 2);
  const auto written = read_json(folder / "evaluation.json");
  CHECK(written["step"] == 10);
  CHECK(written["pairs"] == 25);
  CHECK(written["accuracy"] == 0.8);
  CHECK(written["standard_error"].get<double>() == Approx(0.08));
  CHECK(written["margin"] == 1.5);
  preference_evaluation only_at_the_end{[] { return direct_preference_statistics{}; }, {.every = 0, .steps = 10}};
  CHECK_FALSE(only_at_the_end.is_due(5));
  CHECK(only_at_the_end.is_due(10));
}
