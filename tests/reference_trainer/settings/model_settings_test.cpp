#include "settings/model_settings.hpp"

#include <fstream>

#include <coho/error.hpp>

#include "architecture/storage_types.hpp"
#include "settings/optimizer_settings.hpp"
#include "support/catch.hpp"
#include "support/recipe_models.hpp"
#include "support/small_models.hpp"
#include "support/stage_runs.hpp"
#include "support/temporary_directory.hpp"

using namespace coho::trainer;
using namespace coho::test;
using Catch::Matchers::ContainsSubstring;

TEST_CASE("model settings: storage follows quantisation and type") {
  const auto read = [](const settings& given) { return read_model_settings(config(settings{"model.path=m"} + given)); };
  CHECK(read({}).base == base_storage::float32);
  CHECK(read({}).compute == compute_type::float32);
  CHECK(read({}).recompute == recomputation::selective);
  CHECK(read({"model.dtype=bfloat16"}).base == base_storage::bfloat16);
  CHECK(read({"model.quantize=nf4"}).base == base_storage::nf4_double);
  CHECK(read({"model.quantize=nf4", "model.double_quantize=false"}).base == base_storage::nf4);
  CHECK(read({"model.recompute=full"}).recompute == recomputation::full);
  CHECK_THROWS_AS(read({"model.quantize=int8"}), config_error);
  CHECK_THROWS_AS(read({"model.double_quantize=false"}), config_error);
  CHECK_THROWS_AS(read({"model.path="}), config_error);
  CHECK_THROWS_AS(read_model_settings(config(settings{})), config_error);
}

TEST_CASE("model settings: random weights need a shape and no checkpoint") {
  CHECK(read_model_settings(config(settings{"model.random_weights=true", "model.config=llama-2-7b"})).random_weights);
  CHECK_THROWS_AS(read_model_settings(config(settings{"model.random_weights=true"})), config_error);
}

TEST_CASE("model settings: the shipped shapes have the parameters of the models they are named after") {
  const auto count = [](const std::string& name) {
    return find_model_config({.path = {}, .config = name})->parameter_count();
  };
  CHECK(count("llama-2-7b") == 6'738'415'616);
  CHECK(count("llama-2-13b") == 13'015'864'320);
  CHECK(count("llama-2-70b") == 68'976'648'192);
  CHECK(count("mistral-7b-v0.1") == 7'241'732'096);
  CHECK(count("mistral-7b-v0.3") == 7'248'023'552);
  CHECK(count("mistral-nemo-12b") == 12'247'782'400);
  CHECK(count("llama-3.1-8b") == 8'030'261'248);
  CHECK(count("llama-3.1-70b") == 70'553'706'496);
  CHECK(count("llama-3.2-1b") == 1'235'814'400);
  CHECK(count("llama-3.2-3b") == 3'212'749'824);
  CHECK(count("qwen2.5-0.5b") == 494'032'768);
  CHECK(count("qwen2.5-1.5b") == 1'543'714'304);
  CHECK(count("qwen2.5-7b") == 7'615'616'512);
  CHECK(count("qwen3-0.6b") == 596'049'920);
  CHECK(count("qwen3-1.7b") == 1'720'574'976);
  CHECK(count("qwen3-4b") == 4'022'468'096);
  CHECK(count("qwen3-8b") == 8'190'735'360);
  CHECK(count("smollm2-135m") == 134'515'008);
  CHECK(count("smollm2-360m") == 361'821'120);
  CHECK(count("smollm2-1.7b") == 1'711'376'384);
  CHECK(find_model_config({.path = {}, .config = "mistral-7b-v0.1"})->sliding_window == 4096);
  CHECK_THROWS_WITH(find_model_config({.path = {}, .config = "llama-9"}),
                    Catch::Matchers::ContainsSubstring("llama-2-13b, llama-2-70b, llama-2-7b, llama-3.1-70b"));
}

TEST_CASE("model settings: a shape is looked for in model.config, then in the folder, then among the shipped ones") {
  const temporary_directory folder;
  std::filesystem::create_directories(folder / "llama-2-70b");
  const auto path = folder / "llama-2-70b";
  CHECK(find_model_config({.path = path, .config = {}})->num_hidden_layers == 80);
  write_bytes(path / "config.json", read_bytes(source_dir() / "reference_trainer/configs/llama-2-7b.json"));
  CHECK(find_model_config({.path = path, .config = {}})->num_hidden_layers == 32);
  CHECK(find_model_config({.path = path, .config = "llama-2-13b"})->num_hidden_layers == 40);
  CHECK_FALSE(find_model_config({.path = folder / "mine", .config = {}}).has_value());
  CHECK_THROWS_AS(find_model_config({.path = path, .config = "llama-3"}), coho::file_error);
}

TEST_CASE("adapter settings: targets and patterns give the ranks") {
  const auto ranks = [](const settings& given) { return read_adapter_settings(config(given)).ranks(1).at(0); };
  CHECK(ranks({}) == linear_ranks{64, 64, 64, 64, 64, 64, 64});
  CHECK(ranks({"adapter.rank=8", "adapter.targets=[\"q_proj\", \"down_proj\"]"}) == linear_ranks{8, 0, 0, 0, 0, 0, 8});
  CHECK(ranks({"adapter.rank=8", "adapter.rank_pattern=[\"v_proj=4\"]"}) == linear_ranks{8, 8, 4, 8, 8, 8, 8});
  CHECK(read_adapter_settings(config(settings{"adapter.kind=full"})).ranks(3).empty());
  CHECK(ranks({"adapter.rank_pattern=[\"mlp.*=2\", \"up_proj=9\"]"}) == linear_ranks{64, 64, 64, 64, 2, 2, 2});
  const auto alphas =
      read_adapter_settings(config(settings{"adapter.alpha_pattern=[\"v_proj=2.5\"]"})).lora.alpha_pattern;
  REQUIRE(alphas.size() == 1);
  CHECK(alphas[0].first == "v_proj");
  CHECK(alphas[0].second == 2.5);
  CHECK_THROWS_AS(ranks({"adapter.targets=[\"qproj\"]"}), config_error);
  CHECK_THROWS_AS(ranks({"adapter.dropout=1"}), config_error);
  CHECK_THROWS_AS(ranks({"adapter.rank_pattern=[\"v_proj=0\"]"}), config_error);
}

TEST_CASE("adapter settings: a pattern may be for one block alone") {
  const auto ranks =
      read_adapter_settings(config(settings{"adapter.rank=8", R"(adapter.rank_pattern=["layers.1.mlp.down_proj=3"])"}))
          .ranks(3);
  CHECK((ranks == std::vector<linear_ranks>{{8, 8, 8, 8, 8, 8, 8}, {8, 8, 8, 8, 8, 8, 3}, {8, 8, 8, 8, 8, 8, 8}}));
}

TEST_CASE("adapter settings: the ranks of an adapter in a folder come from its adapter_config.json alone") {
  const temporary_directory folder;
  const auto ranks = [&](const std::string& more) {
    write_bytes(folder / "adapter_config.json", R"({"peft_type": "LORA", "r": 4)" + more + "}");
    return read_adapter_ranks(folder.path(), 2);
  };
  CHECK((
      ranks(
          R"(, "target_modules": ["v_proj", "model.layers.1.mlp.up_proj"], "rank_pattern": {"layers.1.self_attn.v_proj": 6})") ==
      std::vector<linear_ranks>{{0, 0, 4, 0, 0, 0, 0}, {0, 0, 6, 0, 0, 4, 0}}));
  CHECK((ranks(R"(, "target_modules": ".*layers\\.0\\..*_proj")") ==
         std::vector<linear_ranks>{{4, 4, 4, 4, 4, 4, 4}, {}}));
  CHECK(ranks(R"(, "target_modules": "all-linear")")[1] == linear_ranks{4, 4, 4, 4, 4, 4, 4});
  // Restricted further than by names: taken for all there is.
  CHECK(ranks(R"(, "target_modules": ["q_proj"], "layers_to_transform": [0])")[1] == linear_ranks{4, 4, 4, 4, 4, 4, 4});
  CHECK_THROWS_AS(ranks(R"(, "use_dora": true)"), coho::file_error);
  CHECK_THROWS_AS(read_adapter_ranks(folder / "none", 2), coho::file_error);
}

TEST_CASE("moments: three ways to hold them") {
  CHECK(read_given<adamw_options>(config(settings{}), "optimizer").moments == moment_type::float32);
  CHECK(read_given<adamw_options>(config(settings{"optimizer.moments=bfloat16"}), "optimizer").moments ==
        moment_type::bfloat16);
  CHECK(read_given<adamw_options>(config(settings{"optimizer.moments=8bit"}), "optimizer").moments ==
        moment_type::eight_bit);
  CHECK_THROWS_AS(read_given<adamw_options>(config(settings{"optimizer.moments=fp8"}), "optimizer"), config_error);
}

TEST_CASE("model settings: ranks and α are bounded, alone and by pattern") {
  const auto read = [](const settings& given) { return read_adapter_settings(config(given)); };
  CHECK(read({"adapter.rank=65536"}).lora.rank == 65536);
  for (const char* wrong : {"adapter.rank=1e12", "adapter.rank=65537", "adapter.alpha=inf",
                            R"(adapter.rank_pattern=["q_proj=1000000"])", R"(adapter.alpha_pattern=["q_proj=inf"])",
                            R"(adapter.alpha_pattern=["q_proj=nan"])", R"(adapter.alpha_pattern=["q_proj=-1"])"}) {
    CAPTURE(wrong);
    CHECK_THROWS_AS(read({wrong}), config_error);
  }
}

TEST_CASE(
    "model settings: keys of an adapter are refused where whole weights are trained, unless they are the defaults") {
  const auto read = [](const settings& given) {
    return read_adapter_settings(config(settings{"adapter.kind=full"} + given));
  };
  for (const std::string given : {"rank=8", "alpha=3", "rslora=true", "dropout=0.1", R"(targets=["q_proj"])",
                                  R"(rank_pattern=["q_proj=4"])", R"(alpha_pattern=["q_proj=4"])"}) {
    CAPTURE(given);
    CHECK_THROWS_WITH(read({"adapter." + given}), ContainsSubstring("adapter." + given.substr(0, given.find('='))) &&
                                                      ContainsSubstring("left out while kind is full"));
  }
  CHECK(read({"adapter.rank=64", "adapter.dropout=0"}).full);
  // Packed weights are not trained.
  CHECK_THROWS_WITH(
      read({"model.quantize=nf4"}),
      "--set adapter.kind=full: adapter.kind = 'full' is not allowed: it must be lora where model.quantize "
      "packs the weights");
  const temporary_directory folder;
  auto shape = small_config().to_json();
  shape["quantization_config"] = {
      {"quant_method", "bitsandbytes"}, {"load_in_4bit", true}, {"bnb_4bit_quant_type", "nf4"}};
  std::ofstream(folder.path() / "config.json") << shape;
  CHECK_THROWS_WITH(read({"model.path=" + folder.path().string()}),
                    ContainsSubstring("adapter.kind = 'full' is not allowed: it must be lora, as the weights in " +
                                      folder.path().string() + " are packed"));
  // A recipe's rank stays where the command line asks for whole weights.
  const std::vector<std::string> full{"adapter.kind=full"};
  CHECK(read_adapter_settings(config::parse("[adapter]\nrank = 8\n", "r.toml", full)).full);
}
