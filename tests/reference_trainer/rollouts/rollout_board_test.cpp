#include "rollouts/rollout_board.hpp"

#include <filesystem>

#include "support/catch.hpp"
#include "support/temporary_directory.hpp"

using namespace coho;
using namespace coho::trainer;
using namespace coho::test;
using Catch::Matchers::ContainsSubstring;

namespace {

trajectory_batch rollouts(const std::string& response) {
  trajectory_batch out;
  for (const std::vector<token>& tokens : {std::vector<token>{1, 2, 3}, std::vector<token>{4}}) {
    out.batch.prompts.push_back(std::vector<token>{9});
    out.batch.responses.push_back(tokens);
    out.prompt_texts.emplace_back("why?");
    out.response_texts.push_back(response);
    out.finished.push_back(tokens.size() == 1);
  }
  out.model_scores = out.sequence_rewards = Eigen::ArrayXd::LinSpaced(2, 0.5, 1.5);
  out.advantages = Eigen::ArrayXd::LinSpaced(4, -1, 1);
  return out;
}

}  // namespace

TEST_CASE("rollouts appear in TensorBoard as soon as a step is logged: histograms always, texts every ten steps") {
  const temporary_directory folder;
  metrics_log log(folder.path());
  rollout_board board(log);
  const auto events = [&] {
    log.flush();
    return read_bytes(std::filesystem::directory_iterator(folder / "tensorboard")->path());
  };
  board.on_step_begin(10);
  board.on_rollouts(rollouts("first line\nsecond <line>"));
  const auto first = events();
  for (const char* name :
       {"rollouts/score", "rollouts/reward", "rollouts/advantage", "rollouts/length", "rollouts/0", "rollouts/1",
        "reward 0.50, unfinished", "reward 1.50\n\n", "    first line\n    second <line>"})
    CHECK_THAT(first, ContainsSubstring(name));
  board.on_step_begin(11);
  board.on_rollouts(rollouts("of another step"));
  const auto second = events().substr(first.size());
  CHECK_THAT(second, ContainsSubstring("rollouts/length"));
  CHECK(second.find("of another step") == std::string::npos);
}
