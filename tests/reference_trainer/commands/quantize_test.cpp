#include <coho/error.hpp>

#include "checkpoint/hf_model.hpp"
#include "commands/commands.hpp"
#include "models/model_files.hpp"
#include "observe/metrics_log.hpp"
#include "plan/stage_planner.hpp"
#include "support/recipe_models.hpp"
#include "support/run_program.hpp"
#include "support/small_models.hpp"
#include "support/stage_runs.hpp"
#include "support/temporary_directory.hpp"

using namespace coho;
using namespace coho::trainer;
using namespace coho::test;

namespace {

settings quantizing(const temporary_directory& folder, const std::string& out) {
  return {"model.path=" + demo_base().string(), "out=" + (folder / out).string()};
}

at::Tensor base_logits(const settings& given) {
  loaded_model model = load_model(config(given));
  load_role(model, "base", {});
  return logits_of(*model.bank, "base", few_tokens);
}

double last_of(const std::filesystem::path& out, const std::string& name, std::size_t from_end = 1) {
  for (const auto& [each, points] : metrics_log::read(out))
    if (each == name) return points.at(points.size() - from_end).second;
  FAIL("no curve " + name);
  return 0;
}

}  // namespace

TEST_CASE("quantize: a packed checkpoint is the model that is packed as it is loaded") {
  const temporary_directory folder;
  const auto twice = GENERATE(as<std::string>(), "true", "false");
  run_stage(run_quantize,
            quantizing(folder, "packed") + settings{"model.double_quantize=" + twice, "quantize.shard_bytes=100000"});
  CHECK(std::filesystem::exists(folder / "packed" / "model.safetensors.index.json"));
  CHECK(std::filesystem::exists(folder / "packed" / "tokenizer.model"));
  const auto checkpoint = load_hf_checkpoint(folder / "packed");
  CHECK(checkpoint.config.quantization == "bitsandbytes");
  CHECK(checkpoint.config.double_quantization == (twice == "true"));
  CHECK(checkpoint.tensors.at("model.layers.0.mlp.up_proj.weight").scalar_type() == at::kByte);
  const settings from_disk{"model.path=" + (folder / "packed").string()};
  const settings on_the_way{"model.path=" + demo_base().string(), "model.quantize=nf4",
                            "model.double_quantize=" + twice};
  const at::Tensor packed = base_logits(from_disk), whole = base_logits({"model.path=" + demo_base().string()});
  CHECK(at::equal(packed, base_logits(on_the_way)));
  CHECK(largest_difference(packed, whole) > 1e-3);
  CHECK((packed - whole).norm().item<double>() < 0.2 * whole.norm().item<double>());
}

TEST_CASE("quantize: refuses what is packed already, its own folder and unknown types") {
  const temporary_directory folder;
  run_stage(run_quantize, quantizing(folder, "packed"));
  CHECK_THROWS_WITH(
      run_stage(run_quantize, {"model.path=" + (folder / "packed").string(), "out=" + (folder / "again").string()}),
      Catch::Matchers::Contains("packed already"));
  CHECK_THROWS_WITH(
      run_stage(run_quantize, {"model.path=" + (folder / "packed").string(), "out=" + (folder / "packed").string()}),
      Catch::Matchers::Contains("another folder"));
  CHECK_THROWS_AS(run_stage(run_quantize, quantizing(folder, "other") + settings{"quantize.dtype=int8"}), config_error);
  CHECK_FALSE(std::filesystem::exists(folder / "again"));
  CHECK_FALSE(std::filesystem::exists(folder / "other"));
  CHECK_THROWS_WITH(
      run_stage(run_sft, {"model.path=" + (folder / "packed").string(), "adapter.kind=full", "sft.data=none.jsonl"}),
      Catch::Matchers::Contains("packed"));
}

TEST_CASE(
    "quantize: supervised fine-tuning and PPO learn over a packed base, and the adapter merges into whole weights") {
  const temporary_directory folder;
  run_stage(run_quantize, quantizing(folder, "packed"));
  const std::string packed = (folder / "packed").string();
  std::string lines;
  for (int i = 0; i < 8; ++i)
    lines += R"({"instruction":"user: what is in the box?\ncoho:","output":"a red hat."})"
             "\n";
  write_bytes(folder / "examples.jsonl", lines);
  const settings training{"model.path=" + packed, "adapter.rank=8", "adapter.dropout=0.05", "model.recompute=full"};
  run_stage(run_sft, training + settings{"sft.data=" + (folder / "examples.jsonl").string(),
                                         "out=" + (folder / "sft").string(), "sft.batch_size=8", "sft.epochs=30",
                                         "sft.learning_rate.peak=1e-2", "sft.optimizer.moments=8bit"});
  // The base never ends a line, so that the end token is dear at first.
  CHECK(last_of(folder / "sft", "loss", 30) > 10);
  CHECK(last_of(folder / "sft", "loss") < 1.5);

  write_bytes(folder / "prompts.jsonl", R"({"prompt":"user: what color is the fox?\ncoho:"})"
                                        "\n");
  run_stage(run_ppo, training + settings{"ppo.policy=" + (folder / "sft").string(),
                                         "ppo.prompts=" + (folder / "prompts.jsonl").string(),
                                         "out=" + (folder / "ppo").string(), "ppo.rollouts=8", "ppo.minibatch_size=4",
                                         "ppo.steps=2", "ppo.length_bonus.coefficient=1", "adapter.dropout=0",
                                         "ppo.optimizer.moments=bfloat16", "generation.max_new_tokens=8"});
  CHECK(last_of(folder / "ppo", "first_ratio_deviation") < 1e-5);
  CHECK(last_of(folder / "ppo", "kl") != 0);

  run_stage(run_merge, {"model.path=" + packed, "model.adapter=" + (folder / "ppo").string(),
                        "out=" + (folder / "merged").string()});
  loaded_model over_packed = load_model(config(settings{"model.path=" + packed})),
               merged = load_model(folder / "merged");
  load_role(over_packed, "policy", folder / "ppo");
  load_role(merged, "policy", {});
  CHECK(merged.bank->config().quantization.empty());
  CHECK(largest_difference(logits_of(*over_packed.bank, "policy", few_tokens),
                           logits_of(*merged.bank, "policy", few_tokens)) < 1e-3);
}

TEST_CASE("quantize: no stage takes apart the folder of a model that it reads") {
  const temporary_directory folder;
  run_stage(run_quantize, quantizing(folder, "base"));
  const std::string base = (folder / "base").string(), adapter = (folder / "adapter").string();
  write_bytes(folder / "examples.jsonl", R"({"instruction":"user: what?\ncoho:","output":"a red hat."})"
                                         "\n");
  const settings training{"model.path=" + base, "sft.data=" + (folder / "examples.jsonl").string(), "adapter.rank=2"};
  CHECK_THROWS_WITH(run_stage(run_sft, training + settings{"out=" + base}),
                    Catch::Matchers::Contains("give another folder"));
  run_stage(run_sft, training + settings{"out=" + adapter});
  const std::string before = read_bytes(folder / "adapter" / "adapter_model.safetensors");
  for (const auto& out : {base, adapter})
    CHECK_THROWS_WITH(run_stage(run_merge, {"model.path=" + base, "model.adapter=" + adapter, "out=" + out}),
                      Catch::Matchers::Contains("give another folder"));
  CHECK(read_bytes(folder / "adapter" / "adapter_model.safetensors") == before);
  CHECK_NOTHROW(load_model(folder / "base"));
}

TEST_CASE("quantize: a misspelt key is told before a model is looked for") {
  CHECK_THROWS_WITH(run_stage(run_sft, {"model.path=nowhere", "sft.data=none.jsonl", "sft.learning_rte=1"}),
                    Catch::Matchers::Contains("sft.learning_rate.peak"));
}

TEST_CASE("quantize: a packed checkpoint is planned as packed") {
  const temporary_directory folder;
  run_stage(run_quantize, quantizing(folder, "packed"));
  const auto planned = [](const settings& given) {
    const config options(given + settings{"sft.data=none.jsonl"});
    stage_context context("sft", options, false, true, true);
    const std::string text = stage_planner(read_parallel_plan(options, context), sft_workload{})();
    return text.substr(text.find("base"), text.find("embedding") - text.find("base"));
  };
  CHECK(planned({"model.path=" + (folder / "packed").string()}) ==
        planned({"model.path=" + demo_base().string(), "model.quantize=nf4"}));
}

TEST_CASE("quantize: a model of random weights needs a config.json and a tokenizer alone") {
  const temporary_directory folder;
  for (const char* name : {"config.json", "tokenizer.model"})
    std::filesystem::copy_file(demo_base() / name, folder / name);
  const settings given{"model.path=" + folder.path().string(), "model.random_weights=true", "model.quantize=nf4",
                       "seed=4"};
  const at::Tensor logits = base_logits(given);
  CHECK(at::equal(logits, base_logits(given)));
  CHECK_FALSE(at::equal(logits, base_logits(given + settings{"seed=5"})));
  CHECK_THROWS_AS(base_logits({"model.path=" + folder.path().string()}), file_error);
}
