#include "run/training_checkpoints.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include <ATen/core/grad_mode.h>

#include <coho/error.hpp>

#include "checkpoint/train_state.hpp"
#include "files/json_file.hpp"

namespace coho::trainer {
namespace {

constexpr std::string_view other_recipe =
    "resume with the recipe that the run was started with, or start it anew without --resume";

// A number type as recipes call it.
std::string_view type_name(at::ScalarType type) {
  return type == at::kByte       ? "8-bit"
         : type == at::kBFloat16 ? "bfloat16"
         : type == at::kFloat    ? "float32"
                                 : at::toString(type);
}

// The saved tensor of that name. Throws file_error unless it has the size and type of `own`.
at::Tensor saved_tensor(const train_state& state, const std::string& directory, const std::string& name,
                        const at::Tensor& own) {
  const auto found = state.tensors.find(name);
  if (found == state.tensors.end() || found->second.numel() != own.numel())
    throw file_error(directory, name, "missing or of another size than this run's parameters", other_recipe);
  const auto type = found->second.scalar_type();
  if (type != own.scalar_type())
    throw file_error(directory, name,
                     "holds " + std::string(type_name(type)) + " numbers where this run keeps " +
                         std::string(type_name(own.scalar_type())) + " ones",
                     "set `moments` as when the run was started, or start it anew without --resume");
  return found->second;
}

// A saved moment, with the block maxima of an 8-bit one, checked like its tensors.
stored_moment saved_moment(const train_state& state, const std::string& directory, const std::string& name,
                           const stored_moment& own) {
  stored_moment out{saved_tensor(state, directory, name, own.values), at::Tensor()};
  if (own.absmax.defined()) out.absmax = saved_tensor(state, directory, name + "_absmax", own.absmax);
  return out;
}

// A whole number that a checkpoint holds for one of its parts; `absent` where it holds none, without which that is a
// file_error.
std::int64_t saved_count(const train_state& state, const std::string& directory, const char* kind,
                         const std::string& part, std::optional<std::int64_t> absent) {
  const nlohmann::json::json_pointer place(nlohmann::json::json_pointer() / kind / part);
  if (absent && !state.values.contains(place)) return *absent;
  if (!state.values.contains(place) || !state.values.at(place).is_number_unsigned())
    throw file_error(directory, std::string(kind) + "." + part, "is missing or not a whole number", other_recipe);
  return state.values.at(place).get<std::int64_t>();
}

// Adds a moment to the state under that name, and the block maxima of an 8-bit one.
void save_moment(train_state& state, const std::string& name, const stored_moment& moment) {
  state.tensors[name] = moment.values;
  if (moment.absmax.defined()) state.tensors[name + "_absmax"] = moment.absmax;
}

}  // namespace

std::optional<nlohmann::json> training_checkpoints::restore() {
  ranks_->barrier();
  const auto newest = latest_step(root_);
  const double step = newest ? static_cast<double>(newest->step) : -1;
  const auto seen = ranks_->all_gather(std::span(&step, 1));
  for (std::size_t r = 0; r < seen.size(); ++r) {
    if (seen[r] != seen.front())
      throw file_error(root_.string(), "",
                       "rank " + std::to_string(r) + " does not see the checkpoint that rank 0 sees",
                       "give an `out` on a file system that all machines share");
  }
  if (!newest) return std::nullopt;
  const train_state state = load_train_state(newest->directory);
  const std::string directory = newest->directory.string();
  if (!state.values.contains("step") || !state.values["step"].is_number_unsigned())
    throw file_error(directory, "step", "is missing or not a whole number", other_recipe);
  // Everything is checked before any of it is applied.
  struct found {
    at::Tensor values{};
    std::int64_t steps = 0;
    stored_moment first{}, second{};
  };
  std::vector<found> all;
  for (const auto& part : parts_) {
    found next{.values = saved_tensor(state, directory, part.name + ".values", part.parameters->values())};
    if (part.optimizer != nullptr) {
      next.steps = saved_count(state, directory, "optimizer", part.name, std::nullopt);
      next.first = saved_moment(state, directory, part.name + ".first_moment", part.optimizer->first_moment());
      next.second = saved_moment(state, directory, part.name + ".second_moment", part.optimizer->second_moment());
    }
    all.push_back(std::move(next));
  }
  const at::NoGradGuard no_gradient;
  for (std::size_t i = 0; i < parts_.size(); ++i) {
    parts_[i].parameters->values().copy_(all[i].values);
    if (parts_[i].optimizer == nullptr) continue;
    parts_[i].optimizer->restore(all[i].steps, all[i].first, all[i].second);
    parts_[i].parameters->set_draws(
        static_cast<std::uint64_t>(saved_count(state, directory, "draws", parts_[i].name, 0)));
  }
  return state.values;
}

void training_checkpoints::save(std::uint64_t step, const nlohmann::json& values) const {
  std::vector<double> norms;
  for (const auto& part : parts_) norms.push_back(squared_norm_by_operators(part.parameters->values()));
  const auto all_norms = ranks_->all_gather(norms);
  for (std::size_t i = 0; i < all_norms.size(); ++i) {
    if (!std::isfinite(all_norms[i]))
      throw error("step " + std::to_string(step) + ": the weights of " + parts_[i % norms.size()].name +
                  " are not finite; nothing was saved");
  }
  for (std::size_t i = 0; i < all_norms.size(); ++i) {
    if (all_norms[i] != all_norms[i % norms.size()])
      throw error("step " + std::to_string(step) + ": rank " + std::to_string(i / norms.size()) +
                  " has other weights than rank 0; the ranks' machines must be of one kind");
  }
  if (!ranks_->first()) return ranks_->barrier();
  train_state state;
  state.values = values;
  state.values["shares"] = ranks_->shards();
  for (const auto& part : parts_) {
    state.tensors[part.name + ".values"] = part.parameters->values();
    if (part.optimizer == nullptr) continue;
    save_moment(state, part.name + ".first_moment", part.optimizer->first_moment());
    save_moment(state, part.name + ".second_moment", part.optimizer->second_moment());
    state.values["optimizer"][part.name] = part.optimizer->steps();
    state.values["draws"][part.name] = part.parameters->draws();
  }
  save_train_state(root_, step, state, keep_);
  ranks_->barrier();
}

void training_checkpoints::remove() const {
  if (ranks_->first()) std::filesystem::remove_all(root_);
  ranks_->barrier();
}

}  // namespace coho::trainer
