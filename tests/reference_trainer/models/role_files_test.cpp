// Roles in the files of PEFT and transformers: what is written where, and what does not fit a base leaves its bank as
// it was.
#include <functional>

#include <ATen/core/grad_mode.h>
#include <nlohmann/json.hpp>

#include <coho/error.hpp>

#include "checkpoint/hf_model.hpp"
#include "checkpoint/peft.hpp"
#include "files/json_file.hpp"
#include "models/model_files.hpp"
#include "support/catch.hpp"
#include "support/recipe_models.hpp"
#include "support/small_models.hpp"
#include "support/stage_runs.hpp"
#include "support/temporary_directory.hpp"

using namespace coho;
using namespace coho::trainer;
using namespace coho::test;
using Catch::Matchers::ContainsSubstring;
namespace fs = std::filesystem;

namespace {

/// The demo's base with a role "a" that differs from it, and a head with the given bias.
loaded_model trained_model(const settings& given, double bias) {
  loaded_model model = load_model(demo_base());
  start_role(model, "a", {}, config(given.empty() ? settings{"adapter.rank=3"} : given), rng{1});
  const at::Tensor values = model.bank->train("a").values();
  const at::NoGradGuard no_gradient;
  values.add_(0.05 * random_tensor({values.numel()}, 9));
  model.bank->modify("a").head = {random_tensor({1, model.bank->config().hidden_size}, 4), at::full({1}, bias)};
  return model;
}

/// A saved adapter, its configuration and tensors to be spoilt.
struct saved_adapter {
  fs::path folder;
  nlohmann::json config;
  tensor_map tensors;

  explicit saved_adapter(const fs::path& path) : folder(path) {
    loaded_model model = trained_model({}, 0);
    save_role(model, "a", folder);
    config = read_json(folder / "adapter_config.json");
    // Copies: the files behind these are written again.
    for (const auto& [name, tensor] : read_tensors(folder / "adapter_model.safetensors"))
      tensors[name] = tensor.clone();
  }
  void write() const {
    write_json(folder / "adapter_config.json", config);
    write_tensors(folder / "adapter_model.safetensors", tensors);
  }
};

const std::string first_key = "base_model.model.model.layers.0.self_attn.q_proj.lora_";

}  // namespace

TEST_CASE("role files: a head without a bias lies where PEFT and transformers look for it") {
  const temporary_directory folder;
  const auto kind = GENERATE(as<std::string>(), "lora", "full");
  loaded_model model = trained_model({"adapter.kind=" + kind}, 0);
  save_role(model, "a", folder / "a");
  CHECK_FALSE(fs::exists(folder / "a/score_head.safetensors"));
  if (kind == "lora") {
    CHECK(read_json(folder / "a/adapter_config.json")["task_type"] == "SEQ_CLS");
    CHECK(at::equal(read_peft(folder / "a").head_weight, model.bank->at("a").head.weight));
  } else {
    const auto checkpoint = load_hf_checkpoint(folder / "a");
    CHECK(checkpoint.config.architecture == "LlamaForSequenceClassification");
    CHECK_FALSE(checkpoint.tensors.contains("lm_head.weight"));
    CHECK(at::equal(checkpoint.tensors.at("score.weight"), model.bank->at("a").head.weight));
  }
  load_role(model, "again", folder / "a");
  CHECK(at::equal(model.bank->at("again").head.weight, model.bank->at("a").head.weight));
  CHECK(model.bank->at("again").head.bias.item<double>() == 0);

  // A bias that came later takes the head elsewhere, and nothing of the other form stays.
  model.bank->modify("a").head.bias = at::full({1}, -2.5);
  save_role(model, "a", folder / "a");
  CHECK(fs::exists(folder / "a/score_head.safetensors"));
  if (kind == "lora") {
    CHECK_FALSE(read_peft(folder / "a").has_head());
  } else {
    CHECK(load_hf_checkpoint(folder / "a").tensors.contains("lm_head.weight"));
  }
  load_role(model, "with bias", folder / "a");
  CHECK(model.bank->at("with bias").head.bias.item<double>() == -2.5);
}

TEST_CASE("role files: a classifier's checkpoint as a base gives its head to the roles that start from it") {
  const temporary_directory folder;
  loaded_model model = trained_model({"adapter.kind=full"}, 0);
  save_role(model, "a", folder / "reward");
  const at::Tensor head = model.bank->at("a").head.weight;

  loaded_model base = load_model(folder / "reward");
  load_role(base, "as it is", {});
  start_role(base, "adapter", {}, config(settings{"adapter.rank=2"}), rng{1});
  start_role(base, "whole", {}, config(settings{"adapter.kind=full"}), rng{1});
  for (const std::string role : {"as it is", "adapter", "whole"})
    CHECK(at::equal(base.bank->at(role).head.weight, head));

  // Such a base has no language-model head to fall back to: whole weights stay a classifier, whatever the bias.
  base.bank->modify("whole").head.bias = at::full({1}, 0.5);
  save_role(base, "whole", folder / "whole");
  CHECK(load_hf_checkpoint(folder / "whole").config.sequence_classification());
  load_role(base, "whole again", folder / "whole");
  CHECK(at::equal(base.bank->at("whole again").head.weight, head));
  CHECK(base.bank->at("whole again").head.bias.item<double>() == 0.5);
}

TEST_CASE("role files: ranks and scales of single modules come back, and only what is adapted is named as a target") {
  const temporary_directory folder;
  loaded_model model = load_model(demo_base());
  const auto hidden = model.bank->config().hidden_size;
  lora_adapter adapter;
  const auto set = [&](const std::string& path, std::int64_t rank, double scale) {
    const auto seed = static_cast<std::uint64_t>(10 * rank);
    adapter.set_pair(model.bank->base(), path, random_tensor({rank, hidden}, seed),
                     random_tensor({hidden, rank}, seed + 1), scale);
  };
  for (int layer = 0; layer < 3; ++layer) set("model.layers." + std::to_string(layer) + ".self_attn.q_proj", 4, 0.5);
  set("model.layers.1.self_attn.o_proj", 7, 1.0 / 3);
  model.bank->add_lora("a", std::move(adapter));
  save_role(model, "a", folder / "a");
  const auto written = read_json(folder / "a/adapter_config.json");
  CHECK(written["target_modules"] == nlohmann::json{"q_proj", "model.layers.1.self_attn.o_proj"});
  CHECK(written["r"] == 4);
  CHECK(written["lora_alpha"] == 2);
  CHECK(written["rank_pattern"] == nlohmann::json{{"o_proj", 7}});
  load_role(model, "again", folder / "a");
  CHECK(largest_difference(logits_of(*model.bank, "again", few_tokens), logits_of(*model.bank, "a", few_tokens)) <
        1e-6);
}

TEST_CASE(
    "role files: an adapter that is wrong in any way is refused by file and tensor, and the bank stays as it was") {
  const temporary_directory folder;
  const saved_adapter good(folder / "a");
  loaded_model model = load_model(demo_base());
  load_role(model, "base", {});
  const auto before = logits_of(*model.bank, "base", few_tokens);
  const auto bytes = model.bank->bytes();
  const auto refused = [&](const std::string& text, const std::function<void(saved_adapter&)>& spoil) {
    CAPTURE(text);
    saved_adapter bad = good;
    spoil(bad);
    bad.write();
    CHECK_THROWS_AS(load_role(model, "a", folder / "a"), file_error);
    CHECK_THROWS_WITH(load_role(model, "a", folder / "a"),
                      ContainsSubstring((folder / "a").string()) && ContainsSubstring(text));
    CHECK_FALSE(model.bank->has("a"));
    CHECK(model.bank->bytes() == bytes);
  };
  const std::string module = "model.layers.0.self_attn.q_proj";
  refused(module + ": has only one", [&](auto& bad) { bad.tensors.erase(first_key + "B.weight"); });
  refused(module + ": is among the target_modules",
          [&](auto& bad) { bad.tensors.erase(first_key + "A.weight"), bad.tensors.erase(first_key + "B.weight"); });
  refused("tensor base_model.model.model.layers.0.extra: is neither",
          [&](auto& bad) { bad.tensors["base_model.model.model.layers.0.extra"] = at::ones({2}); });
  refused("model.layers.3.self_attn.q_proj: is not a linear layer of this model", [&](auto& bad) {
    for (const std::string part : {"A.weight", "B.weight"})
      bad.tensors["base_model.model.model.layers.3.self_attn.q_proj.lora_" + part] = bad.tensors.at(first_key + part);
  });
  refused("tensor " + first_key + "A.weight: is not of a floating type", [&](auto& bad) {
    bad.tensors[first_key + "A.weight"] = bad.tensors.at(first_key + "A.weight").to(at::kInt);
  });
  refused(module + ": has matrices A [3, 32] and B [64, 3] for a weight of [64, 64]", [&](auto& bad) {
    bad.tensors[first_key + "A.weight"] = at::ones({3, 32});
  });
  refused("do not have the rank 5", [&](auto& bad) { bad.config["r"] = 5; });
  refused("tensor score.weight: is not one row", [&](auto& bad) {
    bad.tensors["base_model.model.score.weight"] = at::ones({2, 64});
  });
  refused("tensor score.weight: does not have the width", [&](auto& bad) {
    bad.tensors["base_model.model.score.weight"] = at::ones({1, 63});
  });
  refused("tensor base_model.model.score.weight: occurs under two names", [&](auto& bad) {
    bad.tensors["base_model.model.score.modules_to_save.default.weight"] = at::ones({1, 64});
  });
  refused("peft_type", [&](auto& bad) { bad.config["peft_type"] = "IA3"; });

  // Files beside it that do not fit are as wrong as its own.
  good.write();
  const auto head = folder / "a/score_head.safetensors";
  write_tensors(head, {{"score.weight", at::ones({1, 63})}, {"score.bias", at::ones({1})}});
  CHECK_THROWS_WITH(load_role(model, "a", folder / "a"),
                    ContainsSubstring(head.string() + ": tensor score.weight: must be 64"));
  CHECK_FALSE(model.bank->has("a"));
  write_tensors(head, {{"score.weight", at::ones({1, 64})}});
  CHECK_THROWS_AS(load_role(model, "a", folder / "a"), file_error);
  CHECK_FALSE(model.bank->has("a"));
  fs::remove(head);
  const auto weights = folder / "a/adapter_model.safetensors";
  const auto whole = read_bytes(weights);
  write_bytes(weights, whole.substr(0, whole.size() - 100));
  CHECK_THROWS_WITH(load_role(model, "a", folder / "a"), ContainsSubstring(weights.string()));
  fs::rename(weights, folder / "a/adapter_model.bin");
  CHECK_THROWS_WITH(load_role(model, "a", folder / "a"), ContainsSubstring("pickled"));
  CHECK_FALSE(model.bank->has("a"));

  write_bytes(weights, whole);
  load_role(model, "a", folder / "a");
  CHECK(largest_difference(logits_of(*model.bank, "a", few_tokens), before) > 1e-3);
  CHECK(largest_difference(logits_of(*model.bank, "base", few_tokens), before) == 0);
}

TEST_CASE("role files: whole weights of another shape than the base are refused by field, and there is no such role") {
  const temporary_directory folder;
  loaded_model model = trained_model({"adapter.kind=full"}, 0.5);
  save_role(model, "a", folder / "a");
  const auto good = read_json(folder / "a/config.json");
  const auto refused = [&](const std::string& field, const nlohmann::json& value) {
    CAPTURE(field);
    auto changed = good;
    changed[field] = value;
    write_json(folder / "a/config.json", changed);
    CHECK_THROWS_AS(load_role(model, "b", folder / "a"), file_error);
    CHECK_THROWS_WITH(load_role(model, "b", folder / "a"), ContainsSubstring((folder / "a/config.json").string()) &&
                                                               ContainsSubstring("differs from that of the base"));
    CHECK_FALSE(model.bank->has("b"));
  };
  // What tensors alone do not show: each of these would compute something else.
  refused("rms_norm_eps", 1e-6);
  refused("rope_theta", 5e5);
  auto heads = good;
  heads["num_attention_heads"] = heads["num_key_value_heads"] = 8;
  heads["head_dim"] = 8;
  write_json(folder / "a/config.json", heads);
  CHECK_THROWS_WITH(load_role(model, "b", folder / "a"), ContainsSubstring("num_attention_heads"));
  write_json(folder / "a/config.json", good);
  load_role(model, "b", folder / "a");
  CHECK(largest_difference(logits_of(*model.bank, "b", few_tokens), logits_of(*model.bank, "a", few_tokens)) < 1e-6);
}
