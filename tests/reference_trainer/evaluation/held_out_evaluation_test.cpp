#include "evaluation/held_out_evaluation.hpp"

#include <coho/error.hpp>

#include "config/config.hpp"
#include "models/model_files.hpp"
#include "models/reward_model_role.hpp"
#include "settings/reward_prompt_settings.hpp"
#include "support/recipe_models.hpp"
#include "support/small_models.hpp"
#include "support/stage_runs.hpp"
#include "support/temporary_directory.hpp"

using namespace coho;
using namespace coho::trainer;
using namespace coho::test;

TEST_CASE("held-out evaluation: due every so many steps and after the last, measured once per step") {
  const temporary_directory folder;
  write_bytes(folder / "guided.txt", "{Output}\n{Input}\n{Dimensions}\nscore:");
  write_bytes(folder / "plain.txt", "{Output}\n{Input}\nscore:");
  write_bytes(folder / "pairs.jsonl",
              R"({"instruction":"who?","output_1":"the cat.","output_2":"the owl.","preference":1})"
              "\n"
              R"({"instruction":"why?","output_1":"the fox.","output_2":"the owl is big.","preference":2})"
              "\n");
  loaded_model model = load_model(demo_base());
  start_role(model, "reward", {}, config(settings{"adapter.kind=full"}), rng{1});
  model.bank->set_head("reward", 0.2 * random_tensor({1, model.bank->config().hidden_size}, 3), at::zeros({1}));
  const config options(settings{"reward_prompt.template=" + (folder / "guided.txt").string(),
                                "reward_prompt.plain_template=" + (folder / "plain.txt").string()});
  reward_role reward = make_reward_role(model, "reward", read_reward_prompt(options, "reward"));
  preference_files files;
  files.data = {folder / "pairs.jsonl"};
  held_out_evaluation evaluation(reward, std::move(open_preferences(files, 1).training), {.every = 3, .steps = 7});

  CHECK_FALSE(evaluation.is_due(2));
  CHECK(evaluation.is_due(3));
  CHECK(evaluation.is_due(6));
  CHECK(evaluation.is_due(7));

  CHECK(evaluation.evaluate(3, {}).overall().pairs() == 2);
  CHECK_FALSE(std::filesystem::exists(folder / "evaluation.json"));
  const auto read = reward.tokens_read();
  CHECK(read > 0);
  evaluation.evaluate(3, folder.path());
  CHECK(reward.tokens_read() == read);
  const double accuracy = evaluation.evaluate(6, folder.path()).overall().accuracy();
  CHECK(reward.tokens_read() == 2 * read);
  const auto report = read_fixture(folder / "evaluation.json");
  CHECK(report["step"] == 6);
  CHECK(report["accuracy"] == accuracy);

  // Without `every` only the last step is measured.
  held_out_evaluation at_the_end(reward, std::move(open_preferences(files, 1).training), {.steps = 7});
  CHECK_FALSE(at_the_end.is_due(3));
  CHECK(at_the_end.is_due(7));
}
