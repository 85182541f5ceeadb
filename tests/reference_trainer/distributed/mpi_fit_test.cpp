#include "commands/commands.hpp"
#include "support/mpi_runs.hpp"
#include "support/temporary_directory.hpp"

using namespace coho;
using namespace coho::trainer;
using namespace coho::test;

namespace {

settings sft_of(const temporary_directory& folder, const std::string& out) {
  write_bytes(folder / "examples.jsonl", R"({"instruction":"user: what is in the box?\ncoho:","output":"a red hat."}
{"instruction":"user: who ran to the hills?\ncoho:","output":"the big owl."}
{"instruction":"user: is the fox gray?\ncoho:","output":"it is not."}
{"instruction":"user: where is the cat?\ncoho:","output":"in the woods by the river."}
{"instruction":"user: why not?\ncoho:","output":"for no reason."}
)");
  return {"model.path=" + demo_base().string(),
          "sft.data=" + (folder / "examples.jsonl").string(),
          "out=" + (folder / out).string(),
          "sft.batch_size=5",
          "sft.epochs=3",
          "sft.micro_batch.tokens=48",
          "adapter.rank=4",
          "adapter.dropout=0.2",
          "distributed.shards=4"};
}

settings reward_of(const temporary_directory& folder, const std::string& out) {
  std::string lines;
  for (int i = 0; i < 5; ++i) {
    lines += R"({"instruction":"what is the fox)" + std::string(static_cast<std::size_t>(i), '?') +
             R"(","output_1":"the fox is red.","output_2":"the fox is red. the fox likes wind.","preference":)" +
             (i % 2 == 0 ? "1" : "2") + R"(,"principles":[{"name":"length","negated":false,"text":"be brief."}]})" +
             "\n";
  }
  write_bytes(folder / "preferences.jsonl", lines);
  return {"model.path=" + demo_base().string(),
          "reward.data=" + (folder / "preferences.jsonl").string(),
          "reward.evaluation=" + (folder / "preferences.jsonl").string(),
          "out=" + (folder / out).string(),
          "reward_prompt.template=" + (source_dir() / "reference_trainer/demo/prompts/reward.txt").string(),
          "reward.batch_size=3",
          "reward.epochs=2",
          "adapter.rank=4",
          "distributed.shards=3"};
}

settings dpo_of(const temporary_directory& folder, const std::string& out) {
  std::string lines;
  for (int i = 0; i < 5; ++i)
    lines += R"({"prompt":"what is the fox)" + std::string(static_cast<std::size_t>(i), '?') +
             R"(","chosen":"the fox is red.","rejected":"the owl is gray and likes wind."})" + "\n";
  write_bytes(folder / "pairs.jsonl", lines);
  return {"model.path=" + demo_base().string(),
          "dpo.data=" + (folder / "pairs.jsonl").string(),
          "dpo.evaluation=" + (folder / "pairs.jsonl").string(),
          "out=" + (folder / out).string(),
          "dpo.batch_size=3",
          "dpo.epochs=2",
          "dpo.learning_rate.peak=1e-3",
          "adapter.rank=4",
          "distributed.shards=3"};
}

void check_same_adapters(const std::filesystem::path& a, const std::filesystem::path& b) {
  CHECK(read_bytes(a / "adapter_model.safetensors") == read_bytes(b / "adapter_model.safetensors"));
  check_same_curves(a, b);
}

}  // namespace

TEST_CASE("mpirun sft: dropout and uneven shards are the same on one process, two and three ranks") {
  if (!mpirun_works()) return;
  const temporary_directory folder;
  REQUIRE(one_process("sft", sft_of(folder, "one"), folder.path()).status == 0);
  for (const std::size_t count : {2U, 3U}) {
    const std::string out = std::to_string(count) + "-ranks";
    const auto result = mpirun(count, "sft", sft_of(folder, out), folder.path());
    INFO(result.err);
    REQUIRE(result.status == 0);
    check_same_adapters(folder / out, folder / "one");
  }
}

TEST_CASE("mpirun reward: weights and held-out figures are the same on one process and two ranks") {
  if (!mpirun_works()) return;
  const temporary_directory folder;
  REQUIRE(one_process("reward", reward_of(folder, "one"), folder.path()).status == 0);
  const auto result = mpirun(2, "reward", reward_of(folder, "two"), folder.path());
  INFO(result.err);
  REQUIRE(result.status == 0);
  check_same_adapters(folder / "one", folder / "two");
  CHECK(read_bytes(folder / "one" / "evaluation.json") == read_bytes(folder / "two" / "evaluation.json"));
}

TEST_CASE("mpirun dpo: weights, reference and held-out figures are the same on one process and two ranks") {
  if (!mpirun_works()) return;
  for (const std::string variant : {"dpo.loss=dpo", "dpo.loss=kto", "dpo.reference_refresh=2"}) {
    INFO(variant);
    const temporary_directory folder;
    REQUIRE(one_process("dpo", dpo_of(folder, "one") + settings{variant}, folder.path()).status == 0);
    const auto result = mpirun(2, "dpo", dpo_of(folder, "two") + settings{variant}, folder.path());
    INFO(result.err);
    REQUIRE(result.status == 0);
    check_same_adapters(folder / "one", folder / "two");
    for (const char* file : {"evaluation.json", "reference_log_probs.jsonl"}) {
      const bool there = std::filesystem::exists(folder / "one" / file);
      CHECK(there == (file != std::string("reference_log_probs.jsonl") || variant != "dpo.reference_refresh=2"));
      if (there) CHECK(read_bytes(folder / "one" / file) == read_bytes(folder / "two" / file));
    }
  }
}

TEST_CASE("mpirun: what ranks do not have alike, or cannot do, ends the job with one line") {
  if (!mpirun_works()) return;
  const temporary_directory folder;
  const auto started = [&](const std::vector<std::string>& second) {
    return mpirun(two_ranks(coho_line("sft", sft_of(folder, "out")), second), folder.path());
  };
  const auto other_seed = started(coho_line("sft", sft_of(folder, "out") + settings{"seed=7"}));
  INFO(other_seed.err);
  CHECK(other_seed.status == 7);
  CHECK(occurrences(other_seed.err, "rank 1 has a different recipe than rank 0") == 1);
  CHECK_FALSE(std::filesystem::exists(folder / "out"));

  const auto no_data = started(coho_line("sft", sft_of(folder, "out") + settings{"sft.data=nowhere.jsonl"}));
  INFO(no_data.err);
  CHECK(no_data.status == 4);
  CHECK(occurrences(no_data.err, "coho sft: rank 1: nowhere.jsonl") == 1);

  const auto bad_option = mpirun(2, "sft", sft_of(folder, "out") + settings{"sft.epochs=0"}, folder.path());
  INFO(bad_option.err);
  CHECK(bad_option.status == 3);
  CHECK(occurrences(bad_option.err, "coho sft: --set sft.epochs=0") == 1);

  const auto alone = mpirun(2, "aggregate", {}, folder.path());
  INFO(alone.err);
  CHECK(alone.status == 2);
  CHECK(occurrences(alone.err, "aggregate is the work of one") == 1);
}

TEST_CASE("mpirun sft: with one share the first of two ranks works, and its dropout goes on after a stop") {
  if (!mpirun_works()) return;
  const temporary_directory folder;
  const settings one_shard{"distributed.shards=1", "sft.epochs=40", "sft.save_every=2", "sft.keep=99"};
  REQUIRE(one_process("sft", sft_of(folder, "whole") + one_shard, folder.path()).status == 0);
  const auto line = coho_line("sft", sft_of(folder, "parts") + one_shard);
  const auto signal = signalled(line, "TERM", folder / "parts" / "checkpoints" / "step-00000002");
  const auto stopped = mpirun(two_ranks(line, signal), folder.path());
  INFO(stopped.err);
  REQUIRE(stopped.status == 130);
  REQUIRE(mpirun(2, "sft", sft_of(folder, "parts") + one_shard, folder.path(), true).status == 0);
  check_same_adapters(folder / "parts", folder / "whole");
}

TEST_CASE("mpirun: a recipe is planned once") {
  if (!mpirun_works()) return;
  const temporary_directory folder;
  const auto planned = mpirun(ranks_of(2, {coho_program, "--dry-run", "dromedary-2-7b", "--set", "plan.bandwidth=4300",
                                           "--set", "plan.flops=790", "--threads", "1"}),
                              folder.path());
  INFO(planned.err);
  CHECK(planned.status == 0);
  CHECK(occurrences(planned.out, "== ppo") == 1);
}
