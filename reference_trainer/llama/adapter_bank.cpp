#include "llama/adapter_bank.hpp"

#include <set>
#include <utility>

#include <ATen/core/grad_mode.h>

#include <coho/error.hpp>

#include "llama/position_watch.hpp"

namespace coho::trainer {
namespace {

// Counts concatenated sequences between these offsets that are longer than the model's positions.
void count_overlong(std::span<const std::int64_t> offsets, const llama_config& config) {
  std::vector<std::int64_t> lengths;
  for (std::size_t i = 1; i < offsets.size(); ++i) lengths.push_back(offsets[i] - offsets[i - 1]);
  position_watch::instance().record(lengths, config.max_position_embeddings);
}

// Counts each sequence with the prefix that it shares.
void count_overlong(const prefix_layout& layout, const llama_config& config) {
  std::vector<std::int64_t> lengths;
  for (const auto& part : layout.parts) {
    // The shared tokens of a group are a part too, but not a sequence.
    if (lengths.size() == layout.own.size() || layout.own[lengths.size()].first != part.queries.first) continue;
    for (const std::int64_t own : part.lengths) lengths.push_back(layout.cached + part.shared.count + own);
  }
  position_watch::instance().record(lengths, config.max_position_embeddings);
}

// A growing sequence counts once, as it passes the last position.
void count_overlong_decoded(std::span<const std::int64_t> positions, const llama_config& config) {
  const std::int64_t limit = config.max_position_embeddings;
  std::vector<std::int64_t> lengths;
  for (const std::int64_t position : positions)
    if (position == limit) lengths.push_back(position + 1);
  position_watch::instance().record(lengths, limit);
}

}  // namespace

adapter_bank::adapter_bank(llama_weights base)
    : base_(std::move(base)), model_(base_.config, base_.embedding.device()) {}

adapter_bank::role_state& adapter_bank::add(const std::string& role) {
  require_argument(!roles_.contains(role), "adapter_bank: there is already a role " + role);
  role_state& state = roles_[role];
  state.weights = base_;
  state.revision = ++revisions_;
  return state;
}

adapter_bank::role_state& adapter_bank::modify(const std::string& role) {
  role_state& state = const_cast<role_state&>(at(role));
  state.revision = ++revisions_;
  return state;
}

const adapter_bank::role_state& adapter_bank::at(const std::string& role) const {
  const auto found = roles_.find(role);
  require_argument(found != roles_.end(), "adapter_bank: there is no role " + role);
  return found->second;
}

std::optional<std::uint64_t> adapter_bank::revision(const std::string& role) const {
  const role_state& state = at(role);
  return state.parameters ? std::nullopt : std::optional(state.revision);
}

void adapter_bank::add_base(const std::string& role) { add(role); }

void adapter_bank::add_lora(const std::string& role, const lora_options& options, rng random) {
  add(role).adapter = lora_adapter(base_, options, random);
}

void adapter_bank::add_lora(const std::string& role, lora_adapter adapter) { add(role).adapter = std::move(adapter); }

void adapter_bank::add_full(const std::string& role) {
  require_argument(!base_.is_quantized(),
                   "adapter_bank: role " + role + " cannot be a full copy of a base that is packed as NF4");
  add_full(role, base_.clone().to(at::kFloat, device()));
}

void adapter_bank::add_full(const std::string& role, llama_weights weights) {
  require_argument(weights.config.num_hidden_layers == config().num_hidden_layers &&
                       weights.embedding.sizes() == base_.embedding.sizes(),
                   "adapter_bank: the weights of role " + role + " do not have the base's shape");
  role_state& state = add(role);
  state.weights = std::move(weights);
  state.full = true;
}

void adapter_bank::copy(const std::string& from, const std::string& to) {
  const role_state& source = at(from);
  const llama_weights weights = source.full ? source.weights.clone() : base_;
  const lora_adapter adapter = source.adapter.clone();
  const scalar_head head = source.head;
  role_state& state = add(to);
  state.weights = weights;
  state.adapter = adapter;
  state.full = source.full;
  if (head.defined()) state.head = {head.weight.detach().clone(), head.bias.detach().clone()};
}

void adapter_bank::freeze(const std::string& role) {
  role_state& state = modify(role);
  require_argument(!state.parameters, "adapter_bank: role " + role + " is trained");
  const auto type = base_.embedding.scalar_type();
  state.adapter.visit([&](const std::string&, lora_pair& pair) {
    pair.a = pair.a.to(type);
    pair.b = pair.b.to(type);
  });
}

void adapter_bank::add_head(const std::string& role) {
  const auto options = at::TensorOptions().dtype(at::kFloat).device(device());
  set_head(role, at::zeros({1, config().hidden_size}, options), at::zeros({1}, options));
}

void adapter_bank::set_head(const std::string& role, const at::Tensor& weight, const at::Tensor& bias) {
  require_argument(weight.numel() == config().hidden_size && bias.numel() == 1,
                   "adapter_bank: a scalar head has hidden_size weights and one bias");
  role_state& state = modify(role);
  require_argument(!state.parameters, "adapter_bank: the head of " + role + " must be set before it is trained");
  state.head = {weight.detach().to(device(), at::kFloat).reshape({1, -1}).clone(),
                bias.detach().to(device(), at::kFloat).reshape({1}).clone()};
}

void adapter_bank::remove(const std::string& role) {
  at(role);
  roles_.erase(role);
}

parameter_set& adapter_bank::train(const std::string& role) {
  role_state& state = modify(role);
  if (state.parameters) return *state.parameters;
  std::vector<std::pair<std::string, at::Tensor*>> tensors;
  if (state.full) {
    // A tied head is one tensor: visit yields only the embedding and assigns it to the head, again after the views are
    // made.
    state.weights.visit([&](const std::string& name, at::Tensor& tensor) { tensors.emplace_back(name, &tensor); });
  }
  state.adapter.visit([&](const std::string& path, lora_pair& pair) {
    tensors.emplace_back(path + ".lora_A.weight", &pair.a);
    tensors.emplace_back(path + ".lora_B.weight", &pair.b);
  });
  if (state.head.defined()) {
    tensors.emplace_back("score.weight", &state.head.weight);
    tensors.emplace_back("score.bias", &state.head.bias);
  }
  require_argument(!tensors.empty(), "adapter_bank: role " + role + " is the frozen base and has nothing to train");
  state.parameters = std::make_unique<parameter_set>(tensors);
  if (state.full) state.weights.visit([](const std::string&, at::Tensor&) {});
  return *state.parameters;
}

parameter_set& adapter_bank::parameters(const std::string& role) {
  role_state& state = modify(role);
  require_argument(state.parameters != nullptr, "adapter_bank: role " + role + " is frozen");
  return *state.parameters;
}

at::Tensor adapter_bank::hidden(const std::string& role, const at::Tensor& tokens, const sequence_layout& layout,
                                kv_cache* cache, std::span<const std::int64_t> slots) {
  const role_state& state = at(role);
  count_overlong(layout.offsets, config());
  training_pass pass{.recompute = recompute_};
  if (state.parameters && at::GradMode::is_enabled() && state.adapter.options().dropout > 0) {
    pass.dropout = state.adapter.options().dropout;
    pass.random = dropout_random_.split(stream_key(role)).split(state.parameters->next_draw());
  }
  return model_.hidden(state.weights, &state.adapter, tokens, layout, cache, slots, pass);
}

at::Tensor adapter_bank::hidden(const std::string& role, const at::Tensor& tokens, const prefix_layout& layout,
                                const prefix_cache* prefix, kv_cache* cache, std::span<const std::int64_t> slots) {
  const role_state& state = at(role);
  count_overlong(layout, config());
  return model_.hidden(state.weights, &state.adapter, tokens, layout, prefix, cache, slots);
}

prefix_cache adapter_bank::prefix(const std::string& role, const at::Tensor& tokens) {
  const role_state& state = at(role);
  return model_.prefix(state.weights, &state.adapter, tokens);
}

at::Tensor adapter_bank::decode(const std::string& role, const at::Tensor& tokens,
                                std::span<const std::int64_t> positions, kv_cache& cache, const prefix_cache* prefix) {
  const role_state& state = at(role);
  count_overlong_decoded(positions, config());
  return model_.decode(state.weights, &state.adapter, tokens, positions, cache, prefix);
}

at::Tensor adapter_bank::scalar_output(const std::string& role, const at::Tensor& hidden) const {
  const role_state& state = at(role);
  require_argument(state.head.defined(), "adapter_bank: role " + role + " has no scalar head");
  return at::linear(hidden.to(at::kFloat), state.head.weight, state.head.bias).squeeze(1);
}

const at::Tensor& adapter_bank::head(const std::string& role) const { return at(role).weights.head; }

std::int64_t adapter_bank::bytes() const {
  std::set<const void*> seen;
  std::int64_t total = 0;
  const auto count = [&](const at::Tensor& tensor) {
    if (!tensor.defined() || !seen.insert(tensor.storage().data()).second) return;
    total += static_cast<std::int64_t>(tensor.storage().nbytes());
  };
  const auto count_weights = [&](llama_weights weights) {
    weights.visit([&](const std::string&, at::Tensor& tensor) { count(tensor); });
  };
  count_weights(base_);
  for (const auto& [name, state] : roles_) {
    count_weights(state.weights);
    lora_adapter adapter = state.adapter;
    adapter.visit([&](const std::string&, lora_pair& pair) {
      count(pair.a);
      count(pair.b);
    });
    count(state.head.weight);
    count(state.head.bias);
  }
  return total;
}

}  // namespace coho::trainer
