#include "architecture/config.hpp"

#include <array>
#include <cmath>
#include <limits>
#include <utility>

#include <nlohmann/json.hpp>

#include <coho/error.hpp>

#include "architecture/model_type.hpp"
#include "files/json_file.hpp"
#include "files/json_part.hpp"

namespace coho::trainer {
namespace {

constexpr std::array<std::pair<std::string_view, rope_type>, 5> rope_names{{{"default", rope_type::none},
                                                                            {"linear", rope_type::linear},
                                                                            {"dynamic", rope_type::dynamic},
                                                                            {"llama3", rope_type::llama3},
                                                                            {"yarn", rope_type::yarn}}};

/// Reads the rotary options of either spelling, with the defaults of transformers.
rope_options read_rope(const json_part& config) {
  // Like transformers reads files that have both: the older one, if it is set at all, takes precedence entirely.
  const auto is_set = [&](const char* field) {
    const auto* value = config.find(field);
    return value && !(value->is_object() && value->empty());
  };
  const char* name = is_set("rope_scaling") ? "rope_scaling" : "rope_parameters";
  rope_options rope;
  rope.theta = config.positive("rope_theta", rope.theta);
  if (!is_set(name)) return rope;
  const auto* object = config.find(name);
  if (!object->is_object()) config.refuse_member(name, "must be an object");
  const auto fields = config.at(name);
  rope.theta = fields.positive("rope_theta", rope.theta);

  const bool newer = fields.find("rope_type") != nullptr;
  const auto type = newer ? fields.text("rope_type", "") : fields.text("type", "");
  const auto* found = rope_names.begin();
  while (found != rope_names.end() && found->first != type) ++found;
  if (type.empty() && std::string_view(name) == "rope_parameters") found = rope_names.begin();
  if (found == rope_names.end()) {
    fields.refuse_member(newer ? "rope_type" : "type", "the rope type \"" + type + "\" is not supported",
                         "supported are default, linear, dynamic, llama3 and yarn");
  }
  rope.type = found->second;
  if (rope.type == rope_type::none) return rope;

  const auto context = fields.find("original_max_position_embeddings")
                           ? fields.integer("original_max_position_embeddings", 0, 1, 1LL << 40)
                           : config.integer("original_max_position_embeddings", 0, 0, 1LL << 40);
  rope.original_max_position_embeddings = context;
  auto factor = fields.optional_number("factor");
  if (!factor && rope.type == rope_type::yarn && context > 0) {
    if (config.has("max_position_embeddings"))
      factor = static_cast<double>(config.at("max_position_embeddings").integer()) / static_cast<double>(context);
  }
  if (!factor) fields.refuse_member("factor", "is missing");
  if (!(*factor >= 1)) fields.refuse_member("factor", "must be at least 1");
  rope.factor = *factor;

  if (rope.type == rope_type::llama3) {
    for (const char* field : {"low_freq_factor", "high_freq_factor", "original_max_position_embeddings"}) {
      if (!fields.find(field)) fields.refuse_member(field, "is missing");
    }
    rope.low_freq_factor = fields.positive("low_freq_factor", 0);
    rope.high_freq_factor = fields.positive("high_freq_factor", 0);
    if (!(rope.high_freq_factor > rope.low_freq_factor))
      fields.refuse_member("high_freq_factor", "must be above low_freq_factor");
  }
  if (rope.type == rope_type::yarn) {
    rope.beta_fast = fields.positive("beta_fast", rope.beta_fast);
    rope.beta_slow = fields.positive("beta_slow", rope.beta_slow);
    if (rope.beta_fast < rope.beta_slow) fields.refuse_member("beta_fast", "must not be below beta_slow");
    rope.truncate = fields.boolean("truncate", true);
    if (fields.find("attention_factor")) rope.attention_factor = fields.positive("attention_factor", 0);
    rope.mscale = fields.optional_number("mscale");
    rope.mscale_all_dim = fields.optional_number("mscale_all_dim");
    if (rope.theta <= 1)
      (config.value().contains("rope_theta") ? config : fields).refuse_member("rope_theta", "must be above 1 for yarn");
  }
  return rope;
}

/// Fills model_type and architecture; each can be derived from the other.
const model_type& read_architecture(llama_config& config, const json_part& fields) {
  const auto name = fields.text("model_type", "");
  const model_type* type = nullptr;
  if (const auto* list = fields.find("architectures")) {
    if (!list->is_array() || list->empty() || !list->front().is_string()) {
      fields.refuse_member("architectures", "must be a list of names");
    }
    config.architecture = list->front().get<std::string>();
    type = find_architecture(config.architecture);
    if (!type) {
      fields.refuse_member(
          "architectures", "the architecture " + config.architecture + " is not supported",
          "supported are " + supported_architectures() + ", and their ForSequenceClassification forms");
    }
    if (!name.empty() && name != type->name) {
      fields.refuse_member("model_type", "\"" + name + "\" contradicts the architecture " + config.architecture);
    }
  } else {
    if (name.empty()) fields.refuse_member("model_type", "is missing, and so is architectures");
    type = find_model_type(name);
    if (!type) {
      fields.refuse_member("model_type", "the model type \"" + name + "\" is not supported",
                           "supported are " + supported_model_types());
    }
    config.architecture = std::string(type->prefix) + "ForCausalLM";
  }
  config.model_type = type->name;
  return *type;
}

/// The window of all blocks. Blocks that attend differently would need a cache and a plan each, and are refused.
void read_sliding_window(llama_config& config, const json_part& fields, const model_type& type) {
  const char* const field = "sliding_window";
  if (type.sliding_window && !fields.is_null(field)) config.sliding_window = fields.integer(field, 4096, 1, 1LL << 40);
  if (type.sliding_window_option && fields.boolean("use_sliding_window", false) && !fields.is_null(field)) {
    const auto first = fields.integer("max_window_layers", 28, 0, 1LL << 14);
    if (first == 0) config.sliding_window = fields.integer(field, 4096, 1, 1LL << 40);
    if (first > 0 && first < config.num_hidden_layers)
      fields.refuse_member("max_window_layers", "a sliding window in some of the blocks is not supported");
  }
  const auto* kinds = fields.find("layer_types");
  if (!kinds) return;
  const char* const expected = config.sliding_window ? "sliding_attention" : "full_attention";
  for (const auto& kind : *kinds) {
    if (kind != expected)
      fields.refuse_member("layer_types", "is " + kind.dump() + " for some block, but the other fields say \"" +
                                              expected +
                                              "\" for all: attention that differs between blocks is not supported");
  }
}

/// Which linears have biases, and whether q and k have norms; a bias that the model type does not have is refused.
void read_biases(llama_config& config, const json_part& fields, const model_type& type) {
  const bool attention = fields.boolean("attention_bias", false), mlp = fields.boolean("mlp_bias", false);
  const auto unsupported = [&](const char* field) {
    fields.refuse_member(field, "a model of type " + config.model_type + " has no such biases");
  };
  if (attention && !type.attention_bias_option && !type.query_key_value_bias) unsupported("attention_bias");
  if (mlp && !type.mlp_bias_option) unsupported("mlp_bias");
  config.query_key_value_bias = type.query_key_value_bias || attention;
  config.output_bias = type.attention_bias_option && attention;
  config.mlp_bias = mlp;
  config.query_key_norm = type.query_key_norm;
}

/// Fills the ids of the begin, end and padding tokens; an id outside the vocabulary is refused.
void read_special_tokens(llama_config& config, const json_part& fields, const model_type& type) {
  using optional_id = std::optional<std::int64_t>;
  // Some published files use −1 for "none".
  const auto read_id = [&](const char* field, std::optional<std::int64_t> absent) -> std::optional<std::int64_t> {
    auto id = fields.optional_integer(field);
    if (!id && !fields.is_null(field) && absent && *absent < config.vocab_size) id = absent;
    if (id && *id < 0) return std::nullopt;
    if (id && *id >= config.vocab_size) fields.refuse_member(field, std::to_string(*id) + " is not below vocab_size");
    return id;
  };
  config.bos_token_id = read_id("bos_token_id", type.begin_and_end_tokens ? optional_id(1) : std::nullopt);
  config.pad_token_id = read_id("pad_token_id", std::nullopt);
  config.eos_token_ids.clear();
  if (const auto* list = fields.find("eos_token_id"); list && list->is_array()) {
    for (const auto& item : fields.items("eos_token_id")) {
      const auto id = item.integer();
      if (id < 0 || id >= config.vocab_size)
        fields.refuse_member("eos_token_id", std::to_string(id) + " is not below vocab_size");
      config.eos_token_ids.push_back(id);
    }
  } else if (const auto id = read_id("eos_token_id", type.begin_and_end_tokens ? optional_id(2) : std::nullopt)) {
    config.eos_token_ids.push_back(*id);
  }
}

/// Fills the quantisation of a packed checkpoint; anything but bitsandbytes' NF4 is refused.
void read_quantization(llama_config& config, const json_part& fields) {
  const auto* object = fields.find("quantization_config");
  if (!object) return;
  if (!object->is_object()) fields.refuse_member("quantization_config", "must be an object");
  const auto inner = fields.at("quantization_config");
  auto method = inner.text("quant_method", "");
  if (method.empty() && inner.boolean("load_in_4bit", false)) method = "bitsandbytes";
  if (method != "bitsandbytes" || !inner.boolean("load_in_4bit", false) ||
      inner.text("bnb_4bit_quant_type", "") != "nf4") {
    inner.refuse_member("quant_method", "the quantisation \"" + method + "\" is not supported",
                        "only bitsandbytes is supported, with load_in_4bit and bnb_4bit_quant_type nf4");
  }
  config.quantization = method;
  config.double_quantization = inner.boolean("bnb_4bit_use_double_quant", false);
}

}  // namespace

std::int64_t llama_config::norm_and_bias_count() const noexcept {
  const auto biases = (query_key_value_bias ? query_size() + 2 * key_value_size() : 0) +
                      (output_bias ? hidden_size : 0) + (mlp_bias ? 2 * intermediate_size + hidden_size : 0);
  const auto norms = 2 * hidden_size + (query_key_norm ? 2 * head_dim : 0);
  return num_hidden_layers * (norms + biases) + hidden_size;
}

std::int64_t llama_config::parameter_count() const noexcept {
  const auto attention = hidden_size * (2 * query_size() + 2 * key_value_size());
  const auto linears = num_hidden_layers * (attention + 3 * hidden_size * intermediate_size);
  const auto head = sequence_classification() ? hidden_size : tie_word_embeddings ? 0 : vocab_size * hidden_size;
  return vocab_size * hidden_size + linears + norm_and_bias_count() + head;
}

llama_config llama_config::from_file(const std::filesystem::path& path) {
  return from_json(read_json(path, std::size_t{16} << 20), path.string());
}

llama_config llama_config::from_json(const nlohmann::json& json, std::string_view path) {
  if (!json.is_object()) throw file_error(path, "", "is not a JSON object");
  const json_part fields(json, path);
  llama_config config;
  const coho::trainer::model_type& type = read_architecture(config, fields);

  config.vocab_size = fields.integer("vocab_size", type.vocab_size, 1, 1LL << 30);
  config.hidden_size = fields.integer("hidden_size", 4096, 1, 1 << 20);
  config.intermediate_size = fields.integer("intermediate_size", type.intermediate_size, 1, 1 << 22);
  config.num_hidden_layers = fields.integer("num_hidden_layers", 32, 1, 1 << 14);
  config.num_attention_heads = fields.integer("num_attention_heads", 32, 1, 1 << 14);
  const bool as_many = type.num_key_value_heads == 0 || fields.is_null("num_key_value_heads");
  const auto key_value_default = as_many ? config.num_attention_heads : type.num_key_value_heads;
  config.num_key_value_heads = fields.integer("num_key_value_heads", key_value_default, 1, config.num_attention_heads);
  if (config.num_attention_heads % config.num_key_value_heads != 0) {
    fields.refuse_member("num_key_value_heads", "must divide num_attention_heads");
  }
  const bool derived = type.head_dim == 0 || fields.is_null("head_dim");
  if (derived && !fields.find("head_dim") && config.hidden_size % config.num_attention_heads != 0) {
    fields.refuse_member("hidden_size", "must be a multiple of num_attention_heads when head_dim is absent");
  }
  const auto depth = derived ? config.hidden_size / config.num_attention_heads : type.head_dim;
  config.head_dim = fields.integer("head_dim", depth, 1, 1 << 16);
  if (config.head_dim % 2 != 0) fields.refuse_member("head_dim", "must be even, for rotary embeddings");
  config.max_position_embeddings =
      fields.integer("max_position_embeddings", type.max_position_embeddings, 1, 1LL << 40);
  config.rms_norm_eps = fields.positive("rms_norm_eps", 1e-6);
  if (config.rms_norm_eps > 1) fields.refuse_member("rms_norm_eps", "must not be above 1");
  config.rope = read_rope(fields);
  read_sliding_window(config, fields, type);
  read_biases(config, fields, type);
  config.tie_word_embeddings = fields.boolean("tie_word_embeddings", false);
  const auto activation = fields.text("hidden_act", "");
  if (!activation.empty() && activation != "silu" && activation != "swish") {
    fields.refuse_member("hidden_act", "the activation \"" + activation + "\" is not supported",
                         "only silu is supported");
  }
  read_special_tokens(config, fields, type);
  config.torch_dtype = fields.find("dtype") ? fields.text("dtype", "") : fields.text("torch_dtype", "");
  read_quantization(config, fields);
  return config;
}

nlohmann::json llama_config::to_json() const {
  nlohmann::json json{{"architectures", {architecture}},
                      {"model_type", model_type},
                      {"vocab_size", vocab_size},
                      {"hidden_size", hidden_size},
                      {"intermediate_size", intermediate_size},
                      {"num_hidden_layers", num_hidden_layers},
                      {"num_attention_heads", num_attention_heads},
                      {"num_key_value_heads", num_key_value_heads},
                      {"head_dim", head_dim},
                      {"max_position_embeddings", max_position_embeddings},
                      {"rms_norm_eps", rms_norm_eps},
                      {"rope_theta", rope.theta},
                      {"rope_scaling", nullptr},
                      {"hidden_act", "silu"},
                      {"tie_word_embeddings", tie_word_embeddings},
                      {"bos_token_id", nullptr},
                      {"eos_token_id", nullptr},
                      {"pad_token_id", nullptr}};
  if (bos_token_id) json["bos_token_id"] = *bos_token_id;
  if (pad_token_id) json["pad_token_id"] = *pad_token_id;
  if (eos_token_ids.size() == 1) json["eos_token_id"] = eos_token_ids.front();
  if (eos_token_ids.size() > 1) json["eos_token_id"] = eos_token_ids;
  if (!torch_dtype.empty()) json["torch_dtype"] = torch_dtype;
  const coho::trainer::model_type& type = *find_model_type(model_type);
  if (type.attention_bias_option) json["attention_bias"] = query_key_value_bias;
  if (type.mlp_bias_option) json["mlp_bias"] = mlp_bias;
  if (type.sliding_window || type.sliding_window_option)
    json["sliding_window"] = sliding_window ? nlohmann::json(*sliding_window) : nlohmann::json();
  if (type.sliding_window_option) {
    json["use_sliding_window"] = sliding_window.has_value();
    json["max_window_layers"] = sliding_window ? 0 : num_hidden_layers;
  }
  if (sequence_classification()) json["num_labels"] = 1, json["id2label"] = {{"0", "LABEL_0"}};
  if (!quantization.empty()) {
    json["quantization_config"] = {{"quant_method", quantization},
                                   {"load_in_4bit", true},
                                   {"load_in_8bit", false},
                                   {"bnb_4bit_quant_type", "nf4"},
                                   {"bnb_4bit_use_double_quant", double_quantization},
                                   {"bnb_4bit_quant_storage", "uint8"},
                                   {"bnb_4bit_compute_dtype", torch_dtype.empty() ? "bfloat16" : torch_dtype}};
  }
  if (rope.type == rope_type::none) return json;

  nlohmann::json scaling{{"rope_type", rope_names[static_cast<std::size_t>(rope.type)].first}, {"factor", rope.factor}};
  if (rope.original_max_position_embeddings > 0) {
    scaling["original_max_position_embeddings"] = rope.original_max_position_embeddings;
  }
  if (rope.type == rope_type::llama3) {
    scaling["low_freq_factor"] = rope.low_freq_factor;
    scaling["high_freq_factor"] = rope.high_freq_factor;
  }
  if (rope.type == rope_type::yarn) {
    scaling["beta_fast"] = rope.beta_fast;
    scaling["beta_slow"] = rope.beta_slow;
    scaling["truncate"] = rope.truncate;
    if (rope.attention_factor) scaling["attention_factor"] = *rope.attention_factor;
    if (rope.mscale) scaling["mscale"] = *rope.mscale;
    if (rope.mscale_all_dim) scaling["mscale_all_dim"] = *rope.mscale_all_dim;
  }
  json["rope_scaling"] = std::move(scaling);
  return json;
}

}  // namespace coho::trainer
