#include "commands/commands.hpp"
#include "distributed/process_group.hpp"
#include "models/model_files.hpp"
#include "support/mpi_runs.hpp"
#include "support/recipe_models.hpp"
#include "support/small_models.hpp"
#include "support/temporary_directory.hpp"

using namespace coho;
using namespace coho::trainer;
using namespace coho::test;

namespace {

// Seven rollouts in minibatches of four, so that no number of ranks divides them; every part of a step that speaks to
// other ranks is in use.
settings ppo_of(const temporary_directory& folder, const std::string& out) {
  write_bytes(folder / "prompts.jsonl", R"({"prompt":"user: what color is the fox?\ncoho:"}
{"prompt":"user: why is the owl gray?\ncoho:"}
{"prompt":"user: tell me about the cat.\ncoho:"}
)");
  if (!std::filesystem::exists(folder / "reward")) {
    loaded_model model = load_model(demo_base());
    start_role(model, "reward", {}, config(settings{"adapter.kind=full"}), rng{1});
    model.bank->set_head("reward", 0.2 * random_tensor({1, model.bank->config().hidden_size}, 3), at::zeros({1}));
    save_role(model, "reward", folder / "reward");
    write_bytes(folder / "plain.txt", "{Output}\n{Input}\nscore:");
  }
  return {"model.path=" + demo_base().string(),
          "ppo.prompts=" + (folder / "prompts.jsonl").string(),
          "ppo.reward_model=" + (folder / "reward").string(),
          "reward_prompt.plain_template=" + (folder / "plain.txt").string(),
          "out=" + (folder / out).string(),
          "adapter.kind=full",
          "ppo.learning_rate.kind=constant",
          "ppo.learning_rate.peak=1e-3",
          "ppo.rollouts=7",
          "ppo.minibatch_size=4",
          "ppo.micro_batch.tokens=64",
          "ppo.steps=4",
          "ppo.save_every=2",
          "ppo.adaptive_kl.target=0.5",
          "ppo.normalization.samples=3",
          "generation.max_new_tokens=8"};
}

std::string weights(const std::filesystem::path& out) { return read_bytes(out / "model.safetensors"); }

}  // namespace

TEST_CASE("mpirun ppo: two and three ranks end with the bits of one process of as many shards") {
  if (!mpirun_works()) return;
  const temporary_directory folder;
  const settings four{"distributed.shards=4", "ppo.evaluation.prompts=" + (folder / "prompts.jsonl").string(),
                      "ppo.evaluation.every=2"};
  REQUIRE(one_process("ppo", ppo_of(folder, "one") + four, folder.path()).status == 0);
  for (const std::size_t count : {2U, 3U}) {
    const std::string out = std::to_string(count) + "-ranks";
    const auto result = mpirun(count, "ppo", ppo_of(folder, out) + four, folder.path());
    INFO(result.err);
    REQUIRE(result.status == 0);
    CHECK(weights(folder / out) == weights(folder / "one"));
    CHECK(read_bytes(folder / out / "samples.jsonl") == read_bytes(folder / "one" / "samples.jsonl"));
    check_same_curves(folder / out, folder / "one");
    CHECK(occurrences(result.err, "distributed.shards = 4") == 1);
    CHECK_FALSE(std::filesystem::exists(folder / out / "checkpoints"));
  }
  // Without a number of shards there is one per rank: another order of summation, the same mathematics.
  REQUIRE(one_process("ppo", ppo_of(folder, "plain") + settings{"ppo.steps=1"}, folder.path()).status == 0);
  const auto plain = metric_curve(folder / "plain", "gradient_norm"),
             cut = metric_curve(folder / "one", "gradient_norm");
  CHECK(plain.front().second == Approx(cut.front().second).epsilon(1e-5));
}

TEST_CASE("mpirun ppo: a rank that is killed ends the job, and one process goes on from the checkpoint") {
  if (!mpirun_works()) return;
  const temporary_directory folder;
  const settings longer{"ppo.steps=6", "ppo.keep=9"};
  REQUIRE(
      one_process("ppo", ppo_of(folder, "whole") + longer + settings{"distributed.shards=2"}, folder.path()).status ==
      0);
  const auto line = coho_line("ppo", ppo_of(folder, "parts") + longer);
  const auto saved = folder / "parts" / "checkpoints" / "step-00000002";
  const auto killed = mpirun(two_ranks(line, signalled(line, "KILL", saved)), folder.path());
  CHECK(killed.status != 0);
  REQUIRE(std::filesystem::exists(saved));
  CHECK_FALSE(std::filesystem::exists(folder / "parts" / "model.safetensors"));
  // The number of shards comes from the checkpoint.
  const auto resumed = one_process("ppo", ppo_of(folder, "parts") + longer, folder.path(), true);
  INFO(resumed.err);
  REQUIRE(resumed.status == 0);
  CHECK(weights(folder / "parts") == weights(folder / "whole"));
  check_same_curves(folder / "parts", folder / "whole");
}

TEST_CASE("mpirun ppo: a signal to one rank stops all at a checkpoint, and three ranks go on") {
  if (!mpirun_works()) return;
  const temporary_directory folder;
  const settings longer{"ppo.steps=6", "ppo.keep=9"};
  REQUIRE(
      one_process("ppo", ppo_of(folder, "whole") + longer + settings{"distributed.shards=2"}, folder.path()).status ==
      0);
  const auto line = coho_line("ppo", ppo_of(folder, "parts") + longer);
  const auto signal = signalled(line, "TERM", folder / "parts" / "checkpoints" / "step-00000002");
  const auto stopped = mpirun(two_ranks(line, signal), folder.path());
  INFO(stopped.err);
  CHECK(stopped.status == 130);
  CHECK(occurrences(stopped.err, "coho ppo: interrupted") == 1);
  const auto resumed = mpirun(3, "ppo", ppo_of(folder, "parts") + longer, folder.path(), true);
  INFO(resumed.err);
  REQUIRE(resumed.status == 0);
  CHECK(weights(folder / "parts") == weights(folder / "whole"));
}

TEST_CASE("mpirun ppo: a step that target_kl cut short leaves nothing to the next one") {
  if (!mpirun_works()) return;
  const temporary_directory folder;
  const settings cut{"ppo.target_kl=1e-6", "distributed.shards=2"};
  REQUIRE(one_process("ppo", ppo_of(folder, "one") + cut, folder.path()).status == 0);
  const auto result = mpirun(2, "ppo", ppo_of(folder, "two") + cut, folder.path());
  INFO(result.err);
  REQUIRE(result.status == 0);
  CHECK(weights(folder / "one") == weights(folder / "two"));
  check_same_curves(folder / "one", folder / "two");
}
