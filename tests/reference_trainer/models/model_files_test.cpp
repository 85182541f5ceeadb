#include "models/model_files.hpp"

#include <algorithm>

#include <ATen/core/grad_mode.h>
#include <nlohmann/json.hpp>

#include <coho/error.hpp>

#include "checkpoint/hf_model.hpp"
#include "files/json_file.hpp"
#include "support/catch.hpp"
#include "support/demo_model.hpp"
#include "support/heard_notices.hpp"
#include "support/recipe_models.hpp"
#include "support/small_models.hpp"
#include "support/stage_runs.hpp"
#include "support/temporary_directory.hpp"

using namespace coho;
using namespace coho::trainer;
using namespace coho::test;

namespace {

// Changes every trainable number of a role, so that what is saved is not what was there before.
void disturb(loaded_model& model, const std::string& role) {
  const at::Tensor& values = model.bank->train(role).values();
  const at::NoGradGuard no_gradient;
  values.add_(0.05 * random_tensor({values.numel()}, 9));
}

double score(loaded_model& model, const std::string& role) {
  const std::int64_t length[] = {static_cast<std::int64_t>(few_tokens.size())};
  auto& bank = *model.bank;
  return bank.scalar_output(role, bank.hidden(role, token_tensor(few_tokens), sequence_layout(length)))[-1]
      .item<double>();
}

}  // namespace

TEST_CASE("model_files: a role that was saved comes back as it was, head included") {
  const temporary_directory folder;
  const auto kind = GENERATE(as<std::string>(), "lora", "full");
  const auto rslora = GENERATE(as<std::string>(), "false", "true");
  loaded_model model = load_model(demo_base());
  settings given{"adapter.kind=" + kind};
  if (kind == "lora") given = given + settings{"adapter.rank=3", "adapter.alpha=6", "adapter.rslora=" + rslora};
  start_role(model, "a", {}, config(given), rng{1});
  model.bank->add_head("a");
  disturb(model, "a");
  save_role(model, "a", folder / "a");

  load_role(model, "same", folder / "a");
  load_role(model, "base", {});
  CHECK(largest_difference(logits_of(*model.bank, "same", few_tokens), logits_of(*model.bank, "a", few_tokens)) < 1e-6);
  CHECK(largest_difference(logits_of(*model.bank, "base", few_tokens), logits_of(*model.bank, "a", few_tokens)) > 1e-3);
  CHECK(score(model, "same") == Approx(score(model, "a")).margin(1e-6));
  CHECK(score(model, "a") != Approx(0).margin(1e-3));

  // Either form can be sampled from without this program knowing where its base was.
  CHECK(std::filesystem::exists(folder / "a" / "tokenizer.model"));
  if (kind == "full") {
    loaded_model alone = load_model(folder / "a");
    load_role(alone, "a", {});
    CHECK(largest_difference(logits_of(*alone.bank, "a", few_tokens), logits_of(*model.bank, "a", few_tokens)) < 1e-6);
  }
}

TEST_CASE("model_files: a run goes on from what it is given, in the same form") {
  const temporary_directory folder;
  loaded_model model = load_model(demo_base());
  const config lora(settings{"adapter.kind=lora", "adapter.rank=2"}), full(settings{"adapter.kind=full"});
  start_role(model, "adapter", {}, lora, rng{1});
  start_role(model, "whole", {}, full, rng{1});
  disturb(model, "adapter");
  disturb(model, "whole");
  save_role(model, "adapter", folder / "adapter");
  save_role(model, "whole", folder / "whole");

  start_role(model, "next adapter", folder / "adapter", lora, rng{2});
  start_role(model, "next whole", folder / "whole", full, rng{2});
  CHECK(largest_difference(logits_of(*model.bank, "next adapter", few_tokens),
                           logits_of(*model.bank, "adapter", few_tokens)) < 1e-6);
  CHECK(largest_difference(logits_of(*model.bank, "next whole", few_tokens),
                           logits_of(*model.bank, "whole", few_tokens)) < 1e-6);
  CHECK_THROWS_AS(start_role(model, "x", folder / "whole", lora, rng{2}), config_error);
  CHECK_THROWS_AS(start_role(model, "y", folder / "adapter", full, rng{2}), config_error);
}

TEST_CASE("model_files: a fresh adapter changes nothing and covers the targets asked for") {
  loaded_model model = load_model(demo_base());
  load_role(model, "base", {});
  start_role(model, "a", {}, config(settings{"adapter.rank=2", "adapter.targets=[\"q_proj\", \"v_proj\"]"}), rng{1});
  CHECK(largest_difference(logits_of(*model.bank, "a", few_tokens), logits_of(*model.bank, "base", few_tokens)) == 0);
  const auto& c = model.bank->config();
  CHECK(model.bank->train("a").count() == c.num_hidden_layers * 2 * 2 * (c.hidden_size + c.hidden_size));
  CHECK_THROWS_WITH(start_role(model, "b", {}, config(settings{"adapter.targets=[\"q_prj\"]"}), rng{1}),
                    Catch::Matchers::ContainsSubstring("q_prj"));
  CHECK_THROWS_AS(start_role(model, "c", {}, config(settings{"adapter.kind=loar"}), rng{1}), config_error);
}

TEST_CASE("model_files: what ends a response and what is never sampled") {
  const loaded_model model = load_model(demo_base());
  CHECK(model.end_tokens() == std::vector<token>{model.tokenizer->eos()});
  const auto never = model.banned_tokens();
  const auto banned = [&](token id) { return std::ranges::find(never, id) != never.end(); };
  CHECK(banned(model.tokenizer->unk()));
  CHECK(banned(model.tokenizer->bos()));
  CHECK_FALSE(banned(model.tokenizer->eos()));
  CHECK_FALSE(banned(model.tokenizer->encode("fox").back()));
  CHECK(model.token_texts().size() == static_cast<std::size_t>(model.bank->config().vocab_size));
}

TEST_CASE("model_files: a reward model of each architecture is written as its classifier") {
  const auto type = GENERATE(as<std::string>(), "llama", "mistral", "qwen2", "qwen3");
  const temporary_directory folder;
  auto json = llama_config::from_file(demo_base() / "config.json").to_json();
  json["model_type"] = type;
  json.erase("architectures");
  const llama_config shape = llama_config::from_json(json);
  save_hf_checkpoint(folder / "base", shape, llama_weights::random(shape, rng{3}).tensors(), demo_base());
  loaded_model model = load_model(folder / "base");
  start_role(model, "reward", {}, config(settings{"adapter.kind=full"}), rng{1});
  model.bank->add_head("reward");
  save_role(model, "reward", folder / "reward");
  const auto written = llama_config::from_file(folder / "reward/config.json");
  CHECK(written.model_type == type);
  CHECK(written.sequence_classification());
  load_role(model, "again", folder / "reward");
  const std::int64_t length[] = {static_cast<std::int64_t>(few_tokens.size())};
  const auto hidden = [&](const std::string& role) {
    return model.bank->hidden(role, token_tensor(few_tokens), sequence_layout(length)).detach();
  };
  CHECK(at::equal(hidden("again"), hidden("reward")));
}

TEST_CASE("model_files: a model that cannot be used is refused") {
  const temporary_directory folder;
  CHECK_THROWS_AS(load_model(folder / "none"), file_error);
  CHECK_THROWS_AS(load_model(config(settings{"model.path=" + demo_base().string(), "model.dtype=int8"})), config_error);
  CHECK_THROWS_AS(load_model(config(settings{})), config_error);
  CHECK_THROWS_WITH(load_model(config(settings{"model.path=" + demo_base().string(), "model.config=qwen2.5-0.5b"})),
                    Catch::Matchers::ContainsSubstring("another shape"));
  CHECK_THROWS_WITH(load_model(config(settings{"model.random_weights=true", "model.config=smollm2-135m"})),
                    Catch::Matchers::ContainsSubstring("model.path is not given"));
  loaded_model model = load_model(demo_base());
  CHECK_THROWS_AS(load_role(model, "a", folder / "none"), file_error);

  // A tokenizer with more pieces than the model has tokens.
  llama_config small = small_config();
  tensor_map tensors;
  const llama_weights weights = small_weights();
  for (const auto& [name, tensor] : weights.tensors()) tensors.emplace(name, tensor);
  save_hf_checkpoint(folder / "small", small, tensors, demo_base());
  CHECK_THROWS_WITH(load_model(folder / "small"), Catch::Matchers::ContainsSubstring("a vocabulary of 23"));
  // Weights of another shape than the base's are no role of it.
  CHECK_THROWS(load_role(model, "a", folder / "small"));
}

TEST_CASE("model_files: the base can be held in bfloat16") {
  loaded_model single = load_model(config(settings{"model.path=" + demo_base().string()}));
  loaded_model half = load_model(config(settings{"model.path=" + demo_base().string(), "model.dtype=bfloat16"}));
  load_role(single, "base", {});
  load_role(half, "base", {});
  CHECK(half.bank->base().embedding.scalar_type() == at::kBFloat16);
  CHECK(largest_difference(logits_of(*single.bank, "base", few_tokens), logits_of(*half.bank, "base", few_tokens)) <
        0.5);
}

TEST_CASE("model files: a role saved over one of another form is the one that is loaded") {
  const temporary_directory folder;
  loaded_model model = load_model(demo_base());
  const rng random{1};
  start_role(model, "adapter", {}, config(settings{"adapter.rank=4"}), random);
  start_role(model, "whole", {}, config(settings{"adapter.kind=full"}), random);
  model.bank->set_head("whole", random_tensor({1, model.bank->config().hidden_size}, 5), at::zeros({1}));
  disturb(model, "adapter"), disturb(model, "whole");
  const auto from_disk = [&] {
    loaded_model fresh = load_model(demo_base());
    load_role(fresh, "it", folder / "policy");
    return std::pair(logits_of(*fresh.bank, "it", few_tokens), fresh.bank->at("it").head.defined());
  };
  save_role(model, "adapter", folder / "policy");
  CHECK(at::allclose(from_disk().first, logits_of(*model.bank, "adapter", few_tokens)));
  save_role(model, "whole", folder / "policy");
  CHECK(at::allclose(from_disk().first, logits_of(*model.bank, "whole", few_tokens)));
  CHECK(from_disk().second);
  save_role(model, "adapter", folder / "policy");
  CHECK(at::allclose(from_disk().first, logits_of(*model.bank, "adapter", few_tokens)));
  CHECK_FALSE(from_disk().second);
}

TEST_CASE("model_files: roles without a head of their own take that of a base that is a reward model") {
  const temporary_directory folder;
  loaded_model model = load_model(demo_base());
  start_role(model, "reward", {}, config(settings{"adapter.kind=full"}), rng{1});
  model.bank->set_head("reward", 0.2 * random_tensor({1, 64}, 3), at::zeros({1}));
  save_role(model, "reward", folder / "base");
  start_role(model, "policy", {}, config(settings{"adapter.rank=2"}), rng{1});
  disturb(model, "policy");
  save_role(model, "policy", folder / "adapter");

  loaded_model classifier = load_model(folder / "base");
  load_role(classifier, "plain", {});
  load_role(classifier, "adapted", folder / "adapter");
  for (const std::string role : {"plain", "adapted"}) {
    REQUIRE(classifier.bank->at(role).head.defined());
    CHECK(at::equal(classifier.bank->at(role).head.weight, model.bank->at("reward").head.weight));
  }
  std::filesystem::remove(folder / "base" / "model.safetensors");
  loaded_model random =
      load_model(config(settings{"model.path=" + (folder / "base").string(), "model.random_weights=true"}));
  load_role(random, "plain", {});
  CHECK(random.bank->at("plain").head.defined());
}

TEST_CASE("model_files: the files of a folder say what begins, ends and belongs to the tokens") {
  const temporary_directory folder;
  const auto base = folder / "base";
  std::filesystem::copy(demo_base(), base);
  const token last = demo_model().tokenizer->encode("fox").back();
  write_json(base / "tokenizer_config.json", {{"add_bos_token", false}, {"bos_token", "<s>"}});
  write_json(base / "generation_config.json", {{"eos_token_id", {last, 2}}});
  const loaded_model model = load_model(base);
  CHECK(model.tokenizer->begin_tokens().empty());
  CHECK(model.end_tokens() == std::vector<token>{2, last});
  CHECK(model.tokenizer->eos() == 2);
  const auto never = model.banned_tokens();
  CHECK(std::ranges::find(never, token{1}) != never.end());  // the begin piece, though no text has it
  CHECK(std::ranges::find(never, last) == never.end());

  const heard_notices heard;
  auto config_file = read_json(base / "config.json");
  config_file["eos_token_id"] = 1;
  config_file["vocab_size"] = config_file["vocab_size"].get<int>() + 3;
  write_json(base / "config.json", config_file);
  std::filesystem::remove(base / "generation_config.json");
  const auto first = static_cast<std::int64_t>(demo_model().tokenizer->size());
  write_json(base / "added_tokens.json", {{"<|x|>", first}, {"<|y|>", first + 2}});
  const loaded_model wider = load_model(config(settings{"model.path=" + base.string(), "model.random_weights=true"}));
  CHECK(wider.end_tokens() == std::vector<token>{2});
  REQUIRE(heard.lines().size() == 1);
  CHECK_THAT(heard.text(), Catch::Matchers::ContainsSubstring("eos_token_id 1 (\"<s>\") is the tokenizer's begin"));
  const auto banned = wider.banned_tokens();
  CHECK(std::ranges::find(banned, static_cast<token>(first)) == banned.end());
  CHECK(std::ranges::find(banned, static_cast<token>(first + 1)) != banned.end());  // an id without a token
  CHECK(wider.token_texts()[static_cast<std::size_t>(first) + 2] == "<|y|>");
}

TEST_CASE("model_files: what is written has its base's tokenizer and generation files") {
  const temporary_directory folder;
  const auto base = folder / "base";
  std::filesystem::copy(demo_base(), base);
  write_json(base / "tokenizer_config.json", {{"add_bos_token", true}});
  write_json(base / "generation_config.json", {{"eos_token_id", {2, 13}}});
  write_bytes(base / "chat_template.jinja", "{{ messages }}");
  loaded_model model = load_model(base);
  const auto kind = GENERATE(as<std::string>(), "lora", "full");
  const settings lora{"adapter.rank=2"}, full{"adapter.kind=full"};
  start_role(model, "a", {}, config(kind == "lora" ? lora : full), rng{1});
  save_role(model, "a", folder / "a");
  for (const char* name : {"tokenizer.model", "tokenizer_config.json", "generation_config.json", "chat_template.jinja"})
    CHECK(read_bytes(folder / "a" / name) == read_bytes(base / name));
  CHECK(std::filesystem::exists(folder / "a" / fingerprint_file) == (kind == "lora"));
}

TEST_CASE("model_files: an adapter over other weights than those it was trained over is warned of") {
  const temporary_directory folder;
  const auto base = folder / "base", other = folder / "other";
  std::filesystem::copy(demo_base(), base);
  std::filesystem::copy(demo_base(), other);
  auto changed = load_hf_checkpoint(base);
  auto& linear = changed.tensors.at("model.layers.0.mlp.up_proj.weight");
  linear = linear * 1.5;
  save_hf_checkpoint(other, changed.config, changed.tensors, base);
  loaded_model model = load_model(base);
  start_role(model, "a", {}, config(settings{"adapter.rank=2"}), rng{1});
  save_role(model, "a", folder / "a");

  const heard_notices heard;
  load_role(model, "same", folder / "a");
  loaded_model packed = load_model(config(
      settings{"model.path=" + base.string(), "model.quantize=nf4", "model.dtype=bfloat16"}));  // another form of it
  load_role(packed, "same", folder / "a");
  CHECK(heard.text().empty());
  loaded_model altered = load_model(other);
  load_role(altered, "a", folder / "a");
  load_role(altered, "b", folder / "a");
  REQUIRE(heard.lines().size() == 1);
  CHECK_THAT(heard.text(), Catch::Matchers::ContainsSubstring(base.string()) &&
                               Catch::Matchers::ContainsSubstring(other.string() + " has different weights (linears)"));

  // Without a fingerprint, as PEFT writes adapters, only the name can tell.
  std::filesystem::remove(folder / "a" / fingerprint_file);
  load_role(model, "by name", folder / "a");
  REQUIRE(heard.lines().size() == 1);
  load_role(altered, "by name", folder / "a");
  REQUIRE(heard.lines().size() == 2);
  CHECK_THAT(heard.lines().back(), Catch::Matchers::ContainsSubstring("has no fingerprint"));
}
