#include "plan/stage_planner.hpp"

#include <iostream>
#include <sstream>

#include <coho/error.hpp>

#include "commands/commands.hpp"
#include "observe/format.hpp"
#include "plan/memory_plan.hpp"
#include "support/catch.hpp"
#include "support/stage_runs.hpp"
#include "support/temporary_directory.hpp"

using namespace coho::trainer;
using namespace coho::test;
using Catch::Matchers::ContainsSubstring;

namespace {

std::string dry_run(stage_function stage, const config& options) {
  stage_context context("test", options, false, true, true);
  std::ostringstream out;
  auto* const old = std::cout.rdbuf(out.rdbuf());
  try {
    stage(options, context);
  } catch (...) {
    std::cout.rdbuf(old);
    throw;
  }
  std::cout.rdbuf(old);
  return out.str();
}

std::string dry_run(stage_function stage, const std::string& recipe, const settings& changes = {}) {
  const config options = config::load(source_dir() / "reference_trainer/recipes" / (recipe + ".toml"), changes);
  const std::vector<std::string> others{
      "sft",           "sample",  "judge",      "aggregate",   "reward",  "preference_pretraining",
      "reward_prompt", "ppo",     "generation", "prompt",      "adapter", "plan",
      "self_align",    "prompts", "rl_prompts", "distributed", "dpo"};
  options.allow_sections(others);
  return dry_run(stage, options);
}

// The number before " GB" in the line that tells the peak.
double peak_gigabytes(const std::string& text) {
  const auto at = text.find("# peak of a device: ");
  REQUIRE(at != std::string::npos);
  return std::stod(text.substr(text.find("= ", at) + 2));
}

}  // namespace

TEST_CASE("dry run: the 70B recipe needs no file, and stays below 78 GiB, or 80 GB with bf16 moments") {
  const auto text = dry_run(run_ppo, "dromedary-2-70b");
  CHECK(peak_gigabytes(text) <= 83.75);
  CHECK(peak_gigabytes(text) > 70);
  CHECK_THAT(text, ContainsSubstring("nf4"));
  CHECK_THAT(text, ContainsSubstring("a step: 576 rollouts"));
  for (const char* phase : {"rollout", "scoring", "update", "generation", "update of value", "master weights"})
    CHECK_THAT(text, ContainsSubstring(phase));
  const double half = peak_gigabytes(dry_run(run_ppo, "dromedary-2-70b", {"ppo.optimizer.moments=bfloat16"}));
  CHECK(half <= 80);
  CHECK(half == Approx(peak_gigabytes(text) - 2 * 4 * 0.828375).margin(0.02));
}

TEST_CASE("dry run: dropout is drawn in pieces on a device, as it is used on the CPU") {
  CHECK_THAT(dry_run(run_sft, "dromedary-2-70b", {"adapter.dropout=0.1", "device=cuda"}),
             ContainsSubstring("numbers of dropout"));
  CHECK_THAT(dry_run(run_sft, "dromedary-2-70b", {"adapter.dropout=0.1", "device=cpu"}),
             !ContainsSubstring("numbers of dropout"));
  // ppo trains without.
  CHECK_THAT(dry_run(run_ppo, "dromedary-2-70b", {"adapter.dropout=0.1", "device=cuda"}),
             !ContainsSubstring("numbers of dropout"));
}

TEST_CASE("dry run: an adapter that is there is planned with its own ranks, of each block") {
  const temporary_directory folder;
  const auto shape = llama_config::from_file(demo_base() / "config.json");
  const settings base{"model.path=" + demo_base().string(), "model.adapter=" + folder.path().string(), "sft.data=d",
                      "adapter.rank=8"};
  const auto master_weights = [&](const settings& given) {
    const auto text = dry_run(run_sft, config(given));
    const auto at = text.find("master weights");
    REQUIRE(at != std::string::npos);
    return text.substr(at, text.find('\n', at) - at);
  };
  const auto expected = [&](std::vector<linear_ranks> ranks) {
    ranks.resize(static_cast<std::size_t>(shape.num_hidden_layers), ranks.back());
    return ContainsSubstring(format_bytes(static_cast<double>(4 * adapter_parameter_count(shape, ranks))));
  };
  const linear_ranks eight{8, 8, 8, 8, 8, 8, 8}, one{1, 0, 0, 0, 0, 0, 1};
  CHECK_THAT(master_weights(base), expected({eight}));  // there is no adapter yet
  CHECK_THAT(master_weights(base + settings{R"(adapter.rank_pattern=["layers.1..*=24"])"}),
             expected({eight, {24, 24, 24, 24, 24, 24, 24}, eight}));
  write_bytes(
      folder / "adapter_config.json",
      R"({"peft_type": "LORA", "r": 1, "target_modules": ["q_proj", "down_proj"], "rank_pattern": {"layers.1.mlp.down_proj": 16}})");
  CHECK_THAT(master_weights(base), expected({one, {1, 0, 0, 0, 0, 0, 16}, one}));
  write_bytes(folder / "adapter_config.json", "{}");
  CHECK_THROWS_AS(master_weights(base), coho::file_error);
}

TEST_CASE("dry run: what is printed is a recipe still") {
  const auto text = dry_run(run_ppo, "dromedary-2-7b");
  CHECK(config::parse(text, "printed").get<int>("ppo.rollouts", 0) == 576);
  CHECK(config::parse(text, "printed").get<std::string>("model.recompute", "") == "selective");
}

TEST_CASE("dry run: reward model, pre-training and fine-tuning plan one role, each by its own section") {
  const auto sft = dry_run(run_sft, "dromedary-2-70b"), reward = dry_run(run_reward, "dromedary-2-70b");
  CHECK(peak_gigabytes(sft) > 36.4 + 15);
  CHECK(peak_gigabytes(sft) < 60);
  CHECK_THAT(reward, ContainsSubstring("a step: 64 pairs"));
  const auto pretraining =
      dry_run(run_reward, "dromedary-2-70b", {"pretrain=true", "preference_pretraining.batch_size=32"});
  CHECK_THAT(pretraining, ContainsSubstring("a step: 32 pairs"));
  const auto none = dry_run(run_sft, "dromedary-2-70b", {"model.recompute=none"});
  CHECK(peak_gigabytes(none) > peak_gigabytes(sft));
}

TEST_CASE("dry run: what a reward model reads is planned by each stage's own limits") {
  CHECK_THAT(dry_run(run_ppo, "dromedary-2-70b"), ContainsSubstring("read 1664 tokens per rollout"));
  CHECK_THAT(dry_run(run_ppo, "dromedary-2-70b", {"ppo.reward_prompt.response_tokens=768"}),
             ContainsSubstring("read 1408 tokens per rollout"));
  const settings pretraining{"pretrain=true"};
  CHECK_THAT(dry_run(run_reward, "dromedary-2-70b", pretraining), ContainsSubstring("taken to have 1280 tokens"));
  CHECK_THAT(dry_run(run_reward, "dromedary-2-70b",
                     pretraining + settings{"preference_pretraining.reward_prompt.query_tokens=128"}),
             ContainsSubstring("taken to have 1152 tokens"));
  CHECK_THROWS_WITH(dry_run(run_reward, "dromedary-2-70b", {"preference_pretraining.reward_prompt.query_tokens=1"}),
                    ContainsSubstring("has no effect here"));
  // A longer reading takes longer.
  const settings rates{"plan.bandwidth=4300", "plan.flops=790"};
  const auto reward_seconds = [&](const settings& more) {
    const auto text = dry_run(run_ppo, "dromedary-2-70b", rates + more);
    const auto line = text.substr(text.find("reward ", text.find("phase of a step")));
    return line.substr(0, line.find('\n'));
  };
  CHECK(reward_seconds({}) != reward_seconds({"ppo.reward_prompt.response_tokens=768"}));
}

TEST_CASE("dry run: pre-training takes the flags that name files") {
  config options(settings{"pretrain=true", "model.path=llama-2-7b"});
  options.set_text("reward.data", "hh.jsonl", "--data hh.jsonl");
  const std::vector<std::string> others{"reward"};
  options.allow_sections(others);
  CHECK_THAT(dry_run(run_reward, options), ContainsSubstring("hh.jsonl"));
  CHECK_THROWS_WITH(dry_run(run_reward, config(settings{"pretrain=true", "model.path=llama-2-7b"})),
                    ContainsSubstring("preference_pretraining.data"));
}

TEST_CASE("dry run: a model without a shape says what would give it") {
  const auto text = dry_run(run_sft, config(settings{"model.path=somewhere", "sft.data=d.jsonl"}));
  CHECK_THAT(text, ContainsSubstring("model.config=FILE"));
  CHECK_THAT(dry_run(run_sft, config(settings{"model.path=somewhere", "model.config=mistral-7b-v0.1", "sft.data=d"})),
             ContainsSubstring("32 blocks of width 4096"));
  CHECK_THROWS_AS(dry_run(run_sft, config(settings{"model.path=x", "model.config=llama-9", "sft.data=d"})),
                  coho::file_error);
}

TEST_CASE("dry run: a small model that is there is planned from its config.json") {
  const auto base = "model.path=" + demo_base().string();
  const auto text = dry_run(run_sft, config(settings{base, "sft.data=d", "adapter.kind=full"}));
  const auto shape = llama_config::from_file(demo_base() / "config.json");
  CHECK_THAT(text, ContainsSubstring(std::to_string(shape.num_hidden_layers) + " blocks of width " +
                                     std::to_string(shape.hidden_size)));
  CHECK_THAT(text, ContainsSubstring("GB/s"));
}

TEST_CASE("dry run: another machine's rates are given, both or neither, and its device need not be here") {
  // A pass that reads the head costs 10187 TFLOP, and moves far less than it could in that time.
  const auto reference = [](const std::string& flops) {
    const std::string text =
        dry_run(run_ppo, "dromedary-2-7b", {"device=cuda", "plan.bandwidth=1000", "plan.flops=" + flops});
    CHECK_THAT(text, ContainsSubstring("at the given 1000.0 GB/s and " + flops + ".000 TFLOP/s"));
    const auto line = text.find("# reference ", text.find("TFLOP"));
    REQUIRE(line != std::string::npos);
    return text.substr(line, text.find('\n', line) - line);
  };
  CHECK_THAT(reference("100"), ContainsSubstring("10187"));
  CHECK_THAT(reference("100"), Catch::Matchers::EndsWith(" 103 s"));  // 101.9 s of products, and dequantising
  CHECK_THAT(reference("200"), Catch::Matchers::EndsWith(" 51.7 s"));
  for (const settings& wrong :
       {settings{"plan.flops=100"}, settings{"plan.bandwidth=100"}, settings{"plan.bandwidth=-1", "plan.flops=100"},
        settings{"plan.bandwidth=1", "plan.flops=inf"}}) {
    CHECK_THROWS_AS(dry_run(run_ppo, "dromedary-2-7b", wrong), config_error);
  }
}

TEST_CASE("dry run: a stage that only samples holds the base, one adapter and the cache") {
  const settings rates{"model.adapter=sft", "plan.bandwidth=4300", "plan.flops=790"};
  settings twice = rates;
  twice.emplace_back("sample.responses=4");
  const auto text = dry_run(run_sample, "dromedary-2-70b", rates);
  CHECK_THAT(text, ContainsSubstring("a step: 1000 prompts, 2 responses each") &&
                       ContainsSubstring("adapter            policy  "));
  CHECK_THAT(text, !ContainsSubstring("moments ") && !ContainsSubstring("update"));
  // 36.36 GB of base, 1.66 of an adapter; the cache of 64 sequences of 1024 tokens is 64 · 0.336.
  CHECK(peak_gigabytes(text) > 36.36 + 1.66 + 21.4);
  CHECK(peak_gigabytes(text) < 70);
  // Twice the responses take twice the time, and no more memory.
  const auto more = dry_run(run_sample, "dromedary-2-70b", twice);
  CHECK(peak_gigabytes(more) == Approx(peak_gigabytes(text)));
  CHECK_THAT(more, ContainsSubstring("4 responses each"));
}

TEST_CASE("dry run: plan.ranks spreads a step over devices") {
  const settings rates{"plan.bandwidth=4300", "plan.flops=790"};
  const auto one = dry_run(run_ppo, "dromedary-2-70b", rates),
             many = dry_run(run_ppo, "dromedary-2-70b", rates + settings{"plan.ranks=48"});
  CHECK_THAT(many, ContainsSubstring("a step: 576 rollouts over 48 devices"));
  // 12 rollouts a device: two waves of six, and minibatches of six. What a device holds at a time stays.
  CHECK(peak_gigabytes(many) == Approx(peak_gigabytes(one)));
  const auto reference = [](const std::string& text) {
    const auto line = text.find("# reference ", text.find("TFLOP"));
    return std::stod(text.substr(line + 12));
  };
  CHECK(reference(many) == Approx(reference(one) / 48).epsilon(1e-3));
  CHECK_THROWS_AS(dry_run(run_ppo, "dromedary-2-70b", rates + settings{"plan.ranks=0"}), config_error);
  // More shards than devices: a second sum of the gradients of 828,375,040 and 828,383,233 numbers.
  const auto shards = dry_run(run_ppo, "dromedary-2-70b", rates + settings{"plan.ranks=8", "distributed.shards=48"});
  CHECK_THAT(shards, ContainsSubstring("sum of shards"));
  CHECK_THAT(many, !ContainsSubstring("sum of shards"));
}

TEST_CASE("dry run: a step of dpo has two responses per pair; only KTO, or a refreshed reference, scores in each") {
  const settings given{"plan.bandwidth=4300", "plan.flops=790", "dpo.data=pairs.jsonl"};
  const auto plain = dry_run(run_dpo, "dromedary-2-7b", given);
  CHECK_THAT(plain, ContainsSubstring("a step: 64 pairs") && ContainsSubstring("log-probabilities are computed once"));
  CHECK_THAT(plain, !ContainsSubstring("scoring"));
  const auto kto = dry_run(run_dpo, "dromedary-2-7b", given + settings{"dpo.loss=kto"});
  CHECK_THAT(kto, ContainsSubstring("scoring") && ContainsSubstring("computed once"));
  const auto refreshed = dry_run(run_dpo, "dromedary-2-7b", given + settings{"dpo.reference_refresh=10"});
  CHECK_THAT(refreshed, ContainsSubstring("scoring") && !ContainsSubstring("computed once"));
  CHECK_THAT(dry_run(run_dpo, "dromedary-2-7b", given + settings{"dpo.loss=simpo"}),
             !ContainsSubstring("computed once"));
  CHECK_THAT(dry_run(run_dpo, "dromedary-2-7b", given + settings{"dpo.loss=kto", "dpo.records=labelled"}),
             ContainsSubstring("a step: 64 responses"));
}
