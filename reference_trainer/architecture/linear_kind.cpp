#include "architecture/linear_kind.hpp"

namespace coho::trainer {

const char* linear_path(linear_kind kind) {
  static constexpr const char* paths[] = {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj",
                                          "self_attn.o_proj", "mlp.gate_proj",    "mlp.up_proj",
                                          "mlp.down_proj"};
  return paths[static_cast<std::size_t>(kind)];
}

std::string_view linear_name(linear_kind kind) {
  const std::string_view path = linear_path(kind);
  return path.substr(path.rfind('.') + 1);
}

std::array<std::int64_t, 2> linear_shape(const llama_config& config, linear_kind kind) {
  const std::int64_t hidden = config.hidden_size, inner = config.intermediate_size;
  switch (kind) {
    case linear_kind::q:
      return {config.query_size(), hidden};
    case linear_kind::k:
    case linear_kind::v:
      return {config.key_value_size(), hidden};
    case linear_kind::o:
      return {hidden, config.query_size()};
    case linear_kind::gate:
    case linear_kind::up:
      return {inner, hidden};
    case linear_kind::down:
      return {hidden, inner};
  }
  return {};
}

bool linear_has_bias(const llama_config& config, linear_kind kind) {
  switch (kind) {
    case linear_kind::q:
    case linear_kind::k:
    case linear_kind::v:
      return config.query_key_value_bias;
    case linear_kind::o:
      return config.output_bias;
    case linear_kind::gate:
    case linear_kind::up:
    case linear_kind::down:
      return config.mlp_bias;
  }
  return false;
}

}  // namespace coho::trainer
