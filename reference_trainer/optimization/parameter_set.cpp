#include "optimization/parameter_set.hpp"

#include <algorithm>
#include <utility>

#include <coho/error.hpp>

namespace coho::trainer {

parameter_set::parameter_set(const std::vector<std::pair<std::string, at::Tensor*>>& tensors) {
  require_argument(!tensors.empty(), "parameter_set: there is nothing to train");
  std::int64_t total = 0;
  for (const auto& [name, tensor] : tensors) {
    require_argument(tensor->scalar_type() == at::kFloat, "parameter_set: " + name + " must be float32 to be trained");
    entries_.push_back({name, total, tensor->sizes().vec()});
    total += tensor->numel();
  }
  const auto options = tensors.front().second->options().requires_grad(false);
  values_ = at::empty({total}, options);
  gradients_ = at::zeros({total}, options);
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    at::Tensor& tensor = *tensors[i].second;
    const std::int64_t offset = entries_[i].offset, n = tensor.numel();
    const at::Tensor view = values_.narrow(0, offset, n).view(tensor.sizes());
    view.copy_(tensor.detach());
    tensor = view.detach();
    tensor.set_requires_grad(true);
    tensor.mutable_grad() = gradients_.narrow(0, offset, n).view(tensor.sizes());
  }
}

std::span<float> parameter_set::gradient_span() const {
  require_argument(
      gradients_.is_cpu(),
      "parameter_set: gradients are not in host memory: use the set's members for their norm, scaling and sum");
  return {gradients_.data_ptr<float>(), static_cast<std::size_t>(gradients_.numel())};
}

double parameter_set::squared_gradient_norm() const {
  if (!gradients_.is_cpu()) return squared_norm_by_operators(gradients_);
  double sum = 0;
  for (const float g : gradient_span()) sum += static_cast<double>(g) * static_cast<double>(g);
  return sum;
}

void parameter_set::scale_gradients(double factor) {
  if (!gradients_.is_cpu()) {
    gradients_.mul_(factor);
    return;
  }
  for (float& g : gradient_span()) g = static_cast<float>(static_cast<double>(g) * factor);
}

void parameter_set::fold_gradients() {
  if (!folded_.defined()) folded_ = at::zeros_like(gradients_, gradients_.options().dtype(at::kDouble));
  folded_.add_(gradients_);
  gradients_.zero_();
}

at::Tensor parameter_set::release_folded() {
  if (!folded_.defined()) return at::zeros_like(gradients_, gradients_.options().dtype(at::kDouble));
  return std::exchange(folded_, at::Tensor());
}

// Dropout draws by a counter. Shards of a step begin this far apart, and steps after one another that far: no shard
// reaches the draws of the next one, whatever its number of forward passes.
constexpr std::uint64_t draws_per_shard = std::uint64_t{1} << 40, draws_per_step = std::uint64_t{1} << 20;

void parameter_set::begin_shard(std::uint64_t shard) {
  if (!draws_before_shards_) draws_before_shards_ = draws_;
  draws_ = *draws_before_shards_ + shard * draws_per_shard;
}

void parameter_set::end_shards() {
  draws_ = draws_before_shards_.value_or(draws_) + draws_per_step;
  draws_before_shards_.reset();
}

double squared_norm_by_operators(const at::Tensor& values) {
  constexpr std::int64_t piece = 1 << 22;  // numbers: a piece takes 32 MiB in double
  at::Tensor total = at::zeros({}, values.options().dtype(at::kDouble));
  for (std::int64_t begin = 0; begin < values.numel(); begin += piece)
    total += values.narrow(0, begin, std::min(piece, values.numel() - begin)).to(at::kDouble).square_().sum();
  return total.item<double>();
}

}  // namespace coho::trainer
