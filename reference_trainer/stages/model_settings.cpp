#include "stages/model_settings.hpp"

#include <algorithm>
#include <charconv>
#include <regex>

#include <coho/error.hpp>

#include "stages/data_files.hpp"

namespace coho::trainer {
namespace {

std::optional<std::filesystem::path> shipped_shape(const std::filesystem::path& path) {
  // "llama-2-70b" and "models/llama-2-70b/" name the same shape; a dot in a name is no extension.
  auto name = path.filename().empty() ? path.parent_path().filename().string() : path.filename().string();
  if (!name.ends_with(".json")) name += ".json";
  try {
    return shipped("configs/" + name);
  } catch (const file_error&) {
    return std::nullopt;
  }
}

bool is_linear(const std::string& name) { return std::ranges::find(planned_linears, name) != planned_linears.end(); }

// A table's keys could not hold the dots of a module's path: lines "pattern=number".
template <class T>
std::vector<std::pair<std::string, T>> read_pattern(const config& options, const std::string& key) {
  std::vector<std::pair<std::string, T>> out;
  for (const auto& line : options.get<std::vector<std::string>>(key, {})) {
    const auto split = line.rfind('=');
    const char* const end = line.data() + line.size();
    T value{};
    const bool number = split != std::string::npos && split > 0 &&
                        std::from_chars(line.data() + split + 1, end, value).ptr == end;
    options.check(number && value > 0, key, "a list of \"pattern=number\", such as \"down_proj=32\"");
    out.emplace_back(line.substr(0, split), value);
  }
  return out;
}

// As PEFT matches: the whole path, or its end after a dot.
bool matches(const std::string& pattern, const std::string& module) {
  try {
    return std::regex_match(module, std::regex("(.*\\.)?(" + pattern + ")"));
  } catch (const std::regex_error&) {
    throw option_error("adapter.rank_pattern", pattern, "a regular expression");
  }
}

}  // namespace

model_settings read_model_settings(const config& options) {
  model_settings out;
  out.random_weights = options.get<bool>("model.random_weights", false);
  out.config = options.get<std::filesystem::path>("model.config", {});
  if (out.random_weights) {
    out.path = options.get<std::filesystem::path>("model.path", {});
    options.check(!out.path.empty() || !out.config.empty(), "model.config",
                  "given with model.random_weights: the shape to build");
  } else {
    out.path = options.require<std::filesystem::path>("model.path", "the folder of the base model");
  }
  const bool half = options.choice("model.dtype", "float32", {"float32", "bfloat16"}) == "bfloat16";
  out.compute = half ? compute_type::bfloat16 : compute_type::float32;
  const bool packed = options.choice("model.quantize", "none", {"none", "nf4"}) == "nf4";
  const bool twice = options.get<bool>("model.double_quantize", true);
  out.base = packed ? (twice ? base_storage::nf4_double : base_storage::nf4)
             : half ? base_storage::bfloat16
                    : base_storage::float32;
  const auto mode = options.choice("model.recompute", "selective", {"none", "selective", "full"});
  out.recompute = mode == "none"   ? recompute_mode::none
                  : mode == "full" ? recompute_mode::full
                                   : recompute_mode::selective;
  return out;
}

std::optional<llama_config> find_model_config(const model_settings& settings) {
  std::error_code none;
  if (!settings.config.empty()) {
    if (std::filesystem::is_regular_file(settings.config, none)) return llama_config::from_file(settings.config);
    if (const auto shape = shipped_shape(settings.config)) return llama_config::from_file(*shape);
    throw file_error(settings.config.string(), "", "no such file, and no shipped shape of that name",
                     "give model.config a config.json, or llama-2-7b, llama-2-13b, llama-2-70b or mistral-7b-v0.1");
  }
  if (const auto file = settings.path / "config.json"; std::filesystem::is_regular_file(file, none))
    return llama_config::from_file(file);
  if (const auto shape = shipped_shape(settings.path)) return llama_config::from_file(*shape);
  return std::nullopt;
}

std::array<std::int64_t, 7> adapter_settings::ranks() const {
  std::array<std::int64_t, 7> out{};
  for (std::size_t i = 0; i < out.size(); ++i) {
    if (!targets[i] || full) continue;
    // The first block's stand for all of them.
    const std::string module = std::string("model.layers.0.") + (i < 4 ? "self_attn." : "mlp.") + std::string(planned_linears[i]);
    out[i] = rank;
    for (auto own = rank_pattern.rbegin(); own != rank_pattern.rend(); ++own)
      if (matches(own->first, module)) out[i] = own->second;
  }
  return out;
}

adapter_settings read_adapter_settings(const config& options) {
  adapter_settings out;
  out.full = options.choice("adapter.kind", "lora", {"lora", "full"}) == "full";
  out.rank = options.get<std::int64_t>("adapter.rank", out.rank);
  out.alpha = options.get<double>("adapter.alpha", out.alpha);
  out.rslora = options.get<bool>("adapter.rslora", out.rslora);
  out.dropout = options.get<double>("adapter.dropout", out.dropout);
  options.check(out.rank > 0, "adapter.rank", "at least 1");
  options.check(out.alpha > 0, "adapter.alpha", "above 0");
  options.check(out.dropout >= 0 && out.dropout < 1, "adapter.dropout", "in [0, 1)");
  const std::vector<std::string> all(planned_linears.begin(), planned_linears.end());
  const auto targets = options.get<std::vector<std::string>>("adapter.targets", all);
  options.check(!targets.empty() && std::ranges::all_of(targets, is_linear), "adapter.targets",
                "a list of q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj");
  for (std::size_t i = 0; i < all.size(); ++i) out.targets[i] = std::ranges::find(targets, all[i]) != targets.end();
  out.rank_pattern = read_pattern<std::int64_t>(options, "adapter.rank_pattern");
  out.alpha_pattern = read_pattern<double>(options, "adapter.alpha_pattern");
  return out;
}

moment_storage read_moments(const config& section) {
  const auto type = section.choice("moments", "float32", {"float32", "bfloat16", "8bit"});
  return type == "float32"    ? moment_storage::float32
         : type == "bfloat16" ? moment_storage::bfloat16
                              : moment_storage::eight_bit;
}

}  // namespace coho::trainer
