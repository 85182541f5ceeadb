#include "adapters/lora.hpp"

#include <coho/error.hpp>

#include "checkpoint/tensor_io.hpp"
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
  for (const auto& [name, tensor] : adapter) (name.find("lora_A") != std::string::npos ? pair.a : pair.b) = tensor.to(at::kFloat);
  const auto inputs = golden["inputs"].get<std::vector<std::vector<double>>>();
  const auto outputs = golden["outputs"].get<std::vector<std::vector<double>>>();
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    at::Tensor x = at::empty({1, static_cast<std::int64_t>(inputs[i].size())}, at::kFloat);
    for (std::size_t k = 0; k < inputs[i].size(); ++k) x.data_ptr<float>()[k] = static_cast<float>(inputs[i][k]);
    const auto y = to_doubles(adapted_linear(x, base.begin()->second.to(at::kFloat), &pair));
    REQUIRE(y.size() == outputs[i].size());
    for (std::size_t k = 0; k < y.size(); ++k) CHECK(y[k] == Approx(outputs[i][k]).margin(1e-5));
  }
}

TEST_CASE("lora: scales and refusals") {
  CHECK(lora_options{.rank = 4, .alpha = 16}.scale() == 4);
  CHECK(lora_options{.rank = 4, .alpha = 16, .use_rslora = true}.scale() == 8);
  CHECK_THROWS_AS(lora_options{.rank = 0}.validate(), option_error);
  CHECK_THROWS_AS(lora_options{.alpha = 0}.validate(), option_error);
  CHECK_THROWS_AS(lora_adapter(small_weights(), {.rank = 17}, rng{1}), option_error);
  lora_adapter adapter;
  CHECK_THROWS_AS(adapter.set(small_weights(), "model.layers.9.mlp.up_proj", at::zeros({1, 16}), at::zeros({24, 1}), 1), argument_error);
  CHECK_THROWS_AS(adapter.set(small_weights(), "model.layers.0.mlp.up_proj", at::zeros({1, 15}), at::zeros({24, 1}), 1), argument_error);
}
