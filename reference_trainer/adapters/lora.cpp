#include "adapters/lora.hpp"

#include <cmath>

#include <coho/error.hpp>

namespace coho::trainer {

double lora_options::scale() const {
  const auto r = static_cast<double>(rank);
  return use_rslora ? alpha / std::sqrt(r) : alpha / r;
}

void lora_options::validate() const {
  require_option(rank > 0, "adapter.rank", rank, "at least 1");
  require_option(alpha > 0, "adapter.alpha", alpha, "above 0");
  require_option(!targets.empty(), "adapter.targets", "[]", "at least one of q, k, v, o, gate, up, down");
}

lora_adapter::lora_adapter(const llama_weights& base, const lora_options& options, rng random) : options_(options) {
  options.validate();
  pairs_.resize(base.blocks.size() * linear_kinds);
  for (std::size_t i = 0; i < pairs_.size(); ++i) {
    const auto kind = static_cast<linear_kind>(i % linear_kinds);
    if (!options.targets.contains(kind)) continue;
    const at::Tensor& weight = base.blocks[i / linear_kinds][kind];
    const std::int64_t in = weight.size(1), out = weight.size(0);
    require_option(options.rank <= std::min(in, out), "adapter.rank", options.rank, "at most the smaller side of each adapted linear");
    rng stream = random.split(i);
    const double bound = 1.0 / std::sqrt(static_cast<double>(in));
    at::Tensor a = at::empty({options.rank, in}, at::kFloat);
    float* data = a.data_ptr<float>();
    for (std::int64_t k = 0; k < a.numel(); ++k) data[k] = static_cast<float>((2.0 * stream.uniform() - 1.0) * bound);
    pairs_[i] = {a.to(weight.device()), at::zeros({out, options.rank}, weight.options().dtype(at::kFloat)), options.scale()};
  }
}

void lora_adapter::set(const llama_weights& base, const std::string& path, const at::Tensor& a, const at::Tensor& b, double scale) {
  pairs_.resize(base.blocks.size() * linear_kinds);
  for (std::size_t i = 0; i < pairs_.size(); ++i) {
    const auto kind = static_cast<linear_kind>(i % linear_kinds);
    if (path != "model.layers." + std::to_string(i / linear_kinds) + "." + linear_path(kind)) continue;
    const at::Tensor& weight = base.blocks[i / linear_kinds][kind];
    require_argument(a.dim() == 2 && b.dim() == 2 && a.size(0) == b.size(1) && a.size(1) == weight.size(1) && b.size(0) == weight.size(0),
                     "adapter of " + path + " does not fit the base model's shape");
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

llama_weights lora_adapter::merged(const llama_weights& base) const {
  llama_weights out = base;
  for (std::size_t i = 0; i < pairs_.size(); ++i) {
    if (!pairs_[i].defined()) continue;
    at::Tensor& weight = out.blocks[i / linear_kinds].linears[i % linear_kinds];
    const at::Tensor delta = at::matmul(pairs_[i].b.detach(), pairs_[i].a.detach()) * pairs_[i].scale;
    weight = (weight.to(at::kFloat) + delta).to(weight.scalar_type());
  }
  return out;
}

at::Tensor adapted_linear(const at::Tensor& x, const at::Tensor& weight, const lora_pair* pair) {
  at::Tensor y = at::linear(x, weight);
  if (pair == nullptr || !pair->defined()) return y;
  const auto type = x.scalar_type();
  return y + at::linear(at::linear(x, pair->a.to(type)), pair->b.to(type)) * pair->scale;
}

}  // namespace coho::trainer
