#include "adapters/lora.hpp"

#include <cmath>
#include <regex>

#include <coho/error.hpp>

#include "architecture/module_pattern.hpp"

namespace coho::trainer {

std::int64_t lora_options::module_rank(std::string_view path) const {
  return find_pattern_value(rank_pattern, path).value_or(rank);
}

// The alpha of one module: that of the pattern that its path matches, otherwise the common one.
double lora_options::module_alpha(std::string_view path) const {
  return find_pattern_value(alpha_pattern, path).value_or(alpha);
}

double lora_options::module_scale(std::string_view path) const {
  const auto r = static_cast<double>(module_rank(path));
  return use_rslora ? module_alpha(path) / std::sqrt(r) : module_alpha(path) / r;
}

void lora_options::validate() const {
  coho::validate(*this, "adapter.");
  require_option(!targets.empty(), "adapter.targets", "[]", "at least one of q, k, v, o, gate, up, down");
  for (const auto& [pattern, value] : rank_pattern)
    require_option(value > 0, "adapter.rank_pattern." + pattern, value, "at least 1");
  for (const auto& [pattern, value] : alpha_pattern)
    require_option(value > 0, "adapter.alpha_pattern." + pattern, value, "above 0");
  const auto check = [](const std::string& name, const std::string& pattern) {
    try {
      static_cast<void>(std::regex(pattern));
    } catch (const std::regex_error&) {
      require_option(false, name, pattern, "a regular expression");
    }
  };
  for (const auto& entry : rank_pattern) check("adapter.rank_pattern", entry.first);
  for (const auto& entry : alpha_pattern) check("adapter.alpha_pattern", entry.first);
}

lora_adapter::lora_adapter(const llama_weights& base, const lora_options& options, rng random) : options_(options) {
  options.validate();
  pairs_.resize(base.blocks.size() * linear_kinds);
  // A pattern that matches no adapted linear is misspelt.
  const auto require_match = [&](const char* option, const std::string& pattern) {
    for (std::size_t i = 0; i < pairs_.size(); ++i)
      if (options.targets.contains(static_cast<linear_kind>(i % linear_kinds)) &&
          matches_pattern(pattern, module_path(i)))
        return;
    require_option(false, option, pattern, "a pattern of an adapted linear, such as q_proj or layers.0.mlp.up_proj");
  };
  for (const auto& entry : options.rank_pattern) require_match("adapter.rank_pattern", entry.first);
  for (const auto& entry : options.alpha_pattern) require_match("adapter.alpha_pattern", entry.first);
  for (std::size_t i = 0; i < pairs_.size(); ++i) {
    const auto kind = static_cast<linear_kind>(i % linear_kinds);
    if (!options.targets.contains(kind)) continue;
    const linear_weight& weight = base.blocks[i / linear_kinds][kind];
    const std::int64_t in = weight.in_features(), out = weight.out_features(),
                       rank = options.module_rank(module_path(i));
    require_option(rank <= std::min(in, out), "adapter.rank", rank, "at most the smaller side of each adapted linear");
    rng stream = random.split(i);
    const double bound = 1.0 / std::sqrt(static_cast<double>(in));
    at::Tensor a = at::empty({rank, in}, at::kFloat);
    float* data = a.data_ptr<float>();
    for (std::int64_t k = 0; k < a.numel(); ++k) data[k] = static_cast<float>((2.0 * stream.uniform() - 1.0) * bound);
    const auto on_device = at::TensorOptions().dtype(at::kFloat).device(weight.device());
    pairs_[i] = {a.to(weight.device()), at::zeros({out, rank}, on_device), options.module_scale(module_path(i))};
  }
}

void lora_adapter::set_pair(const llama_weights& base, const std::string& path, const at::Tensor& a,
                            const at::Tensor& b, double scale) {
  pairs_.resize(base.blocks.size() * linear_kinds);
  for (std::size_t i = 0; i < pairs_.size(); ++i) {
    if (path != module_path(i)) continue;
    const linear_weight& weight = base.blocks[i / linear_kinds].linears[i % linear_kinds];
    require_argument(a.dim() == 2 && b.dim() == 2 && a.size(0) == b.size(1) && a.size(1) == weight.in_features() &&
                         b.size(0) == weight.out_features(),
                     "adapter of " + path + " does not match the base model's shape");
    pairs_[i] = {a.to(weight.device(), at::kFloat).contiguous(), b.to(weight.device(), at::kFloat).contiguous(), scale};
    return;
  }
  throw argument_error("adapter names " + path + ", which the base model does not have");
}

lora_adapter lora_adapter::clone() const {
  lora_adapter out = *this;
  for (auto& pair : out.pairs_)
    if (pair.defined()) pair = {pair.a.detach().clone(), pair.b.detach().clone(), pair.scale};
  return out;
}

llama_weights lora_adapter::merge(const llama_weights& base) const {
  llama_weights out = base;
  const auto type = base.embedding.scalar_type();
  for (std::size_t i = 0; i < base.blocks.size() * linear_kinds; ++i) {
    linear_weight& weight = out.blocks[i / linear_kinds].linears[i % linear_kinds];
    if (pairs_.empty() || !pairs_[i].defined()) {
      weight = weight.values(type);
    } else {
      const at::Tensor delta = at::matmul(pairs_[i].b.detach(), pairs_[i].a.detach()) * pairs_[i].scale;
      weight = (weight.values(at::kFloat) + delta).to(type);
    }
  }
  return out;
}

}  // namespace coho::trainer
