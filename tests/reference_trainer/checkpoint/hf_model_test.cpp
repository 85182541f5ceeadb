#include "checkpoint/hf_model.hpp"

#include <nlohmann/json.hpp>

#include <coho/error.hpp>

#include "checkpoint/bitsandbytes.hpp"
#include "checkpoint/hf_names.hpp"
#include "files/json_file.hpp"
#include "support/catch.hpp"
#include "support/heard_notices.hpp"
#include "support/shared_data.hpp"
#include "support/temporary_directory.hpp"
#include "support/tiny_config.hpp"

using namespace coho::trainer;
using Catch::Matchers::ContainsSubstring;
using coho::test::temporary_directory;
using coho::test::tiny_config;
namespace fs = std::filesystem;

namespace {

tensor_map random_tensors(const llama_config& config) {
  tensor_map tensors;
  float first = 0;
  for (const auto& [name, shape] : hf_shapes(config)) {
    std::int64_t count = 1;
    for (const auto size : shape) count *= size;
    tensors[name] = (at::arange(count, at::kFloat) + first).reshape(shape);
    first += 1000;
  }
  return tensors;
}

void check_same(const tensor_map& a, const tensor_map& b) {
  REQUIRE(a.size() == b.size());
  for (const auto& [name, tensor] : a) {
    CAPTURE(name);
    CHECK(at::equal(tensor, b.at(name)));
  }
}

void write_parts(const fs::path& directory, const llama_config& config, const tensor_map& tensors) {
  fs::create_directories(directory);
  write_json(directory / "config.json", config.to_json());
  write_tensors(directory / "model.safetensors", tensors);
}

}  // namespace

TEST_CASE("hf_model: a checkpoint is saved and loaded, whole or in shards") {
  const temporary_directory folder;
  auto config = tiny_config();
  const auto tensors = random_tensors(config);
  save_hf_checkpoint(folder / "m", config, tensors);
  config.torch_dtype = "float32";
  const auto whole = load_hf_checkpoint(folder / "m");
  CHECK(whole.config == config);
  check_same(whole.tensors, tensors);
  CHECK(safetensors_file(folder / "m/model.safetensors").metadata().at("format") == "pt");

  save_hf_checkpoint(folder / "m", config, tensors, {}, 1500);
  CHECK_FALSE(fs::exists(folder / "m/model.safetensors"));
  const auto index = read_json(folder / "m/model.safetensors.index.json");
  CHECK(index["metadata"]["total_size"] == config.parameter_count() * 4);
  CHECK(index["weight_map"].size() == tensors.size());
  CHECK(fs::exists(folder / "m/model-00001-of-00004.safetensors"));
  check_same(load_hf_checkpoint(folder / "m").tensors, tensors);

  save_hf_checkpoint(folder / "m", config, tensors);
  CHECK_FALSE(fs::exists(folder / "m/model.safetensors.index.json"));
}

TEST_CASE("hf_model: a checkpoint can be saved over the one that it is mapped from") {
  const temporary_directory folder;
  const auto tensors = random_tensors(tiny_config());
  save_hf_checkpoint(folder / "m", tiny_config(), tensors);
  const auto loaded = load_hf_checkpoint(folder / "m");
  save_hf_checkpoint(folder / "m", loaded.config, loaded.tensors);
  check_same(load_hf_checkpoint(folder / "m").tensors, tensors);
  check_same(loaded.tensors, tensors);
}

TEST_CASE("hf_model: bf16 weights say so in config.json, and the tokenizer goes along") {
  const temporary_directory folder;
  auto tensors = random_tensors(tiny_config());
  for (auto& entry : tensors) entry.second = entry.second.to(at::kBFloat16);
  fs::create_directory(folder / "source");
  coho::test::write_bytes(folder / "source/tokenizer.model", "pieces");
  save_hf_checkpoint(folder / "m", tiny_config(), tensors, folder / "source");
  CHECK(coho::test::read_bytes(folder / "m/tokenizer.model") == "pieces");
  const auto loaded = load_hf_checkpoint(folder / "m");
  CHECK(loaded.config.torch_dtype == "bfloat16");
  CHECK(loaded.tensors.at("model.norm.weight").scalar_type() == at::kBFloat16);
  save_hf_checkpoint(folder / "m", loaded.config, loaded.tensors, folder / "m");
  CHECK(coho::test::read_bytes(folder / "m/tokenizer.model") == "pieces");
}

TEST_CASE("hf_model: missing, misshapen, mistyped and unknown tensors are named") {
  const temporary_directory folder;
  const auto config = tiny_config();
  const auto load_with = [&](auto change) {
    auto tensors = random_tensors(config);
    change(tensors);
    write_parts(folder / "m", config, tensors);
    return load_hf_checkpoint(folder / "m");
  };
  CHECK_THROWS_WITH(load_with([](auto& t) { t.erase("model.layers.1.self_attn.k_proj.weight"); }),
                    ContainsSubstring("tensor model.layers.1.self_attn.k_proj.weight: is missing"));
  CHECK_THROWS_WITH(load_with([](auto& t) { t.erase("lm_head.weight"); }), ContainsSubstring("tie_word_embeddings"));
  CHECK_THROWS_WITH(load_with([](auto& t) { t["model.norm.weight"] = at::zeros({9}); }),
                    ContainsSubstring("model.norm.weight: has shape [9], but config.json gives [8]"));
  CHECK_THROWS_WITH(load_with([](auto& t) { t["model.norm.weight"] = at::zeros({8}, at::kInt); }),
                    ContainsSubstring("element type Int"));
  CHECK_THROWS_WITH(load_with([](auto& t) { t["model.layers.2.input_layernorm.weight"] = at::zeros({8}); }),
                    ContainsSubstring("tensor model.layers.2.input_layernorm.weight: is not part of a model"));
  const auto kept = load_with([](auto& t) { t["model.layers.0.self_attn.rotary_emb.inv_freq"] = at::zeros({2}); });
  CHECK(kept.tensors.size() == 21);
}

TEST_CASE("hf_model: the copy of a tied head is dropped, and a classifier has a score") {
  const temporary_directory folder;
  auto config = tiny_config();
  config.tie_word_embeddings = true;
  auto tensors = random_tensors(config);
  tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].clone();
  write_parts(folder / "m", config, tensors);
  CHECK_FALSE(load_hf_checkpoint(folder / "m").tensors.contains("lm_head.weight"));

  config.tie_word_embeddings = false;
  config.architecture = "LlamaForSequenceClassification";
  save_hf_checkpoint(folder / "c", config, random_tensors(config));
  CHECK(load_hf_checkpoint(folder / "c").tensors.at("score.weight").size(0) == 1);
}

TEST_CASE("hf_model: a tied matrix is read under either name, and two matrices are two whatever the flag says") {
  const temporary_directory folder;
  auto config = tiny_config();
  config.tie_word_embeddings = true;
  const auto tied = random_tensors(config);
  const at::Tensor matrix = tied.at("model.embed_tokens.weight");
  const auto load_with = [&](const llama_config& shape, const tensor_map& tensors) {
    write_parts(folder / "m", shape, tensors);
    return load_hf_checkpoint(folder / "m");
  };
  const coho::test::heard_notices heard;
  auto head_only = tied;
  head_only.erase("model.embed_tokens.weight");
  head_only["lm_head.weight"] = matrix;
  check_same(load_with(config, head_only).tensors, tied);
  auto both = tied;
  both["lm_head.weight"] = matrix.clone();
  check_same(load_with(config, both).tensors, tied);
  CHECK(heard.lines().empty());

  both["lm_head.weight"] = matrix + 1;
  const auto two = load_with(config, both);
  CHECK_FALSE(two.config.tie_word_embeddings);
  check_same(two.tensors, both);
  REQUIRE(heard.lines().size() == 1);
  CHECK_THAT(heard.text(), ContainsSubstring("tie_word_embeddings") && ContainsSubstring("as two matrices"));

  // Not tied: each must be there, for nothing says what the other is.
  config.tie_word_embeddings = false;
  CHECK_THROWS_WITH(load_with(config, tied), ContainsSubstring("tensor lm_head.weight: is missing"));
  CHECK_THROWS_WITH(load_with(config, head_only), ContainsSubstring("tensor model.embed_tokens.weight: is missing"));
}

TEST_CASE("hf_model: a classifier of several labels is refused as one") {
  auto config = tiny_config();
  config.architecture = "LlamaForSequenceClassification";
  auto tensors = random_tensors(config);
  tensors["score.weight"] = at::zeros({2, 8});
  CHECK_THROWS_WITH(check_hf_tensors(config, tensors, "m"),
                    ContainsSubstring("tensor score.weight: has 2 rows: it scores 2 labels"));
}

TEST_CASE("hf_model: NF4 codes may be stored as numbers of two or four bytes") {
  auto config = tiny_config();
  config.quantization = "bitsandbytes";
  auto bytes = random_tensors(config);
  const std::string name = "model.layers.1.mlp.gate_proj.weight";
  for (const auto& [part, tensor] : nf4_tensors(name, quantize_nf4(bytes.at(name) + 1))) bytes[part] = tensor;
  const at::Tensor codes = bytes.at(name);
  for (const auto type : {at::kBFloat16, at::kHalf, at::kFloat}) {
    auto stored = bytes;
    stored[name] = codes.reshape({-1}).view(type).reshape({-1, 1});
    check_hf_tensors(config, stored, "m");
    CHECK(at::equal(stored.at(name), codes));
  }
  auto cut = bytes;
  cut[name] = codes.reshape({-1}).view(at::kBFloat16).narrow(0, 0, 3);
  CHECK_THROWS_WITH(check_hf_tensors(config, cut, "m"), ContainsSubstring("is of shape [6, 1]"));
}

TEST_CASE("hf_model: NF4-packed linears are accepted with their companions only") {
  auto config = tiny_config();
  auto tensors = random_tensors(config);
  const std::string name = "model.layers.0.mlp.up_proj.weight";
  const at::Tensor weight = tensors.at(name).to(at::kFloat) + 1;
  for (const auto& [part, tensor] : nf4_tensors(name, quantize_nf4(weight))) tensors[part] = tensor;
  auto plain = tensors;
  CHECK_THROWS_WITH(check_hf_tensors(config, plain, "m"),
                    ContainsSubstring("up_proj.weight: has shape [" + std::to_string(weight.numel() / 2) + ", 1]"));
  config.quantization = "bitsandbytes";
  auto packed = tensors;
  check_hf_tensors(config, packed, "m");
  CHECK(packed.size() == tensors.size());
  auto partial = tensors;
  partial.erase(name + ".absmax");
  CHECK_THROWS_WITH(check_hf_tensors(config, partial, "m"),
                    ContainsSubstring("m: tensor " + name + ".absmax: is missing"));
  auto cut = tensors;
  cut[name] = tensors[name].narrow(0, 0, 3);
  CHECK_THROWS_WITH(check_hf_tensors(config, cut, "m"),
                    ContainsSubstring("m: tensor " + name + ": is of shape [3, 1]"));
  auto norm = tensors;
  norm["model.norm.weight"] = at::zeros({4, 1}, at::kByte);
  CHECK_THROWS_AS(check_hf_tensors(config, norm, "m"), coho::file_error);
}

TEST_CASE("hf_model: pickles are never opened") {
  const temporary_directory folder;
  fs::create_directory(folder / "m");
  write_json(folder / "m/config.json", tiny_config().to_json());
  CHECK_THROWS_WITH(load_hf_checkpoint(folder / "m"), ContainsSubstring("model.safetensors: no such file"));
  coho::test::write_bytes(folder / "m/pytorch_model.bin", "x");
  CHECK_THROWS_WITH(load_hf_checkpoint(folder / "m"),
                    ContainsSubstring("pytorch_model.bin") && ContainsSubstring("safe_serialization=True"));
  CHECK_THROWS_WITH(load_hf_checkpoint(folder / "m/pytorch_model.bin"), ContainsSubstring("pickled"));
  write_json(folder / "m/model.safetensors.index.json", {{"weight_map", {{"a", "model-1.pth"}}}});
  CHECK_THROWS_WITH(load_hf_checkpoint(folder / "m"), ContainsSubstring("model-1.pth") && ContainsSubstring("pickled"));
}

TEST_CASE("hf_model: an index cannot name files elsewhere, or what its shards do not hold") {
  const temporary_directory folder;
  const auto config = tiny_config();
  auto tensors = random_tensors(config);
  save_hf_checkpoint(folder / "m", config, tensors, {}, 1500);
  const auto path = folder / "m/model.safetensors.index.json";
  const auto index = read_json(path);
  for (const char* file : {"../x.safetensors", "/etc/passwd", "a/b.safetensors", "..", "", "a\\b"}) {
    auto changed = index;
    changed["weight_map"]["lm_head.weight"] = file;
    write_json(path, changed);
    CHECK_THROWS_WITH(load_hf_checkpoint(folder / "m"),
                      ContainsSubstring("weight_map.lm_head.weight") && ContainsSubstring("is not a plain file name"));
  }
  auto changed = index;
  changed["weight_map"]["lm_head.weight"] = 5;
  write_json(path, changed);
  CHECK_THROWS_WITH(load_hf_checkpoint(folder / "m"), ContainsSubstring("must be a file name"));
  changed = index;
  changed["weight_map"]["lm_head.weight"] = index["weight_map"]["model.norm.weight"];
  write_json(path, changed);
  CHECK_THROWS_WITH(load_hf_checkpoint(folder / "m"), ContainsSubstring("tensor lm_head.weight: is not "));
  changed = index;
  changed["weight_map"].erase("model.norm.weight");
  write_json(path, changed);
  CHECK_THROWS_WITH(load_hf_checkpoint(folder / "m"), ContainsSubstring("model.norm.weight: is not listed in"));
  changed = index;
  changed.erase("weight_map");
  write_json(path, changed);
  CHECK_THROWS_WITH(load_hf_checkpoint(folder / "m"), ContainsSubstring("weight_map"));
}

TEST_CASE("hf_model: saving checks first and leaves nothing") {
  const temporary_directory folder;
  auto tensors = random_tensors(tiny_config());
  tensors.erase("model.norm.weight");
  CHECK_THROWS_AS(save_hf_checkpoint(folder / "m", tiny_config(), tensors), coho::file_error);
  CHECK_FALSE(fs::exists(folder / "m"));
  CHECK_THROWS_AS(save_hf_checkpoint(folder / "m", tiny_config(), random_tensors(tiny_config()), {}, 0),
                  coho::option_error);
  CHECK_THROWS_WITH(load_hf_checkpoint(folder / "none"), ContainsSubstring("is not a directory"));
}

TEST_CASE("hf_model: published checkpoints, one file or two shards") {
  const auto data = coho::test::shared_data();
  if (!data) {
    WARN("shared data absent: skipped");
    return;
  }
  const auto stories = load_hf_checkpoint(*data / "stories260K");
  CHECK(stories.tensors.size() == 2 + 5 * 9);
  std::int64_t total = 0;
  for (const auto& entry : stories.tensors) total += entry.second.numel();
  CHECK(total == 260'032);

  const temporary_directory folder;
  const auto tiny = *data / "tiny_llama";
  for (const char* kind : {"one", "two"}) {
    fs::create_directory(folder / kind);
    fs::copy_file(tiny / "tiny_llama_config.json", (folder / kind) / "config.json");
  }
  fs::copy_file(tiny / "tiny_llama.safetensors", folder / "one/model.safetensors");
  fs::copy_file(tiny / "tiny_llama.safetensors.index.json", folder / "two/model.safetensors.index.json");
  for (const char* shard : {"tiny_llama-00001-of-00002.safetensors", "tiny_llama-00002-of-00002.safetensors"}) {
    fs::copy_file(tiny / shard, (folder / "two") / shard);
  }
  const auto one = load_hf_checkpoint(folder / "one"), two = load_hf_checkpoint(folder / "two");
  CHECK(one.tensors.size() == 3 + 2 * 9);
  check_same(one.tensors, two.tensors);
}
