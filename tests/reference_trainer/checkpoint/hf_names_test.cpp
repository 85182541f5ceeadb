#include "checkpoint/hf_names.hpp"

#include "support/catch.hpp"

using namespace coho::trainer;

TEST_CASE("hf_shapes: the shapes add up to the number of parameters") {
  llama_config config;
  config.num_key_value_heads = 8;
  for (const int features : {0, 1, 2, 4, 8, 15}) {
    config.tie_word_embeddings = features % 2 != 0;
    config.query_key_value_bias = config.output_bias = (features & 2) != 0;
    config.mlp_bias = (features & 4) != 0;
    config.query_key_norm = (features & 8) != 0;
    CAPTURE(features);
    std::int64_t total = 0;
    for (const auto& [name, shape] : hf_shapes(config)) {
      std::int64_t count = 1;
      for (const auto size : shape) count *= size;
      total += count;
    }
    CHECK(total == config.parameter_count());
  }
}

TEST_CASE("hf_shapes: grouped-query attention, tied heads and classifiers") {
  llama_config config;
  config.num_key_value_heads = 8;
  config.num_hidden_layers = 2;
  const auto shapes = hf_shapes(config);
  CHECK(shapes.size() == 3 + 2 * 9);
  CHECK(shapes.at("model.layers.1.self_attn.k_proj.weight") == std::vector<std::int64_t>{1024, 4096});
  CHECK(shapes.at("model.layers.0.mlp.down_proj.weight") == std::vector<std::int64_t>{4096, 11008});
  CHECK(shapes.at("lm_head.weight") == std::vector<std::int64_t>{32000, 4096});
  config.tie_word_embeddings = true;
  CHECK_FALSE(hf_shapes(config).contains("lm_head.weight"));
  config.architecture = "LlamaForSequenceClassification";
  CHECK(hf_shapes(config).at("score.weight") == std::vector<std::int64_t>{1, 4096});
  config.query_key_value_bias = config.query_key_norm = true;
  CHECK(hf_shapes(config).at("model.layers.1.self_attn.v_proj.bias") == std::vector<std::int64_t>{1024});
  CHECK(hf_shapes(config).at("model.layers.1.self_attn.k_norm.weight") == std::vector<std::int64_t>{128});
  CHECK(is_layer_linear("model.layers.3.mlp.up_proj.weight"));
  CHECK_FALSE(is_layer_linear("model.layers.3.input_layernorm.weight"));
  CHECK_FALSE(is_layer_linear("lm_head.weight"));
}
