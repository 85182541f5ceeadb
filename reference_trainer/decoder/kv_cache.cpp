#include "decoder/kv_cache.hpp"

#include <string>

#include <coho/error.hpp>

#include "observe/format.hpp"
#include "observe/process_usage.hpp"

namespace coho::trainer {
namespace {

// argument_error if the machine does not have the memory for the keys and values of all blocks. In double, as a count
// of tokens may be so large that the bytes overflow.
void require_cache_memory(const llama_config& config, std::int64_t slots, std::int64_t capacity,
                          const at::TensorOptions& options) {
  if (!options.device().is_cpu()) return;
  const double bytes = 2.0 * static_cast<double>(config.num_hidden_layers * config.num_key_value_heads) *
                       static_cast<double>(config.head_dim) * static_cast<double>(slots) *
                       static_cast<double>(capacity) * static_cast<double>(options.dtype().itemsize());
  const auto memory = static_cast<double>(physical_memory_bytes());
  require_argument(memory == 0 || bytes <= memory,
                   "keys and values of " + std::to_string(slots) + " × " + std::to_string(capacity) + " tokens take " +
                       format_bytes(bytes) + ", and this machine has " + format_bytes(memory) +
                       ": lower generation.max_new_tokens or generation.slots");
}

}  // namespace

kv_cache::kv_cache(const llama_config& config, std::int64_t slots, std::int64_t capacity,
                   const at::TensorOptions& options)
    : slots_(slots), capacity_(capacity) {
  require_argument(slots > 0 && capacity > 0, "kv_cache: slots and capacity must be positive");
  require_cache_memory(config, slots, capacity, options);
  for (std::int64_t i = 0; i < config.num_hidden_layers; ++i) {
    keys_.push_back(at::zeros({slots, config.num_key_value_heads, capacity, config.head_dim}, options));
    values_.push_back(at::zeros_like(keys_.back()));
  }
}

void kv_cache::write(std::size_t block, std::int64_t slot, std::int64_t first, const at::Tensor& keys,
                     const at::Tensor& values) {
  const std::int64_t length = keys.size(0);
  keys_[block].select(0, slot).narrow(1, first, length).copy_(keys.transpose(0, 1));
  values_[block].select(0, slot).narrow(1, first, length).copy_(values.transpose(0, 1));
}

void kv_cache::append(std::size_t block, const at::Tensor& positions, const at::Tensor& keys,
                      const at::Tensor& values) {
  const std::int64_t n = keys.size(0);
  const at::Tensor index = positions.view({n, 1, 1, 1}).expand({n, keys.size(1), 1, keys.size(2)});
  keys_[block].narrow(0, 0, n).scatter_(2, index, keys.unsqueeze(2));
  values_[block].narrow(0, 0, n).scatter_(2, index, values.unsqueeze(2));
}

void kv_cache::copy(std::int64_t from, std::int64_t to, std::int64_t length) {
  for (std::size_t i = 0; i < keys_.size(); ++i) {
    keys_[i].select(0, to).narrow(1, 0, length).copy_(keys_[i].select(0, from).narrow(1, 0, length));
    values_[i].select(0, to).narrow(1, 0, length).copy_(values_[i].select(0, from).narrow(1, 0, length));
  }
}

at::Tensor kv_cache::keys(std::size_t block, std::int64_t active, std::int64_t length) const {
  return keys_[block].narrow(0, 0, active).narrow(2, 0, length);
}

at::Tensor kv_cache::values(std::size_t block, std::int64_t active, std::int64_t length) const {
  return values_[block].narrow(0, 0, active).narrow(2, 0, length);
}

}  // namespace coho::trainer
