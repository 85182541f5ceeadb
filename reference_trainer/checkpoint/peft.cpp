#include "checkpoint/peft.hpp"

#include <cmath>
#include <limits>
#include <optional>
#include <regex>

#include <nlohmann/json.hpp>

#include <coho/error.hpp>

#include "architecture/module_pattern.hpp"
#include "checkpoint/hf_names.hpp"
#include "checkpoint/lora_patterns.hpp"
#include "checkpoint/tensor_io.hpp"
#include "files/atomic_file.hpp"
#include "files/json_file.hpp"
#include "files/json_part.hpp"

namespace coho::trainer {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view base_prefix = "base_model.model.";
constexpr const char* config_name = "adapter_config.json";
constexpr const char* weights_name = "adapter_model.safetensors";

/// Where PEFT stores an adapter: "default" in the folder itself, others in sub-folders. Names that could lead out of
/// the folder are refused.
fs::path adapter_directory(const fs::path& directory, const std::string& name) {
  require_argument(!name.empty() && name.find_first_of("/\\") == std::string::npos && name != "." && name != "..",
                   "the adapter name \"" + name + "\" is not a plain name");
  return name == "default" ? directory : directory / name;
}

/// Reads adapter_config.json, whose fields may be absent or null.
class adapter_config_reader {
 public:
  // Ordered, because the first matching pattern applies.
  adapter_config_reader(const fs::path& path)
      : path_(path.string()), json_(read_ordered_json(path, std::size_t{16} << 20)), fields_(json_, path_) {
    if (!json_.is_object()) fields_.refuse("is not a JSON object");
  }
  adapter_config_reader(const adapter_config_reader&) = delete;

  // The configuration as an adapter without matrices.
  lora_weights read() const {
    refuse_variants();
    lora_weights adapter;
    const double rank = fields_.optional_number("r").value_or(8);
    if (!(rank >= 1 && rank <= 65536) || rank != std::floor(rank))
      fields_.refuse_member("r", "must be a whole number from 1 to 65536");
    adapter.rank = static_cast<std::int64_t>(rank);
    adapter.alpha = fields_.optional_number("lora_alpha").value_or(8);
    check_alpha("lora_alpha", adapter.alpha);
    adapter.dropout = fields_.optional_number("lora_dropout").value_or(0);
    if (!(adapter.dropout >= 0 && adapter.dropout < 1)) fields_.refuse_member("lora_dropout", "must be in [0, 1)");
    adapter.use_rslora = fields_.boolean("use_rslora", false);
    adapter.base_model = fields_.text("base_model_name_or_path", "");
    read_targets(adapter);
    for_each_pattern("rank_pattern", [&](const std::string& key, double value) {
      if (!(value >= 1 && value <= 65536) || value != std::floor(value))
        fields_.refuse_member("rank_pattern", "must contain ranks");
      adapter.rank_pattern.emplace_back(key, static_cast<std::int64_t>(value));
    });
    for_each_pattern("alpha_pattern", [&](const std::string& key, double value) {
      check_alpha("alpha_pattern", value);
      adapter.alpha_pattern.emplace_back(key, value);
    });
    return adapter;
  }

 private:
  // Products are computed in fp32.
  void check_alpha(const std::string& field, double alpha) const {
    constexpr double most = std::numeric_limits<float>::max();
    if (!(std::abs(alpha) <= most))
      fields_.refuse_member(field, "must be a number within the range of fp32, below 3.4e38");
  }

  // target_modules: a list of names, or one pattern.
  void read_targets(lora_weights& adapter) const {
    const auto* targets = fields_.find("target_modules");
    if (!targets) return;
    if (targets->is_string()) {
      // Python's expressions are more powerful than ours; one that does not compile here proves nothing to be missing.
      if (const auto pattern = targets->get<std::string>(); compiles(pattern)) adapter.target_pattern = pattern;
    } else if (targets->is_array()) {
      for (const auto& target : *targets) {
        if (!target.is_string()) fields_.refuse_member("target_modules", "must contain names");
        adapter.target_modules.push_back(target.get<std::string>());
      }
    } else {
      fields_.refuse_member("target_modules", "must be a name or a list of names");
    }
    if (is_given("layers_to_transform") || is_given("exclude_modules")) {
      adapter.target_modules.clear();
      adapter.target_pattern.clear();
    }
  }

  // Refuses what changes the product, the base or its biases: the result would silently be another model.
  void refuse_variants() const {
    if (const auto type = fields_.text("peft_type", ""); type != "LORA") {
      fields_.refuse_member("peft_type", "the method \"" + type + "\" is not supported", "only LORA is supported");
    }
    for (const char* field : {"use_dora", "use_qalora", "fan_in_fan_out", "lora_bias"}) {
      if (fields_.boolean(field, false)) fields_.refuse_member(field, "is not supported");
    }
    for (const char* field : {"layer_replication", "alora_invocation_tokens", "trainable_token_indices",
                              "target_parameters", "arrow_config", "use_bdlora", "kasa_config", "monteclora_config"}) {
      if (is_given(field)) fields_.refuse_member(field, "is not supported");
    }
    if (const auto bias = fields_.text("bias", ""); !bias.empty() && bias != "none") {
      fields_.refuse_member("bias", "trained biases (\"" + bias + "\") are not supported");
    }
    if (const auto* start = fields_.find("init_lora_weights"); start && start->is_string()) {
      const auto method = start->get<std::string>();
      for (const char* changing : {"pissa", "olora", "corda", "loftq", "lora_ga"}) {
        if (method.starts_with(changing)) {
          fields_.refuse_member("init_lora_weights",
                                "\"" + method + "\" changes the base model's weights, which is not supported",
                                "convert it to a plain LoRA adapter with PEFT (save_pretrained with "
                                "path_initial_model_for_weight_conversion)");
        }
      }
    }
  }

  // Present, and not null, false or empty.
  bool is_given(const std::string& field) const {
    const auto* value = fields_.find(field);
    return value != nullptr && !(value->is_structured() && value->empty()) && *value != false;
  }
  // Whether a regular expression of the file is one here too.
  static bool compiles(const std::string& pattern) {
    try {
      std::regex{pattern};
      return true;
    } catch (const std::regex_error&) {
      return false;
    }
  }
  // Calls visit(pattern, value) for each entry of an object of patterns, in the file's order.
  template <class Visitor>
  void for_each_pattern(const std::string& field, Visitor visit) const {
    const auto* object = fields_.find(field);
    if (!object) return;
    if (!object->is_object()) fields_.refuse_member(field, "must be an object");
    for (const auto& [key, value] : object->items()) {
      if (!value.is_number()) fields_.refuse_member(field, "must contain numbers");
      if (!compiles(key)) fields_.refuse_member(field, "\"" + key + "\" is not a pattern");
      visit(key, value.template get<double>());
    }
  }

  std::string path_;
  nlohmann::ordered_json json_;
  basic_json_part<nlohmann::ordered_json> fields_;
};

/// Splits "….lora_A.weight" or "….lora_A.<name>.weight" into the module's path and the choice of matrix.
struct matrix_key {
  std::string module;
  bool is_a = false;
};
// The module and the matrix that the name of a tensor means; nothing for a name of another form.
std::optional<matrix_key> split_matrix_key(std::string_view key) {
  for (const std::string_view part : {".lora_A.", ".lora_B."}) {
    const auto at = key.rfind(part);
    if (at == std::string_view::npos || !key.ends_with(".weight") || at + part.size() > key.size()) continue;
    const auto rest = key.substr(at + part.size());  // "weight" or "<name>.weight"
    if (rest != "weight" && rest.find('.') != rest.size() - 7) continue;
    return matrix_key{std::string(key.substr(0, at)), part == ".lora_A."};
  }
  return std::nullopt;
}

/// "weight" or "bias" for the keys of a scalar head, with or without PEFT's wrapper.
std::string_view split_head_key(std::string_view key) {
  if (!key.starts_with("score.")) return {};
  key.remove_prefix(6);
  if (key.starts_with("modules_to_save.")) {
    key.remove_prefix(16);
    const auto dot = key.find('.');
    if (dot == std::string_view::npos) return {};
    key.remove_prefix(dot + 1);
  }
  return key == "weight" || key == "bias" ? key : std::string_view{};
}

/// "A [8, 64] and B [64, 8]", for messages.
std::string shapes_text(const lora_matrices& pair) {
  const auto one = [](const at::Tensor& m) {
    return "[" + std::to_string(m.size(0)) + ", " + std::to_string(m.size(1)) + "]";
  };
  return "A " + one(pair.a) + " and B " + one(pair.b);
}

/// Refuses incomplete pairs, ranks other than the configuration's, and a head that is not one row with at most one
/// bias.
void check_pairs(const lora_weights& adapter, const std::string& path) {
  for (const auto& [module, pair] : adapter.modules) {
    const auto place = "module " + module;
    if (!pair.a.defined() || !pair.b.defined()) throw file_error(path, place, "has only one of its two matrices");
    if (pair.a.dim() != 2 || pair.b.dim() != 2)
      throw file_error(path, place, "has a matrix that is not two-dimensional");
    const auto rank = adapter.module_rank(module);
    if (pair.a.size(0) != rank || pair.b.size(1) != rank) {
      throw file_error(path, place,
                       "has matrices " + shapes_text(pair) + " that do not have the rank " + std::to_string(rank) +
                           " that adapter_config.json gives");
    }
  }
  const auto& weight = adapter.head_weight;
  const auto& bias = adapter.head_bias;
  if (weight.defined() && (weight.dim() != 2 || weight.size(0) != 1)) {
    throw file_error(path, "tensor score.weight", "is not one row");
  }
  if (bias.defined() && (!weight.defined() || bias.numel() != 1)) {
    throw file_error(path, "tensor score.bias", "is not a single number that accompanies a score.weight");
  }
}

}  // namespace

std::int64_t lora_weights::module_rank(std::string_view module) const {
  return find_pattern_value(rank_pattern, module).value_or(rank);
}

double lora_weights::module_scale(std::string_view module) const {
  const double own = find_pattern_value(alpha_pattern, module).value_or(alpha);
  const auto r = static_cast<double>(module_rank(module));
  return use_rslora ? own / std::sqrt(r) : own / r;
}

lora_weights read_peft_config(const fs::path& directory, const std::string& name) {
  return adapter_config_reader(adapter_directory(directory, name) / config_name).read();
}

lora_weights read_peft(const fs::path& directory, const std::string& name) {
  const auto folder = adapter_directory(directory, name);
  auto adapter = read_peft_config(directory, name);
  const auto path = folder / weights_name;
  if (!fs::exists(path) && fs::exists(folder / "adapter_model.bin")) {
    throw file_error((folder / "adapter_model.bin").string(), "",
                     "has pickled weights, which can run code when opened, so they are not read",
                     "convert it once in Python, if you trust it: load it with PEFT and call "
                     "save_pretrained(directory, safe_serialization=True)");
  }
  for (const auto& [key, tensor] : read_tensors(path)) {
    const auto refuse = [&](const std::string& what) { throw file_error(path.string(), "tensor " + key, what); };
    // Matching an expression recurses once per character.
    if (key.size() > 1024)
      throw file_error(path.string(), "tensor " + key.substr(0, 40) + "…", "has a name of more than 1024 bytes");
    if (!key.starts_with(base_prefix)) refuse("does not begin with base_model.model.");
    if (!tensor.is_floating_point()) refuse("is not of a floating type");
    const auto inner = std::string_view(key).substr(base_prefix.size());
    for (const std::string_view module : {"lm_head.", "model.embed_tokens."}) {
      if (inner.starts_with(module))
        throw file_error(path.string(), "tensor " + key,
                         "adapts or replaces " + std::string(module.substr(0, module.size() - 1)) +
                             ", but adapters are supported only on the linears of the decoder blocks",
                         "merge it into its base with PEFT (merge_and_unload), or train it without that module");
    }
    const auto number = tensor.to(at::kFloat).contiguous();
    if (const auto part = split_head_key(inner); !part.empty()) {
      auto& place = part == "weight" ? adapter.head_weight : adapter.head_bias;
      if (place.defined()) refuse("occurs under two names");
      place = number;
    } else if (const auto split = split_matrix_key(inner)) {
      auto& pair = adapter.modules[split->module];
      auto& place = split->is_a ? pair.a : pair.b;
      if (place.defined()) refuse("occurs under two names");
      place = number;
    } else {
      refuse("is neither a LoRA matrix nor a scalar head");
    }
  }
  check_pairs(adapter, path.string());
  return adapter;
}

void write_peft(const fs::path& directory, const lora_weights& adapter, const std::string& name) {
  const auto folder = adapter_directory(directory, name);
  check_pairs(adapter, (folder / weights_name).string());
  tensor_map tensors;
  const std::string prefix(base_prefix);
  for (const auto& [module, pair] : adapter.modules) {
    tensors[prefix + module + ".lora_A.weight"] = pair.a.detach().to(at::kCPU, at::kFloat);
    tensors[prefix + module + ".lora_B.weight"] = pair.b.detach().to(at::kCPU, at::kFloat);
  }
  if (adapter.has_head()) {
    tensors[prefix + "score.weight"] = adapter.head_weight.detach().to(at::kCPU, at::kFloat);
    if (adapter.head_bias.defined()) {
      const auto bias = adapter.head_bias.detach().to(at::kCPU, at::kFloat);
      if (bias.abs().max().item<float>() > 0) tensors[prefix + "score.bias"] = bias;
    }
  }

  auto names = adapter.target_modules;
  if (names.empty()) {
    for (const auto& entry : adapter.modules) names.push_back(entry.first);
  }
  const auto targets =
      adapter.target_pattern.empty() ? nlohmann::ordered_json(names) : nlohmann::ordered_json(adapter.target_pattern);
  nlohmann::ordered_json ranks = nlohmann::ordered_json::object(), alphas = ranks;
  for (const auto& [pattern, rank] : adapter.rank_pattern) ranks[pattern] = rank;
  for (const auto& [pattern, alpha] : adapter.alpha_pattern) alphas[pattern] = alpha;
  const auto nothing = nlohmann::ordered_json();
  const nlohmann::ordered_json config{
      {"peft_type", "LORA"},
      {"task_type", adapter.has_head() ? "SEQ_CLS" : "CAUSAL_LM"},
      {"base_model_name_or_path", adapter.base_model.empty() ? nothing : nlohmann::ordered_json(adapter.base_model)},
      {"revision", nothing},
      {"r", adapter.rank},
      {"lora_alpha", adapter.alpha},
      {"lora_dropout", adapter.dropout},
      {"target_modules", targets},
      {"modules_to_save", adapter.has_head() ? nlohmann::ordered_json{"classifier", "score"} : nothing},
      {"rank_pattern", ranks},
      {"alpha_pattern", alphas},
      {"use_rslora", adapter.use_rslora},
      {"use_dora", false},
      {"bias", "none"},
      {"fan_in_fan_out", false},
      {"init_lora_weights", true},
      {"inference_mode", true}};
  fs::create_directories(folder);
  write_tensors(folder / weights_name, tensors, {{"format", "pt"}});
  // The base's path may not be UTF-8.
  write_file(folder / config_name, config.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n");
}

void check_lora_shapes(const lora_weights& adapter, const llama_config& config, std::string_view path) {
  const auto shapes = layer_linear_shapes(config);
  for (const auto& [module, pair] : adapter.modules) {
    const auto place = "module " + module;
    std::string_view rest = module;
    constexpr std::string_view prefix = "model.layers.";
    std::optional<std::string> linear;
    if (rest.starts_with(prefix)) {
      rest.remove_prefix(prefix.size());
      const auto dot = rest.find('.');
      const auto digits = rest.substr(0, dot);
      const bool number =
          !digits.empty() && digits.size() <= 6 && digits.find_first_not_of("0123456789") == std::string_view::npos;
      if (dot != std::string_view::npos && number && std::stoll(std::string(digits)) < config.num_hidden_layers) {
        linear = std::string(rest.substr(dot + 1));
      }
    }
    const auto shape = linear ? shapes.find(*linear) : shapes.end();
    if (shape == shapes.end()) throw file_error(path, place, "is not a linear layer of this model");
    if (pair.a.size(1) != shape->second[1] || pair.b.size(0) != shape->second[0]) {
      throw file_error(path, place,
                       "has matrices " + shapes_text(pair) + " for a weight of [" + std::to_string(shape->second[0]) +
                           ", " + std::to_string(shape->second[1]) + "]");
    }
  }
  for (std::int64_t layer = 0; layer < config.num_hidden_layers; ++layer) {
    for (const auto& entry : shapes) {
      const auto module = "model.layers." + std::to_string(layer) + "." + entry.first;
      if (is_target(adapter, module) && !adapter.modules.contains(module)) {
        throw file_error(path, "module " + module, "is among the target_modules but has no matrices");
      }
    }
  }
  if (adapter.has_head() && adapter.head_weight.size(1) != config.hidden_size) {
    throw file_error(path, "tensor score.weight", "does not have the width of the model's hidden state");
  }
}

}  // namespace coho::trainer
