#include "adapters/lora.hpp"

#include <coho/error.hpp>

#include "adapters/projection.hpp"
#include "checkpoint/tensor_io.hpp"
#include "roles/host_numbers.hpp"
#include "support/catch.hpp"
#include "support/small_models.hpp"

using namespace coho;
using namespace coho::trainer;
using namespace coho::test;

TEST_CASE("lora: a published adapter's outputs") {
  const auto data = shared_data();
  if (!data) {
    WARN("shared data absent: skipped");
    return;
  }
  const auto golden = read_fixture(*data / "lora" / "tiny_lora_logits.json");
  const auto base = read_tensors(*data / "lora" / "tiny_lora_base.safetensors");
  const auto adapter = read_tensors(*data / "lora" / "tiny_lora_adapter.safetensors");
  REQUIRE(base.size() == 1);
  lora_pair pair{.a = {}, .b = {}, .scale = golden["scale"].get<double>()};
  for (const auto& [name, tensor] : adapter)
    (name.find("lora_A") != std::string::npos ? pair.a : pair.b) = tensor.to(at::kFloat);
  const linear_weight weight(base.begin()->second.to(at::kFloat));
  const auto inputs = golden["inputs"].get<std::vector<std::vector<double>>>();
  const auto outputs = golden["outputs"].get<std::vector<std::vector<double>>>();
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    at::Tensor x = at::empty({1, static_cast<std::int64_t>(inputs[i].size())}, at::kFloat);
    for (std::size_t k = 0; k < inputs[i].size(); ++k) x.data_ptr<float>()[k] = static_cast<float>(inputs[i][k]);
    const auto y = to_doubles(project(x, {.weight = &weight, .pair = &pair}));
    REQUIRE(y.size() == outputs[i].size());
    for (std::size_t k = 0; k < y.size(); ++k) CHECK(y[k] == Approx(outputs[i][k]).margin(1e-5));
  }
}

TEST_CASE("lora: scales and refusals") {
  CHECK(lora_options{.rank = 4, .alpha = 16}.module_scale("q_proj") == 4);
  CHECK(lora_options{.rank = 4, .alpha = 16, .use_rslora = true}.module_scale("q_proj") == 8);
  CHECK_THROWS_AS(lora_options{.dropout = 1}.validate(), option_error);
  CHECK_THROWS_AS((lora_options{.rank_pattern = {{"q_proj", 0}}}.validate()), option_error);
  CHECK_THROWS_AS((lora_options{.rank_pattern = {{"(", 1}}}.validate()), option_error);
  CHECK_THROWS_AS(lora_options{.rank = 0}.validate(), option_error);
  CHECK_THROWS_AS(lora_options{.alpha = 0}.validate(), option_error);
  CHECK_THROWS_AS(lora_adapter(small_weights(), {.rank = 17}, rng{1}), option_error);
  lora_adapter adapter;
  CHECK_THROWS_AS(
      adapter.set_pair(small_weights(), "model.layers.9.mlp.up_proj", at::zeros({1, 16}), at::zeros({24, 1}), 1),
      argument_error);
  CHECK_THROWS_AS(
      adapter.set_pair(small_weights(), "model.layers.0.mlp.up_proj", at::zeros({1, 15}), at::zeros({24, 1}), 1),
      argument_error);
}

TEST_CASE("lora: patterns give single modules ranks and alphas of their own") {
  const lora_options options{.rank = 2,
                             .alpha = 8,
                             .rank_pattern = {{"mlp.down_proj", 4}, {"layers.1..*", 1}},
                             .alpha_pattern = {{"v_proj", 6}}};
  CHECK(options.module_rank("model.layers.0.self_attn.q_proj") == 2);
  CHECK(options.module_rank("model.layers.1.mlp.down_proj") == 4);  // the first that matches
  CHECK(options.module_rank("model.layers.1.mlp.up_proj") == 1);
  CHECK(options.module_rank("model.layers.0.another_mlp.down_proj") == 2);  // a pattern begins at a dot
  CHECK(options.module_scale("model.layers.0.self_attn.v_proj") == 3);
  lora_adapter adapter(small_weights(), options, rng{1});
  adapter.visit([&](const std::string& path, lora_pair& pair) {
    CHECK(pair.a.size(0) == options.module_rank(path));
    CHECK(pair.scale == options.module_scale(path));
  });
  for (const std::string pattern : {"qproj", "layers.7.mlp.down_proj", "lm_head"}) {
    CHECK_THROWS_AS(lora_adapter(small_weights(), {.rank = 2, .rank_pattern = {{pattern, 4}}}, rng{1}), option_error);
    CHECK_THROWS_AS(lora_adapter(small_weights(), {.rank = 2, .alpha_pattern = {{pattern, 4}}}, rng{1}), option_error);
  }
  CHECK_THROWS_AS(
      lora_adapter(small_weights(), {.rank = 2, .rank_pattern = {{"o_proj", 4}}, .targets = {linear_kind::q}}, rng{1}),
      option_error);
}

TEST_CASE("lora: merging over a packed base unpacks it") {
  const llama_weights packed = llama_weights::random(small_config(), rng{7}, 0.3, {.quantize = nf4_options{}});
  lora_adapter adapter(packed, {.rank = 2, .alpha = 4, .targets = {linear_kind::q}}, rng{1});
  adapter.visit([](const std::string&, lora_pair& pair) { pair.b = random_tensor(pair.b.sizes().vec(), 3); });
  const llama_weights merged = adapter.merge(packed);
  const lora_pair& pair = adapter.pair(0, linear_kind::q);
  CHECK(largest_difference(merged.blocks[0][linear_kind::q].dense(),
                           packed.blocks[0][linear_kind::q].values(at::kFloat) + 2 * at::matmul(pair.b, pair.a)) <
        1e-5);
  CHECK(at::equal(merged.blocks[0][linear_kind::up].dense(), packed.blocks[0][linear_kind::up].values(at::kFloat)));
  CHECK(lora_adapter().merge(packed).blocks[1][linear_kind::o].dense().defined());
}
