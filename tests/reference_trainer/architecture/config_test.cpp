#include "architecture/config.hpp"

#include <nlohmann/json.hpp>

#include <coho/error.hpp>

#include "support/catch.hpp"
#include "support/shared_data.hpp"
#include "support/temporary_directory.hpp"

using namespace coho::trainer;
using Catch::Matchers::ContainsSubstring;

namespace {

llama_config with(const nlohmann::json& changes, const char* type = "llama") {
  nlohmann::json config{{"model_type", type}};
  if (!changes.is_null()) config.update(changes);
  return llama_config::from_json(config, "config.json");
}

void check_refused(const nlohmann::json& changes, const std::string& text, const char* type = "llama") {
  CAPTURE(changes.dump());
  CHECK_THROWS_AS(with(changes, type), coho::file_error);
  CHECK_THROWS_WITH(with(changes, type), ContainsSubstring(text));
}

}  // namespace

TEST_CASE("llama_config: the defaults of LLaMA are those of LLaMA 7B") {
  const auto config = with({});
  CHECK(config == llama_config{});
  CHECK(config.parameter_count() == 6'738'415'616);
}

TEST_CASE("llama_config: the defaults of Mistral") {
  const auto config = with({}, "mistral");
  CHECK(config.architecture == "MistralForCausalLM");
  CHECK(config.intermediate_size == 14336);
  CHECK(config.num_key_value_heads == 8);
  CHECK(config.key_value_size() == 1024);
  CHECK(config.max_position_embeddings == 131072);
  CHECK(config.sliding_window == 4096);
  CHECK(config.parameter_count() == 7'241'732'096);
  CHECK_FALSE(with({{"sliding_window", nullptr}}, "mistral").sliding_window.has_value());
  CHECK(with({{"num_key_value_heads", nullptr}}, "mistral").num_key_value_heads == 32);
  CHECK_FALSE(with({{"sliding_window", 7}}).sliding_window.has_value());  // LLaMA has none
}

TEST_CASE("llama_config: model type and architecture stand for each other and must agree") {
  CHECK(llama_config::from_json({{"architectures", {"MistralForCausalLM"}}}).model_type == "mistral");
  CHECK(with({{"architectures", {"LlamaForSequenceClassification"}}}).sequence_classification());
  check_refused({{"architectures", {"FalconForCausalLM"}}}, "the architecture FalconForCausalLM is not supported");
  check_refused({{"architectures", {"MistralForCausalLM"}}}, "contradicts");
  check_refused({{"architectures", nlohmann::json::array()}}, "architectures");
  check_refused({}, "the model type \"gemma\" is not supported", "gemma");
  CHECK_THROWS_WITH(llama_config::from_json(nlohmann::json::object()), ContainsSubstring("model_type: is missing"));
  CHECK_THROWS_AS(llama_config::from_json(nlohmann::json::array()), coho::file_error);
}

TEST_CASE("llama_config: what an architecture adds") {
  const auto llama = with({});
  CHECK_FALSE((llama.query_key_value_bias || llama.output_bias || llama.mlp_bias || llama.query_key_norm));
  const auto biased = with({{"attention_bias", true}, {"mlp_bias", true}});
  CHECK((biased.query_key_value_bias && biased.output_bias && biased.mlp_bias));
  const auto qwen2 = with({}, "qwen2");
  CHECK(qwen2.query_key_value_bias);
  CHECK_FALSE((qwen2.output_bias || qwen2.query_key_norm));
  CHECK(qwen2.vocab_size == 151936);
  CHECK(qwen2.num_key_value_heads == qwen2.num_attention_heads);
  CHECK_FALSE(qwen2.bos_token_id.has_value());
  CHECK(qwen2.eos_token_ids.empty());
  const auto qwen3 = with({{"hidden_size", 1024}, {"num_attention_heads", 16}}, "qwen3");
  CHECK(qwen3.query_key_norm);
  CHECK_FALSE(qwen3.query_key_value_bias);
  CHECK(qwen3.head_dim == 128);
  CHECK(with({{"attention_bias", true}}, "qwen3").output_bias);
  for (const auto& config : {llama, biased, qwen2, qwen3}) CHECK(llama_config::from_json(config.to_json()) == config);
}

TEST_CASE("llama_config: a sliding window holds for all blocks or none") {
  CHECK_FALSE(with({{"sliding_window", 9}}, "qwen2").sliding_window.has_value());
  const nlohmann::json window{{"use_sliding_window", true}, {"sliding_window", 9}, {"num_hidden_layers", 4}};
  const auto from = [&](std::int64_t layers) {
    auto json = window;
    json["max_window_layers"] = layers;
    return json;
  };
  CHECK(with(from(0), "qwen2").sliding_window == 9);
  CHECK_FALSE(with(from(4), "qwen2").sliding_window.has_value());
  check_refused(from(2), "max_window_layers: a sliding window in some of the blocks is not supported", "qwen2");
  const auto everywhere = with(from(0), "qwen3");
  CHECK(llama_config::from_json(everywhere.to_json()) == everywhere);
  CHECK(with({{"layer_types", {"full_attention", "full_attention"}}}, "qwen3").sliding_window == std::nullopt);
  check_refused({{"layer_types", {"full_attention", "sliding_attention"}}}, "layer_types", "qwen3");
  check_refused({{"layer_types", "full"}}, "layer_types", "qwen3");
}

TEST_CASE("llama_config: each number is checked and named") {
  for (const char* field : {"vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers",
                            "num_attention_heads", "num_key_value_heads", "head_dim", "max_position_embeddings"}) {
    check_refused({{field, 0}}, field);
    check_refused({{field, -4}}, field);
    check_refused({{field, 4.5}}, field);
    check_refused({{field, "4"}}, field);
    check_refused({{field, 1ULL << 63}}, field);
    check_refused({{field, 1LL << 62}}, field);
  }
  check_refused({{"rms_norm_eps", 0}}, "rms_norm_eps");
  check_refused({{"rms_norm_eps", 2}}, "rms_norm_eps");
  check_refused({{"rope_theta", -1}}, "rope_theta");
  check_refused({{"num_key_value_heads", 3}}, "must divide num_attention_heads");
  check_refused({{"hidden_size", 100}}, "multiple of num_attention_heads");
  check_refused({{"head_dim", 7}}, "must be even");
  check_refused({{"hidden_size", 32}}, "head_dim: must be even");
  check_refused({{"sliding_window", 0}}, "sliding_window", "mistral");
  check_refused({{"tie_word_embeddings", 1}}, "tie_word_embeddings");
  check_refused({{"attention_bias", true}}, "attention_bias: a model of type mistral has no such biases", "mistral");
  check_refused({{"mlp_bias", true}}, "mlp_bias", "qwen3");
  check_refused({{"hidden_act", "gelu"}}, "\"gelu\" is not supported");
  check_refused({{"quantization_config", {{"quant_method", "gptq"}}}}, "\"gptq\" is not supported");
  CHECK(with({{"head_dim", 96}}).query_size() == 32 * 96);
  CHECK(with({{"quantization_config", {{"load_in_4bit", true}, {"bnb_4bit_quant_type", "nf4"}}}}).quantization ==
        "bitsandbytes");
}

TEST_CASE("llama_config: special tokens may be numbers, lists, null or -1") {
  const auto config = with({{"eos_token_id", {2, 7}}, {"pad_token_id", -1}, {"bos_token_id", nullptr}});
  CHECK(config.eos_token_ids == std::vector<std::int64_t>{2, 7});
  CHECK_FALSE(config.pad_token_id.has_value());
  CHECK_FALSE(config.bos_token_id.has_value());
  CHECK(with({{"eos_token_id", nullptr}}).eos_token_ids.empty());
  CHECK(with({{"pad_token_id", 5}}).pad_token_id == 5);
  CHECK(with({{"vocab_size", 2}}).eos_token_ids.empty());  // a default that the vocabulary does not have
  check_refused({{"eos_token_id", 32000}}, "eos_token_id");
  check_refused({{"eos_token_id", {1, 32000}}}, "eos_token_id");
  check_refused({{"pad_token_id", 32000}}, "pad_token_id");
  check_refused({{"bos_token_id", "x"}}, "bos_token_id");
}

TEST_CASE("llama_config: rope scaling in the older and the newer form") {
  const auto older = with({{"rope_theta", 5e5}, {"rope_scaling", {{"type", "linear"}, {"factor", 4}}}}).rope;
  CHECK(older.type == rope_type::linear);
  CHECK(older.factor == 4);
  CHECK(older.theta == 5e5);
  const auto newer = with({{"rope_parameters", {{"rope_type", "dynamic"}, {"factor", 2.5}, {"rope_theta", 1e6}}}}).rope;
  CHECK(newer.type == rope_type::dynamic);
  CHECK(newer.theta == 1e6);
  CHECK(with({{"rope_parameters", {{"rope_theta", 1e6}}}}).rope.theta == 1e6);
  CHECK(with({{"rope_parameters", {{"rope_type", "default"}, {"rope_theta", 1e6}}}}).rope.type == rope_type::none);
  CHECK(with({{"rope_scaling", nullptr}}).rope == rope_options{});
  const nlohmann::json llama3{{"rope_type", "llama3"},
                              {"factor", 8},
                              {"low_freq_factor", 1},
                              {"high_freq_factor", 4},
                              {"original_max_position_embeddings", 8192}};
  CHECK(with({{"rope_scaling", llama3}}).rope.original_max_position_embeddings == 8192);
  const auto yarn = with({{"max_position_embeddings", 8192},
                          {"rope_scaling", {{"rope_type", "yarn"}, {"original_max_position_embeddings", 2048}}}})
                        .rope;
  CHECK(yarn.factor == 4);  // from the two lengths
  for (const char* field : {"low_freq_factor", "high_freq_factor", "original_max_position_embeddings", "factor"}) {
    auto part = llama3;
    part.erase(field);
    check_refused({{"rope_scaling", part}}, std::string("rope_scaling.") + field + ": is missing");
  }
  check_refused({{"rope_scaling", {{"type", "longrope"}, {"factor", 4}}}},
                "the rope type \"longrope\" is not supported");
  check_refused({{"rope_scaling", {{"factor", 4}}}}, "rope_scaling.type");
  check_refused({{"rope_scaling", {{"type", "linear"}}}}, "rope_scaling.factor: is missing");
  check_refused({{"rope_scaling", {{"type", "linear"}, {"factor", 0.5}}}}, "rope_scaling.factor");
  check_refused({{"rope_scaling", {{"type", "yarn"}, {"factor", 2}, {"beta_fast", 1}, {"beta_slow", 2}}}}, "beta_fast");
  check_refused({{"rope_scaling", "linear"}}, "rope_scaling: must be an object");
}

TEST_CASE("llama_config: of rope_scaling and rope_parameters in one file the older holds, as in transformers") {
  const nlohmann::json newer{{"rope_type", "default"}, {"rope_theta", 5e4}}, older{{"type", "linear"}, {"factor", 2}};
  const auto both = with({{"rope_parameters", newer}, {"rope_scaling", older}}).rope;
  CHECK(both.type == rope_type::linear);
  CHECK(both.factor == 2);
  CHECK(both.theta == 1e4);  // that of rope_parameters goes with it
  CHECK(with({{"rope_parameters", newer}, {"rope_scaling", older}, {"rope_theta", 777}}).rope.theta == 777);
  for (const auto& nothing : {nlohmann::json(nullptr), nlohmann::json::object()}) {
    CHECK(with({{"rope_parameters", newer}, {"rope_scaling", nothing}}).rope.theta == 5e4);
    CHECK(with({{"rope_parameters", nothing}, {"rope_scaling", older}}).rope == with({{"rope_scaling", older}}).rope);
    CHECK(with({{"rope_parameters", nothing}, {"rope_theta", 777}}).rope.theta == 777);
  }
  CHECK(with({{"rope_parameters", {{"rope_type", "default"}}}, {"rope_theta", 777}}).rope.theta == 777);
  CHECK(with({{"rope_parameters", newer}, {"rope_theta", 777}}).rope.theta == 5e4);
  CHECK(with({{"rope_scaling", {{"rope_type", "linear"}, {"factor", 3}, {"rope_theta", 5}}}, {"rope_theta", 7}})
            .rope.theta == 5);
  CHECK(with({{"rope_scaling", {{"type", "dynamic"}, {"rope_type", "linear"}, {"factor", 3}}}}).rope.type ==
        rope_type::linear);
}

TEST_CASE("llama_config: what is written is read back") {
  auto config = with({{"vocab_size", 11}, {"eos_token_id", {2, 3}}, {"torch_dtype", "bfloat16"}, {"sliding_window", 9}},
                     "mistral");
  CHECK(llama_config::from_json(config.to_json()) == config);
  config.sliding_window.reset();
  config.eos_token_ids = {};
  config.bos_token_id.reset();
  CHECK(llama_config::from_json(config.to_json()) == config);
  auto scaled = with({{"rope_scaling",
                       {{"type", "yarn"},
                        {"factor", 2},
                        {"mscale", 1.0},
                        {"mscale_all_dim", 0.5},
                        {"truncate", false},
                        {"attention_factor", 1.25}}}});
  CHECK(llama_config::from_json(scaled.to_json()) == scaled);
  scaled.rope = {.type = rope_type::llama3, .factor = 8, .original_max_position_embeddings = 8192};
  CHECK(llama_config::from_json(scaled.to_json()) == scaled);
  scaled.architecture = "LlamaForSequenceClassification";
  scaled.quantization = "bitsandbytes";
  CHECK(llama_config::from_json(scaled.to_json()) == scaled);
  CHECK(scaled.to_json()["num_labels"] == 1);
}

TEST_CASE("llama_config: a broken file is refused with its path") {
  const coho::test::temporary_directory folder;
  coho::test::write_bytes(folder / "config.json", "{");
  CHECK_THROWS_WITH(llama_config::from_file(folder / "config.json"), ContainsSubstring("config.json"));
  CHECK_THROWS_AS(llama_config::from_file(folder / "none.json"), coho::file_error);
}

TEST_CASE("llama_config: published configurations are read") {
  const auto data = coho::test::shared_data();
  if (!data) {
    WARN("shared data absent: skipped");
    return;
  }
  const auto stories = llama_config::from_file(*data / "stories260K/config.json");
  CHECK(stories.parameter_count() == 260'032);
  CHECK(stories.head_dim == 8);
  CHECK(stories.tie_word_embeddings);
  const auto mistral = llama_config::from_file(*data / "tiny_mistral/tiny_mistral_config.json");
  CHECK(mistral.sliding_window == 4);
  CHECK(mistral.num_key_value_heads == 1);
  CHECK(llama_config::from_file(*data / "tiny_llama/tiny_llama_config.json").rope == rope_options{});
}
