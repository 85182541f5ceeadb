#include "checkpoint/peft.hpp"

#include <cmath>

#include <nlohmann/json.hpp>

#include <coho/error.hpp>

#include "checkpoint/tensor_io.hpp"
#include "files/json_file.hpp"
#include "support/catch.hpp"
#include "support/shared_data.hpp"
#include "support/temporary_directory.hpp"
#include "support/tiny_config.hpp"

using namespace coho::trainer;
using Catch::Matchers::ContainsSubstring;
using coho::test::temporary_directory;
using coho::test::tiny_config;
namespace fs = std::filesystem;

namespace {

lora_weights small_adapter() {
  lora_weights adapter;
  adapter.rank = 2;
  adapter.alpha = 8;
  adapter.modules["model.layers.0.self_attn.q_proj"] = {at::arange(16, at::kFloat).reshape({2, 8}), at::ones({8, 2})};
  adapter.modules["model.layers.1.mlp.down_proj"] = {at::arange(24, at::kFloat).reshape({2, 12}), at::ones({8, 2}) * 3};
  return adapter;
}

const nlohmann::json small_adapter_config{{"peft_type", "LORA"}, {"r", 2}, {"lora_alpha", 8}};

lora_weights read_with(const fs::path& folder, const nlohmann::json& changes, const tensor_map& tensors) {
  fs::create_directories(folder);
  auto config = small_adapter_config;
  if (!changes.is_null()) config.update(changes);
  write_json(folder / "adapter_config.json", config);
  write_tensors(folder / "adapter_model.safetensors", tensors);
  return read_peft(folder);
}

}  // namespace

TEST_CASE("peft: an adapter is written and read back, with PEFT's keys") {
  const temporary_directory folder;
  auto adapter = small_adapter();
  adapter.dropout = 0.1;
  adapter.base_model = "base";
  write_peft(folder / "a", adapter);
  const safetensors_file file(folder / "a/adapter_model.safetensors");
  CHECK(file.contains("base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"));
  CHECK(file.contains("base_model.model.model.layers.1.mlp.down_proj.lora_B.weight"));
  CHECK(file.tensors().size() == 4);
  CHECK(file.metadata().at("format") == "pt");
  const auto config = read_json(folder / "a/adapter_config.json");
  CHECK(config["task_type"] == "CAUSAL_LM");
  CHECK(config["target_modules"] == nlohmann::json{"model.layers.0.self_attn.q_proj", "model.layers.1.mlp.down_proj"});
  CHECK(config["modules_to_save"].is_null());
  CHECK(config["bias"] == "none");

  const auto read = read_peft(folder / "a");
  CHECK(read.rank == 2);
  CHECK(read.alpha == 8);
  CHECK(read.dropout == 0.1);
  CHECK(read.base_model == "base");
  CHECK_FALSE(read.has_head());
  REQUIRE(read.modules.size() == 2);
  for (const auto& [module, pair] : adapter.modules) {
    CHECK(at::equal(read.modules.at(module).a, pair.a));
    CHECK(at::equal(read.modules.at(module).b, pair.b));
  }
}

TEST_CASE("peft: matrices of any floating type come as fp32 and are written as fp32") {
  const temporary_directory folder;
  for (const auto type : {at::kHalf, at::kBFloat16, at::kFloat}) {
    auto adapter = small_adapter();
    for (auto& entry : adapter.modules) entry.second = {entry.second.a.to(type), entry.second.b.to(type)};
    write_peft(folder / "a", adapter);
    CHECK(safetensors_file(folder / "a/adapter_model.safetensors").tensors().begin()->second.dtype ==
          tensor_dtype::f32);
  }
  const std::string key = "base_model.model.m.lora_";
  const auto read =
      read_with(folder / "b", {},
                {{key + "A.weight", at::ones({2, 3}, at::kHalf)}, {key + "B.weight", at::ones({4, 2}, at::kBFloat16)}});
  CHECK(read.modules.at("m").a.scalar_type() == at::kFloat);
  CHECK(read.modules.at("m").b.scalar_type() == at::kFloat);
}

TEST_CASE("peft: adapters of another name lie in a folder of that name, and their keys may hold it") {
  const temporary_directory folder;
  write_peft(folder / "a", small_adapter(), "reward");
  CHECK(fs::exists(folder / "a/reward/adapter_config.json"));
  CHECK(read_peft(folder / "a", "reward").modules.size() == 2);
  CHECK_THROWS_AS(read_peft(folder / "a"), coho::file_error);
  CHECK_THROWS_AS(read_peft(folder / "a", "../a"), coho::argument_error);
  CHECK_THROWS_AS(read_peft(folder / "a", ".."), coho::argument_error);
  const std::string key = "base_model.model.model.layers.3.mlp.up_proj.lora_";
  const auto read = read_with(
      folder / "b", {}, {{key + "A.reward.weight", at::ones({2, 3})}, {key + "B.reward.weight", at::ones({4, 2})}});
  CHECK(read.modules.contains("model.layers.3.mlp.up_proj"));
}

TEST_CASE("peft: the scale is alpha over r, or over its root, by module") {
  lora_weights adapter;
  adapter.rank = 16;
  adapter.alpha = 32;
  CHECK(adapter.module_scale("model.layers.0.self_attn.q_proj") == 2);
  adapter.use_rslora = true;
  CHECK(adapter.module_scale("model.layers.0.self_attn.q_proj") == 8);
  adapter.use_rslora = false;
  adapter.rank_pattern = {{"layers.1.self_attn.q_proj", 4}, {"q_proj", 8}};
  adapter.alpha_pattern = {{"mlp\\..*", 1}};
  CHECK(adapter.module_rank("model.layers.1.self_attn.q_proj") == 4);
  CHECK(adapter.module_rank("model.layers.0.self_attn.q_proj") == 8);
  CHECK(adapter.module_rank("model.layers.0.self_attn.xq_proj") == 16);
  CHECK(adapter.module_scale("model.layers.0.self_attn.q_proj") == 4);
  CHECK(adapter.module_scale("model.layers.0.mlp.up_proj") == 1.0 / 16);
}

TEST_CASE("peft: patterns keep their order and the matrices must have the rank that they give") {
  const temporary_directory folder;
  auto adapter = small_adapter();
  adapter.modules.at("model.layers.1.mlp.down_proj") = {at::ones({4, 12}), at::ones({8, 4})};
  adapter.rank_pattern = {{"mlp.down_proj", 4}, {"down_proj", 9}};
  adapter.alpha_pattern = {{"z", 1.5}, {"a", 2.5}};
  adapter.use_rslora = true;
  write_peft(folder / "a", adapter);
  const auto read = read_peft(folder / "a");
  CHECK(read.rank_pattern == adapter.rank_pattern);
  CHECK(read.alpha_pattern == adapter.alpha_pattern);
  CHECK(read.module_scale("model.layers.1.mlp.down_proj") == 4);
  adapter.rank_pattern.clear();
  CHECK_THROWS_WITH(write_peft(folder / "b", adapter),
                    ContainsSubstring("module model.layers.1.mlp.down_proj") && ContainsSubstring("rank 2"));
}

TEST_CASE("peft: the configuration can be read without the matrices") {
  const temporary_directory folder;
  auto adapter = small_adapter();
  adapter.use_rslora = true;
  write_peft(folder / "a", adapter);
  fs::remove(folder / "a/adapter_model.safetensors");
  const auto read = read_peft_config(folder / "a");
  CHECK(read.rank == 2);
  CHECK(read.use_rslora);
  CHECK(read.target_modules.size() == 2);
  CHECK(read.modules.empty());
  CHECK_THROWS_AS(read_peft(folder / "a"), coho::file_error);
  CHECK_THROWS_AS(read_peft_config(folder / "b"), coho::file_error);
}

TEST_CASE("peft: a reward head goes along, its bias only when it is not zero") {
  const temporary_directory folder;
  auto adapter = small_adapter();
  adapter.head_weight = at::arange(8, at::kFloat).reshape({1, 8});
  adapter.head_bias = at::zeros({1});
  write_peft(folder / "a", adapter);
  const auto config = read_json(folder / "a/adapter_config.json");
  CHECK(config["task_type"] == "SEQ_CLS");
  CHECK(config["modules_to_save"] == nlohmann::json{"classifier", "score"});
  auto read = read_peft(folder / "a");
  CHECK(at::equal(read.head_weight, adapter.head_weight));
  CHECK_FALSE(read.head_bias.defined());
  adapter.head_bias = at::full({1}, -0.5);
  write_peft(folder / "a", adapter);
  CHECK(read_peft(folder / "a").head_bias.item<float>() == -0.5F);

  const auto wrapped =
      read_with(folder / "b", {}, {{"base_model.model.score.modules_to_save.default.weight", at::ones({1, 8})}});
  CHECK(wrapped.has_head());
  CHECK_THROWS_WITH(read_with(folder / "b", {}, {{"base_model.model.score.weight", at::ones({2, 8})}}),
                    ContainsSubstring("is not one row"));
  CHECK_THROWS_WITH(read_with(folder / "b", {}, {{"base_model.model.score.bias", at::ones({1})}}),
                    ContainsSubstring("score.bias"));
}

TEST_CASE("peft: methods that change the base are refused by name") {
  const temporary_directory folder;
  const auto refused = [&](const nlohmann::json& changes, const std::string& text) {
    CAPTURE(changes.dump());
    CHECK_THROWS_AS(read_with(folder / "a", changes, {}), coho::file_error);
    CHECK_THROWS_WITH(read_with(folder / "a", changes, {}), ContainsSubstring(text));
  };
  refused({{"peft_type", "IA3"}}, "the method \"IA3\" is not supported");
  refused({{"use_dora", true}}, "use_dora");
  refused({{"fan_in_fan_out", true}}, "fan_in_fan_out");
  refused({{"bias", "all"}}, "trained biases");
  refused({{"layer_replication", {{0, 1}, {0, 1}}}}, "layer_replication");
  refused({{"alora_invocation_tokens", {5}}}, "alora_invocation_tokens");
  refused({{"kasa_config", {{"beta", 1}}}}, "kasa_config");
  refused({{"init_lora_weights", "pissa_niter_16"}}, "changes the base model's weights");
  refused({{"r", 0}}, "r: must be a whole number");
  refused({{"r", 2.5}}, "r: must be a whole number");
  refused({{"r", "2"}}, "r: must be a number");
  refused({{"lora_alpha", 1e308}}, "lora_alpha: must be a number within the range of fp32, below 3.4e38");
  refused({{"alpha_pattern", {{"q_proj", -1e308}}}}, "alpha_pattern");
  refused({{"lora_dropout", 1}}, "lora_dropout");
  refused({{"rank_pattern", {{"[", 2}}}}, "is not a pattern");
  refused({{"rank_pattern", {{"q", 0}}}}, "rank_pattern");
  refused({{"target_modules", 5}}, "target_modules");
  CHECK(read_with(folder / "a",
                  {{"init_lora_weights", true}, {"target_modules", "all-linear"}, {"rank_pattern", nullptr}}, {})
            .modules.empty());
  coho::test::write_bytes(folder / "a/adapter_config.json", "{\"r\": 1e999}");
  CHECK_THROWS_WITH(read_peft(folder / "a"), ContainsSubstring("byte 7: the number 1e999"));
  coho::test::write_bytes(folder / "a/adapter_config.json", "{");
  CHECK_THROWS_WITH(read_peft(folder / "a"), ContainsSubstring("is not a JSON document"));
}

TEST_CASE("peft: half pairs, unknown keys and wrong ranks are named") {
  const temporary_directory folder;
  const auto refused = [&](const tensor_map& tensors, const std::string& text) {
    CHECK_THROWS_AS(read_with(folder / "a", {}, tensors), coho::file_error);
    CHECK_THROWS_WITH(read_with(folder / "a", {}, tensors), ContainsSubstring(text));
  };
  const std::string key = "base_model.model.m.lora_";
  refused({{key + "A.weight", at::ones({2, 3})}}, "module m: has only one of its two matrices");
  refused({{key + "A.weight", at::ones({3, 3})}, {key + "B.weight", at::ones({4, 3})}},
          "module m: has matrices A [3, 3] and B [4, 3]");
  refused({{key + "A.weight", at::ones({2, 3})}, {key + "B.weight", at::ones({4, 3})}}, "do not have the rank 2");
  refused({{key + "A.weight", at::ones({2})}, {key + "B.weight", at::ones({4, 2})}}, "not two-dimensional");
  refused({{key + "A.weight", at::ones({2, 3})},
           {key + "A.x.weight", at::ones({2, 3})},
           {key + "B.weight", at::ones({4, 2})}},
          "under two names");
  refused({{key + "A.weight", at::ones({2, 3}, at::kInt)}, {key + "B.weight", at::ones({4, 2})}},
          "not of a floating type");
  refused({{"m.lora_A.weight", at::ones({2, 3})}}, "does not begin with base_model.model.");
  refused({{key + "magnitude_vector", at::ones({2})}}, "is neither a LoRA matrix nor a scalar head");
  refused({{key + "A.x.y.weight", at::ones({2, 3})}}, "is neither");
  for (const char* module : {"lm_head.weight", "lm_head.lora_A.weight", "lm_head.modules_to_save.default.weight",
                             "model.embed_tokens.lora_embedding_A", "model.embed_tokens.weight"}) {
    const std::string name = module;
    refused({{"base_model.model." + name, at::ones({2, 3})}},
            name.starts_with("lm") ? "replaces lm_head, but adapters" : "replaces model.embed_tokens");
  }
}

TEST_CASE("peft: a file that is cut short or no safetensors file is named") {
  const temporary_directory folder;
  write_peft(folder / "a", small_adapter());
  const auto path = folder / "a/adapter_model.safetensors";
  const auto bytes = coho::test::read_bytes(path);
  for (const std::size_t length :
       {bytes.size() - 1, bytes.size() / 2, std::size_t{20}, std::size_t{7}, std::size_t{0}}) {
    CAPTURE(length);
    coho::test::write_bytes(path, bytes.substr(0, length));
    CHECK_THROWS_AS(read_peft(folder / "a"), coho::file_error);
    CHECK_THROWS_WITH(read_peft(folder / "a"), ContainsSubstring("a/adapter_model.safetensors"));
  }
  fs::remove(path);
  CHECK_THROWS_AS(read_peft(folder / "a"), coho::file_error);
  // A key that an expression would recurse over.
  const std::string key = "base_model.model." + std::string(2000, 'm') + ".lora_";
  CHECK_THROWS_WITH(read_with(folder / "b", {{"rank_pattern", {{"(m|n)*", 2}}}},
                              {{key + "A.weight", at::ones({2, 3})}, {key + "B.weight", at::ones({4, 2})}}),
                    ContainsSubstring("more than 1024 bytes"));
}

TEST_CASE("peft: pickled adapters are never opened") {
  const temporary_directory folder;
  write_json(folder / "adapter_config.json", small_adapter_config);
  coho::test::write_bytes(folder / "adapter_model.bin", "x");
  CHECK_THROWS_WITH(read_peft(folder.path()), ContainsSubstring("adapter_model.bin") && ContainsSubstring("pickled"));
}

TEST_CASE("peft: modules are checked against the model") {
  const llama_config config = tiny_config();
  const auto adapter = small_adapter();
  check_lora_shapes(adapter, config, "a");
  for (const char* module :
       {"model.layers.2.self_attn.q_proj", "model.layers.x.self_attn.q_proj", "model.layers.0.self_attn.z_proj",
        "lm_head", "model.layers.0", "model.layers.99999999999999999999.self_attn.q_proj"}) {
    auto changed = adapter;
    changed.modules[module] = adapter.modules.begin()->second;
    CHECK_THROWS_WITH(check_lora_shapes(changed, config, "a"),
                      ContainsSubstring(std::string(module) + ": is not a linear layer"));
  }
  auto changed = adapter;
  changed.modules["model.layers.0.self_attn.k_proj"] = adapter.modules.begin()->second;
  CHECK_THROWS_WITH(check_lora_shapes(changed, config, "a"), ContainsSubstring("B [8, 2] for a weight of [4, 8]"));
  changed = adapter;
  changed.head_weight = at::zeros({1, 9});
  CHECK_THROWS_WITH(check_lora_shapes(changed, config, "a"), ContainsSubstring("score.weight"));
}

TEST_CASE("peft: a linear that the configuration targets must have its matrices") {
  const llama_config config = tiny_config();
  const temporary_directory folder;
  const std::string key = "base_model.model.model.layers.0.self_attn.q_proj.lora_";
  const tensor_map tensors{{key + "A.weight", at::ones({2, 8})}, {key + "B.weight", at::ones({8, 2})}};
  const auto check = [&](const nlohmann::json& changes) {
    check_lora_shapes(read_with(folder / "a", changes, tensors), config, "a");
  };
  const auto missing =
      ContainsSubstring("module model.layers.1.self_attn.q_proj: is among the target_modules but has no matrices");
  CHECK_THROWS_WITH(check({{"target_modules", {"q_proj"}}}), missing);
  CHECK_THROWS_WITH(check({{"target_modules", ".*self_attn.q_proj"}}), missing);
  CHECK_THROWS_WITH(check({{"target_modules", "all-linear"}}), ContainsSubstring("has no matrices"));
  check({{"target_modules", {"model.layers.0.self_attn.q_proj"}}});
  check({{"target_modules", {"layers.0.self_attn.q_proj"}}});
  check({{"target_modules", {"0.self_attn.q_proj", "0.self_attn.xq_proj"}}});
  check({{"target_modules", R"(model\.layers\.0\..*q_proj)"}});
  check({{"target_modules", {"q_proj"}}, {"layers_to_transform", {0}}});
  check({{"target_modules", {"q_proj"}}, {"exclude_modules", ".*1.*"}});
  check({{"target_modules", "(?P<python>x)"}});
  check({{"target_modules", nullptr}});

  // As the file says it, so it is written again.
  auto adapter = read_with(folder / "a", {{"target_modules", ".*0.*q_proj"}}, tensors);
  write_peft(folder / "b", adapter);
  CHECK(read_json(folder / "b/adapter_config.json")["target_modules"] == ".*0.*q_proj");
}

TEST_CASE("peft: an adapter that another tool wrote gives that tool's outputs") {
  const auto data = coho::test::shared_data();
  if (!data) {
    WARN("shared data absent: skipped");
    return;
  }
  const auto lora = *data / "lora";
  const temporary_directory folder;
  fs::copy_file(lora / "tiny_lora_adapter.safetensors", folder / "adapter_model.safetensors");
  fs::copy_file(lora / "tiny_lora_adapter_config.json", folder / "adapter_config.json");
  const auto adapter = read_peft(folder.path());
  const auto& pair = adapter.modules.at("proj");
  const auto golden = read_json(lora / "tiny_lora_logits.json");
  CHECK(adapter.module_scale("proj") == golden["scale"].get<double>());
  const auto base = read_tensors(lora / "tiny_lora_base.safetensors").at("proj.weight").to(at::kDouble);
  for (std::size_t i = 0; i < golden["inputs"].size(); ++i) {
    const auto x = at::tensor(golden["inputs"][i].get<std::vector<double>>(), at::kDouble);
    const auto y = base.mv(x) + adapter.module_scale("proj") * pair.b.to(at::kDouble).mv(pair.a.to(at::kDouble).mv(x));
    const auto expected = at::tensor(golden["outputs"][i].get<std::vector<double>>(), at::kDouble);
    CHECK((y - expected).abs().max().item<double>() < 1e-6);
  }
}

TEST_CASE("peft: an alpha that fp32 does not hold, or a number that no double holds, is the file's error") {
  const temporary_directory folder;
  const auto adapter = small_adapter();
  write_peft(folder / "a", adapter);
  const auto text = coho::test::read_bytes(folder / "a/adapter_config.json");
  const auto with_alpha = [&](const std::string& number) {
    auto changed = text;
    const std::string field = "\"lora_alpha\": ";
    const auto at = changed.find(field) + field.size();
    changed.replace(at, changed.find(',', at) - at, number);
    coho::test::write_bytes(folder / "a/adapter_config.json", changed);
    return read_peft(folder / "a");
  };
  CHECK(with_alpha("-6").alpha == -6);
  CHECK(with_alpha("1e38").alpha == 1e38);
  CHECK_THROWS_WITH(with_alpha("1e308"),
                    ContainsSubstring("adapter_config.json: lora_alpha: must be a number within the range of fp32"));
  CHECK_THROWS_WITH(with_alpha("-1e308"), ContainsSubstring("lora_alpha"));
  CHECK_THROWS_AS(with_alpha("1e999"), coho::file_error);
  CHECK_THROWS_WITH(read_with(folder / "b", {{"alpha_pattern", {{"q_proj", 1e300}}}}, {}),
                    ContainsSubstring("alpha_pattern"));
}
