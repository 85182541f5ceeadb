#include "checkpoint/lora_patterns.hpp"

#include <cmath>

#include <coho/error.hpp>

#include "support/catch.hpp"

using namespace coho::trainer;

namespace {

using ranks = std::vector<std::pair<std::string, std::int64_t>>;
using alphas = std::vector<std::pair<std::string, double>>;
using names = std::vector<std::string>;

std::string path(int layer, const std::string& linear) {
  return "model.layers." + std::to_string(layer) + "." + linear;
}

/// An adapter and the scales of its modules.
struct described_adapter {
  lora_weights adapter;
  std::map<std::string, double> scales;

  void add(const std::string& module, std::int64_t rank, double scale) {
    adapter.modules[module] = {at::zeros({rank, 8}), at::zeros({8, rank})};
    scales[module] = scale;
  }
  void describe(std::int64_t layers) { infer_lora_config(adapter, scales, layers); }
  /// What the description gives back for every module.
  void check() const {
    for (const auto& [module, pair] : adapter.modules) {
      CAPTURE(module);
      CHECK(adapter.module_rank(module) == pair.a.size(0));
      CHECK(adapter.module_scale(module) == Approx(scales.at(module)).epsilon(1e-14));
    }
  }
};

}  // namespace

TEST_CASE("lora patterns: an expression is for a whole path or its end after a dot") {
  const std::string module = "model.layers.11.self_attn.q_proj";
  for (const char* pattern :
       {"q_proj", "self_attn.q_proj", "model.layers.11.self_attn.q_proj", ".*q_proj", R"(layers\.(1|11)\..*)", "q.proj",
        "^model.layers.11.self_attn.q_proj", "k_proj|q_proj", R"(self_attn\.(q|k)_proj)"}) {
    CAPTURE(pattern);
    CHECK(matches_pattern(pattern, module));
  }
  for (const char* pattern : {"proj", "attn.q_proj", "q_pro", "layers.1.self_attn.q_proj", "1.self_attn.q_proj",
                              "^q_proj", "q_proj.", "", "xmodel.layers.11.self_attn.q_proj", "k_proj|v_proj"}) {
    CAPTURE(pattern);
    CHECK_FALSE(matches_pattern(pattern, module));
  }
  CHECK(matches_pattern("a", "a"));
}

TEST_CASE("lora patterns: targets are ends of paths, one expression for whole paths, or everything") {
  lora_weights adapter;
  CHECK_FALSE(is_target(adapter, "model.layers.0.mlp.up_proj"));
  adapter.target_modules = {"up_proj", "layers.1.mlp.down_proj"};
  CHECK(is_target(adapter, "model.layers.0.mlp.up_proj"));
  CHECK(is_target(adapter, "up_proj"));
  CHECK(is_target(adapter, "model.layers.1.mlp.down_proj"));
  CHECK_FALSE(is_target(adapter, "model.layers.11.mlp.down_proj"));
  CHECK_FALSE(is_target(adapter, "model.layers.0.mlp.xup_proj"));
  adapter.target_pattern = R"(.*\.0\..*_proj)";
  CHECK(is_target(adapter, "model.layers.0.mlp.gate_proj"));
  CHECK_FALSE(is_target(adapter, "model.layers.1.mlp.up_proj"));
  adapter.target_pattern = "all-linear";
  CHECK(is_target(adapter, "model.layers.1.mlp.gate_proj"));
}

TEST_CASE("lora patterns: an adapter that is the same everywhere needs none") {
  described_adapter d;
  for (int layer = 0; layer < 3; ++layer)
    for (const char* linear : {"self_attn.q_proj", "mlp.up_proj"}) d.add(path(layer, linear), 4, 2.5);
  d.describe(3);
  CHECK(d.adapter.rank == 4);
  CHECK(d.adapter.alpha == 10);
  CHECK(d.adapter.rank_pattern.empty());
  CHECK(d.adapter.alpha_pattern.empty());
  CHECK(d.adapter.target_modules == names{"q_proj", "up_proj"});
  d.check();

  // In a model of more layers the names alone would say too much.
  d.describe(4);
  CHECK(d.adapter.target_modules.size() == 6);
  CHECK(d.adapter.target_modules.front() == path(0, "mlp.up_proj"));
  d.check();
}

TEST_CASE(
    "lora patterns: a linear's name takes one pattern where its layers agree, a module its own where they do not") {
  described_adapter d;
  for (int layer = 0; layer < 12; ++layer) {
    d.add(path(layer, "self_attn.q_proj"), 8, 2);  // rank 8, alpha 16: the commonest
    d.add(path(layer, "self_attn.k_proj"), 8, 2);
    d.add(path(layer, "mlp.up_proj"), 3, 16.0 / 3);  // rank 3, alpha 16
    d.add(path(layer, "mlp.gate_proj"), layer == 1 ? 5 : 8, layer == 1 ? 16.0 / 5 : 2);
    d.add(path(layer, "mlp.down_proj"), 8, layer == 11 ? 0.5 : 2);  // alpha 4 in the last layer
  }
  d.describe(12);
  CHECK(d.adapter.rank == 8);
  CHECK(d.adapter.alpha == 16);
  CHECK(d.adapter.rank_pattern == ranks{{"up_proj", 3}, {path(1, "mlp.gate_proj"), 5}});
  CHECK(d.adapter.alpha_pattern == alphas{{path(11, "mlp.down_proj"), 4}});
  d.check();
}

TEST_CASE("lora patterns: rank-stabilised scales give whole alphas again") {
  described_adapter d;
  d.adapter.use_rslora = true;
  for (const std::int64_t rank : {3, 5, 7, 16})
    d.add("m" + std::to_string(rank), rank, 12 / std::sqrt(static_cast<double>(rank)));
  d.describe(1);
  CHECK(d.adapter.alpha == 12);
  CHECK(d.adapter.alpha_pattern.empty());
  CHECK(d.adapter.rank_pattern.size() == 3);
  d.check();
}

TEST_CASE("lora patterns: every module needs a scale, and no module needs nothing") {
  described_adapter d;
  d.add("a", 2, 1);
  d.scales.clear();
  CHECK_THROWS_AS(d.describe(1), coho::argument_error);
  lora_weights empty;
  empty.rank_pattern = {{"x", 2}};
  infer_lora_config(empty, {}, 3);
  CHECK(empty.rank_pattern.empty());
  CHECK(empty.target_modules.empty());
}
