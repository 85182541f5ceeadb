#include "architecture/config.hpp"

#include <array>
#include <cmath>
#include <limits>
#include <utility>

#include <nlohmann/json.hpp>

#include <coho/error.hpp>

#include "architecture/model_type.hpp"
#include "files/json_file.hpp"

namespace coho::trainer {
namespace {

constexpr std::array<std::pair<std::string_view, rope_type>, 5> rope_names{{{"default", rope_type::none},
                                                                            {"linear", rope_type::linear},
                                                                            {"dynamic", rope_type::dynamic},
                                                                            {"llama3", rope_type::llama3},
                                                                            {"yarn", rope_type::yarn}}};

/// Typed reads of one JSON object; a null field counts as absent.
class field_reader {
 public:
  field_reader(const nlohmann::json& object, std::string_view path, std::string prefix = {})
      : object_(object), path_(path), prefix_(std::move(prefix)) {}

  [[noreturn]] void refuse(std::string_view field, std::string_view what, std::string_view mend = {}) const {
    throw file_error(path_, prefix_ + std::string(field), what, mend);
  }

  const nlohmann::json* find(const char* field) const {
    const auto found = object_.find(field);
    return found == object_.end() || found->is_null() ? nullptr : &*found;
  }
  bool is_null(const char* field) const { return object_.contains(field) && object_[field].is_null(); }

  std::int64_t integer(const char* field, const nlohmann::json& value) const {
    if (!value.is_number_integer() ||
        (value.is_number_unsigned() && value.get<std::uint64_t>() > std::numeric_limits<std::int64_t>::max())) {
      refuse(field, "must be an integer");
    }
    return value.get<std::int64_t>();
  }
  std::optional<std::int64_t> integer(const char* field) const {
    const auto* value = find(field);
    return value ? std::optional(integer(field, *value)) : std::nullopt;
  }
  /// An integer in [low, high].
  std::int64_t integer(const char* field, std::int64_t absent, std::int64_t low, std::int64_t high) const {
    const auto value = integer(field).value_or(absent);
    if (value < low || value > high) {
      refuse(field, std::to_string(value) + " is outside " + std::to_string(low) + " to " + std::to_string(high));
    }
    return value;
  }
  std::optional<double> number(const char* field) const {
    const auto* value = find(field);
    if (!value) return std::nullopt;
    if (!value->is_number() || !std::isfinite(value->get<double>())) refuse(field, "must be a number");
    return value->get<double>();
  }
  double positive(const char* field, double absent) const {
    const auto value = number(field).value_or(absent);
    if (!(value > 0)) refuse(field, "must be above 0");
    return value;
  }
  bool truth(const char* field, bool absent) const {
    const auto* value = find(field);
    if (!value) return absent;
    if (!value->is_boolean()) refuse(field, "must be true or false");
    return value->get<bool>();
  }
  std::string text(const char* field) const {
    const auto* value = find(field);
    if (!value) return {};
    if (!value->is_string()) refuse(field, "must be a string");
    return value->get<std::string>();
  }

 private:
  const nlohmann::json& object_;
  std::string_view path_;
  std::string prefix_;
};

rope_options read_rope(const nlohmann::json& json, const field_reader& config, std::string_view path) {
  // Like transformers reads files that have both: the older one, if it is set at all, takes precedence entirely.
  const auto says = [&](const char* field) {
    const auto* value = config.find(field);
    return value && !(value->is_object() && value->empty());
  };
  const char* name = says("rope_scaling") ? "rope_scaling" : "rope_parameters";
  rope_options rope;
  rope.theta = config.positive("rope_theta", rope.theta);
  if (!says(name)) return rope;
  const auto* object = config.find(name);
  if (!object->is_object()) config.refuse(name, "must be an object");
  const field_reader fields(*object, path, std::string(name) + ".");
  rope.theta = fields.positive("rope_theta", rope.theta);

  const bool newer = fields.find("rope_type") != nullptr;
  const auto type = newer ? fields.text("rope_type") : fields.text("type");
  const auto* found = rope_names.begin();
  while (found != rope_names.end() && found->first != type) ++found;
  if (type.empty() && std::string_view(name) == "rope_parameters") found = rope_names.begin();
  if (found == rope_names.end()) {
    fields.refuse(newer ? "rope_type" : "type", "the rope type \"" + type + "\" is not supported",
                  "supported are default, linear, dynamic, llama3 and yarn");
  }
  rope.type = found->second;
  if (rope.type == rope_type::none) return rope;

  const auto context = fields.find("original_max_position_embeddings")
                           ? fields.integer("original_max_position_embeddings", 0, 1, 1LL << 40)
                           : config.integer("original_max_position_embeddings", 0, 0, 1LL << 40);
  rope.original_max_position_embeddings = context;
  auto factor = fields.number("factor");
  if (!factor && rope.type == rope_type::yarn && context > 0) {
    const auto* length = config.find("max_position_embeddings");
    if (length)
      factor = static_cast<double>(config.integer("max_position_embeddings", *length)) / static_cast<double>(context);
  }
  if (!factor) fields.refuse("factor", "is missing");
  if (!(*factor >= 1)) fields.refuse("factor", "must be at least 1");
  rope.factor = *factor;

  if (rope.type == rope_type::llama3) {
    for (const char* field : {"low_freq_factor", "high_freq_factor", "original_max_position_embeddings"}) {
      if (!fields.find(field)) fields.refuse(field, "is missing");
    }
    rope.low_freq_factor = fields.positive("low_freq_factor", 0);
    rope.high_freq_factor = fields.positive("high_freq_factor", 0);
    if (!(rope.high_freq_factor > rope.low_freq_factor))
      fields.refuse("high_freq_factor", "must be above low_freq_factor");
  }
  if (rope.type == rope_type::yarn) {
    rope.beta_fast = fields.positive("beta_fast", rope.beta_fast);
    rope.beta_slow = fields.positive("beta_slow", rope.beta_slow);
    if (rope.beta_fast < rope.beta_slow) fields.refuse("beta_fast", "must not be below beta_slow");
    rope.truncate = fields.truth("truncate", true);
    if (fields.find("attention_factor")) rope.attention_factor = fields.positive("attention_factor", 0);
    rope.mscale = fields.number("mscale");
    rope.mscale_all_dim = fields.number("mscale_all_dim");
    if (rope.theta <= 1)
      (json.contains("rope_theta") ? config : fields).refuse("rope_theta", "must be above 1 for yarn");
  }
  return rope;
}

/// Fills model_type and architecture; each can be derived from the other.
const model_type& read_architecture(llama_config& config, const field_reader& fields) {
  const auto name = fields.text("model_type");
  const model_type* type = nullptr;
  if (const auto* list = fields.find("architectures")) {
    if (!list->is_array() || list->empty() || !list->front().is_string()) {
      fields.refuse("architectures", "must be a list of names");
    }
    config.architecture = list->front().get<std::string>();
    type = find_architecture(config.architecture);
    if (!type) {
      fields.refuse("architectures", "the architecture " + config.architecture + " is not supported",
                    "supported are " + supported_architectures() + ", and their ForSequenceClassification forms");
    }
    if (!name.empty() && name != type->name) {
      fields.refuse("model_type", "\"" + name + "\" contradicts the architecture " + config.architecture);
    }
  } else {
    if (name.empty()) fields.refuse("model_type", "is missing, and so is architectures");
    type = find_model_type(name);
    if (!type) {
      fields.refuse("model_type", "the model type \"" + name + "\" is not supported",
                    "supported are " + supported_model_types());
    }
    config.architecture = std::string(type->prefix) + "ForCausalLM";
  }
  config.model_type = type->name;
  return *type;
}

/// Blocks that attend differently would need a cache and a plan each: refused.
void read_sliding_window(llama_config& config, const field_reader& fields, const model_type& type) {
  const char* const field = "sliding_window";
  if (type.sliding_window && !fields.is_null(field)) config.sliding_window = fields.integer(field, 4096, 1, 1LL << 40);
  if (type.sliding_window_option && fields.truth("use_sliding_window", false) && !fields.is_null(field)) {
    const auto first = fields.integer("max_window_layers", 28, 0, 1LL << 14);
    if (first == 0) config.sliding_window = fields.integer(field, 4096, 1, 1LL << 40);
    if (first > 0 && first < config.num_hidden_layers)
      fields.refuse("max_window_layers", "a sliding window in some of the blocks is not supported");
  }
  const auto* kinds = fields.find("layer_types");
  if (!kinds) return;
  const char* const expected = config.sliding_window ? "sliding_attention" : "full_attention";
  for (const auto& kind : *kinds) {
    if (kind != expected)
      fields.refuse("layer_types", "is " + kind.dump() + " for some block, but the other fields say \"" + expected +
                                       "\" for all: attention that differs between blocks is not supported");
  }
}

void read_biases(llama_config& config, const field_reader& fields, const model_type& type) {
  const bool attention = fields.truth("attention_bias", false), mlp = fields.truth("mlp_bias", false);
  const auto unsupported = [&](const char* field) {
    fields.refuse(field, "a model of type " + config.model_type + " has no such biases");
  };
  if (attention && !type.attention_bias_option && !type.query_key_value_bias) unsupported("attention_bias");
  if (mlp && !type.mlp_bias_option) unsupported("mlp_bias");
  config.query_key_value_bias = type.query_key_value_bias || attention;
  config.output_bias = type.attention_bias_option && attention;
  config.mlp_bias = mlp;
  config.query_key_norm = type.query_key_norm;
}

void read_special_tokens(llama_config& config, const field_reader& fields, const model_type& type) {
  using optional_id = std::optional<std::int64_t>;
  // Some published files use −1 for "none".
  const auto one = [&](const char* field, std::optional<std::int64_t> absent) -> std::optional<std::int64_t> {
    auto id = fields.is_null(field) ? std::nullopt : fields.integer(field);
    if (!id && !fields.is_null(field) && absent && *absent < config.vocab_size) id = absent;
    if (id && *id < 0) return std::nullopt;
    if (id && *id >= config.vocab_size) fields.refuse(field, std::to_string(*id) + " is not below vocab_size");
    return id;
  };
  config.bos_token_id = one("bos_token_id", type.begin_and_end_tokens ? optional_id(1) : std::nullopt);
  config.pad_token_id = one("pad_token_id", std::nullopt);
  config.eos_token_ids.clear();
  if (const auto* list = fields.find("eos_token_id"); list && list->is_array()) {
    for (const auto& item : *list) {
      const auto id = fields.integer("eos_token_id", item);
      if (id < 0 || id >= config.vocab_size)
        fields.refuse("eos_token_id", std::to_string(id) + " is not below vocab_size");
      config.eos_token_ids.push_back(id);
    }
  } else if (const auto id = one("eos_token_id", type.begin_and_end_tokens ? optional_id(2) : std::nullopt)) {
    config.eos_token_ids.push_back(*id);
  }
}

void read_quantization(llama_config& config, const field_reader& fields, std::string_view path) {
  const auto* object = fields.find("quantization_config");
  if (!object) return;
  if (!object->is_object()) fields.refuse("quantization_config", "must be an object");
  const field_reader inner(*object, path, "quantization_config.");
  auto method = inner.text("quant_method");
  if (method.empty() && inner.truth("load_in_4bit", false)) method = "bitsandbytes";
  if (method != "bitsandbytes" || !inner.truth("load_in_4bit", false) || inner.text("bnb_4bit_quant_type") != "nf4") {
    inner.refuse("quant_method", "the quantisation \"" + method + "\" is not supported",
                 "only bitsandbytes is supported, with load_in_4bit and bnb_4bit_quant_type nf4");
  }
  config.quantization = method;
  config.double_quantization = inner.truth("bnb_4bit_use_double_quant", false);
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
  const field_reader fields(json, path);
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
    fields.refuse("num_key_value_heads", "must divide num_attention_heads");
  }
  const bool derived = type.head_dim == 0 || fields.is_null("head_dim");
  if (derived && !fields.find("head_dim") && config.hidden_size % config.num_attention_heads != 0) {
    fields.refuse("hidden_size", "must be a multiple of num_attention_heads when head_dim is absent");
  }
  const auto depth = derived ? config.hidden_size / config.num_attention_heads : type.head_dim;
  config.head_dim = fields.integer("head_dim", depth, 1, 1 << 16);
  if (config.head_dim % 2 != 0) fields.refuse("head_dim", "must be even, for rotary embeddings");
  config.max_position_embeddings =
      fields.integer("max_position_embeddings", type.max_position_embeddings, 1, 1LL << 40);
  config.rms_norm_eps = fields.positive("rms_norm_eps", 1e-6);
  if (config.rms_norm_eps > 1) fields.refuse("rms_norm_eps", "must not be above 1");
  config.rope = read_rope(json, fields, path);
  read_sliding_window(config, fields, type);
  read_biases(config, fields, type);
  config.tie_word_embeddings = fields.truth("tie_word_embeddings", false);
  const auto activation = fields.text("hidden_act");
  if (!activation.empty() && activation != "silu" && activation != "swish") {
    fields.refuse("hidden_act", "the activation \"" + activation + "\" is not supported", "only silu is supported");
  }
  read_special_tokens(config, fields, type);
  config.torch_dtype = fields.find("dtype") ? fields.text("dtype") : fields.text("torch_dtype");
  read_quantization(config, fields, path);
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
