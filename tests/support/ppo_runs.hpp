#pragma once

#include <string>

#include "models/model_files.hpp"
#include "support/recipe_models.hpp"
#include "support/small_models.hpp"
#include "support/stage_runs.hpp"
#include "support/temporary_directory.hpp"

namespace coho::test {

/// Settings of a run that trains the demo's base on three prompts.
inline settings reinforcing(const temporary_directory& folder, const std::string& out) {
  write_bytes(folder / "prompts.jsonl", R"({"prompt":"user: what color is the fox?\ncoho:"}
{"prompt":"user: why is the owl gray?\ncoho:"}
{"prompt":"user: tell me about the cat.\ncoho:"}
)");
  return {"model.path=" + demo_base().string(), "ppo.prompts=" + (folder / "prompts.jsonl").string(),
          "out=" + (folder / out).string(),     "adapter.kind=full",
          "ppo.learning_rate.kind=constant",    "ppo.learning_rate.peak=1e-3",
          "ppo.shaping.unfinished_penalty=0",   "ppo.save_every=0",
          "generation.max_new_tokens=24"};
}

/// A reward model that was never trained, the base under a head of random numbers, with a short prompt.
inline settings random_reward_model(const temporary_directory& folder) {
  trainer::loaded_model model = trainer::load_model(demo_base());
  trainer::start_role(model, "reward", {}, trainer::config(settings{"adapter.kind=full"}), rng{1});
  model.bank->set_head("reward", 0.2 * random_tensor({1, model.bank->config().hidden_size}, 3), at::zeros({1}));
  trainer::save_role(model, "reward", folder / "reward");
  write_bytes(folder / "plain.txt", "{Output}\n{Input}\nscore:");
  return {"ppo.reward_model=" + (folder / "reward").string(),
          "reward_prompt.plain_template=" + (folder / "plain.txt").string()};
}

}  // namespace coho::test
