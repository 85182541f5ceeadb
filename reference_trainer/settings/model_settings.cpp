#include "settings/model_settings.hpp"

#include <algorithm>
#include <charconv>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <coho/error.hpp>

#include "checkpoint/lora_patterns.hpp"
#include "checkpoint/peft.hpp"
#include "config/read_options.hpp"
#include "files/data_files.hpp"

namespace coho::trainer {
namespace {

// "llama-2-13b, llama-2-70b, …", for messages.
std::string shipped_shapes() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(shipped_file("configs")))
    if (entry.path().extension() == ".json") names.push_back(entry.path().stem().string());
  std::ranges::sort(names);
  std::string out;
  for (const auto& name : names) out += (out.empty() ? "" : ", ") + name;
  return out;
}

// A table's keys could not hold the dots of a module's path: lines "pattern=number", each number in the range.
template <class T>
std::vector<std::pair<std::string, T>> parse_pattern(const std::vector<std::string>& lines, const config& options,
                                                     const char* key, const option_range& range) {
  std::vector<std::pair<std::string, T>> out;
  for (const auto& line : lines) {
    const auto split = line.rfind('=');
    const char* const end = line.data() + line.size();
    T value{};
    const bool number =
        split != std::string::npos && split > 0 && std::from_chars(line.data() + split + 1, end, value).ptr == end;
    options.check(number && range.contains(static_cast<double>(value)), key,
                  "a list of \"pattern=number\", such as \"down_proj=32\", each number " +
                      allowed_text(range, std::is_integral_v<T>));
    out.emplace_back(line.substr(0, split), value);
  }
  return out;
}

// Whether a folder's weights are quantized.
bool is_packed_on_disk(const std::filesystem::path& model) {
  std::error_code none;
  const auto file = model / "config.json";
  return std::filesystem::is_regular_file(file, none) && !llama_config::from_file(file).quantization.empty();
}

// Of each block's linears the rank that `rank` gives for a module's path and kind.
template <class Rank>
std::vector<linear_ranks> ranks_by_block(std::int64_t blocks, Rank rank) {
  std::vector<linear_ranks> out(static_cast<std::size_t>(blocks));
  for (std::size_t block = 0; block < out.size(); ++block) {
    for (std::size_t i = 0; i < linear_kinds; ++i) {
      const auto kind = static_cast<linear_kind>(i);
      out[block][i] = rank("model.layers." + std::to_string(block) + "." + linear_path(kind), kind);
    }
  }
  return out;
}

}  // namespace

std::optional<std::filesystem::path> shipped_shape(const std::filesystem::path& path) {
  // A dot in a name is not an extension.
  auto name = path.filename().empty() ? path.parent_path().filename().string() : path.filename().string();
  if (!name.ends_with(".json")) name += ".json";
  try {
    return shipped_file("configs/" + name);
  } catch (const file_error&) {
    return std::nullopt;
  }
}

void model_settings::resolve(const coho::trainer::config& section) {
  if (random_weights) {
    section.check(!path.empty() || !config.empty(), "config", "given with model.random_weights: the shape to build");
  } else {
    path = section.require<std::filesystem::path>("path", path_meaning);
    section.check(!path.empty(), "path", "the path of a folder, or the name of a shipped shape for a dry run");
  }
  refuse_unused(section, "double_quantize", quantize != packing::nf4 && !double_quantize, "quantize",
                "unless quantize is nf4");
  base = quantize == packing::nf4            ? (double_quantize ? base_storage::nf4_double : base_storage::nf4)
         : compute == compute_type::bfloat16 ? base_storage::bfloat16
                                             : base_storage::float32;
}

model_settings read_model_settings(const config& options) {
  return read_section<model_settings>(options.section("model"));
}

std::filesystem::path read_starting_adapter(const config& options) {
  return read_section<starting_adapter>(options.section("model")).adapter;
}

option_section model_section(bool with_adapter) {
  option_section out = section_options("model", model_settings{});
  if (with_adapter) list_options(out.options, "model.", {}, starting_adapter{});
  return out;
}

std::optional<llama_config> find_model_config(const model_settings& settings) {
  std::error_code none;
  if (!settings.config.empty()) {
    if (std::filesystem::is_regular_file(settings.config, none)) return llama_config::from_file(settings.config);
    if (const auto shape = shipped_shape(settings.config)) return llama_config::from_file(*shape);
    throw file_error(settings.config.string(), "", "no such file, and no shipped shape of that name",
                     "give model.config a config.json, or one of " + shipped_shapes());
  }
  if (const auto file = settings.path / "config.json"; std::filesystem::is_regular_file(file, none))
    return llama_config::from_file(file);
  if (const auto shape = shipped_shape(settings.path)) return llama_config::from_file(*shape);
  return std::nullopt;
}

std::vector<linear_ranks> adapter_settings::ranks(std::int64_t blocks) const {
  if (full) return {};
  return ranks_by_block(blocks, [&](const std::string& module, linear_kind kind) {
    return lora.targets.contains(kind) ? lora.module_rank(module) : 0;
  });
}

std::vector<linear_ranks> read_adapter_ranks(const std::filesystem::path& directory, std::int64_t blocks) {
  const lora_weights adapter = read_peft_config(directory);
  const bool all = adapter.target_modules.empty() && adapter.target_pattern.empty();
  return ranks_by_block(blocks, [&](const std::string& module, linear_kind) {
    return all || is_target(adapter, module) ? adapter.module_rank(module) : 0;
  });
}

std::vector<std::string> adapter_settings::all_targets() {
  std::vector<std::string> out;
  for (std::size_t i = 0; i < linear_kinds; ++i) out.emplace_back(linear_name(static_cast<linear_kind>(i)));
  return out;
}

void adapter_settings::resolve(const config& section) {
  full = kind == trained_weights::full;
  if (full) {
    const adapter_settings defaults;
    const std::string reason = "while kind is full";
    if (const auto name = changed_option(lora, defaults.lora); !name.empty())
      refuse_unused(section, name, true, "kind", reason);
    refuse_unused(section, "targets", targets != defaults.targets, "kind", reason);
    refuse_unused(section, "rank_pattern", !rank_pattern.empty(), "kind", reason);
    refuse_unused(section, "alpha_pattern", !alpha_pattern.empty(), "kind", reason);
  }
  lora.rank_pattern = parse_pattern<std::int64_t>(rank_pattern, section, "rank_pattern", lora_options::allowed_ranks);
  lora.alpha_pattern = parse_pattern<double>(alpha_pattern, section, "alpha_pattern", allowed::above(0));
  const auto all = all_targets();
  lora.targets.clear();
  for (const auto& name : targets) {
    const auto found = std::ranges::find(all, name);
    section.check(found != all.end(), "targets",
                  "a list of q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj");
    lora.targets.insert(static_cast<linear_kind>(found - all.begin()));
  }
  lora.validate();
}

adapter_settings read_adapter_settings(const config& options) {
  const auto read = read_section<adapter_settings>(options.section("adapter"));
  const bool packed = options.peek<std::string>("model.quantize").value_or("none") != "none";
  options.check(!read.full || !packed, "adapter.kind", "lora where model.quantize packs the weights");
  if (const std::filesystem::path model = options.peek<std::string>("model.path").value_or(""); read.full)
    options.check(!is_packed_on_disk(model), "adapter.kind",
                  "lora, as the weights in " + model.string() + " are packed; or give model.path the unpacked model");
  return read;
}

}  // namespace coho::trainer
