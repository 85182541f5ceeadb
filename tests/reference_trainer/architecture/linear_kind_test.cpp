#include "architecture/linear_kind.hpp"

#include <array>
#include <string>
#include <utility>

#include "support/catch.hpp"

using namespace coho::trainer;

TEST_CASE("linear kinds: each has its path, name and shape") {
  llama_config model;
  model.hidden_size = 8, model.intermediate_size = 12;
  model.num_attention_heads = 3, model.num_key_value_heads = 1, model.head_dim = 4;
  const std::pair<std::string, std::array<std::int64_t, 2>> expected[linear_kinds] = {
      {"self_attn.q_proj", {12, 8}}, {"self_attn.k_proj", {4, 8}}, {"self_attn.v_proj", {4, 8}},
      {"self_attn.o_proj", {8, 12}}, {"mlp.gate_proj", {12, 8}},   {"mlp.up_proj", {12, 8}},
      {"mlp.down_proj", {8, 12}}};
  for (std::size_t i = 0; i < linear_kinds; ++i) {
    const auto kind = static_cast<linear_kind>(i);
    CHECK(linear_path(kind) == expected[i].first);
    CHECK((linear_shape(model, kind) == expected[i].second));
  }
  model.query_key_value_bias = true;
  CHECK(linear_has_bias(model, linear_kind::q));
  CHECK(linear_has_bias(model, linear_kind::v));
  CHECK_FALSE(linear_has_bias(model, linear_kind::o));
  model.mlp_bias = true;
  CHECK(linear_has_bias(model, linear_kind::down));
  CHECK(linear_name(linear_kind::o) == "o_proj");
  CHECK(linear_name(linear_kind::down) == "down_proj");
}
