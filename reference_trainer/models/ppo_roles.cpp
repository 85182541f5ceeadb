#include "models/ppo_roles.hpp"

#include <string>

#include <coho/error.hpp>
#include <coho/rng.hpp>

namespace coho::trainer {
namespace {

// The value model is initialised from the reward model.
void load_reward_and_value(loaded_model& model, const ppo_role_settings& settings) {
  adapter_bank& bank = *model.bank;
  load_role(model, "reward", settings.reward_model);
  if (!bank.at("reward").head.defined())
    throw file_error(settings.reward_model.string(), "", "this is no reward model: it has no scalar head",
                     "give the output folder of `coho reward`");
  bank.copy("reward", "value");
  if (bank.at("value").full != settings.adapter.full)
    throw config_error(std::string("adapter.kind = ") + (settings.adapter.full ? "full" : "lora") +
                       ": the value model starts from " + settings.reward_model.string() + ", which holds " +
                       (settings.adapter.full ? "an adapter" : "whole weights"));
  bank.freeze("reward");
}

}  // namespace

loaded_model load_ppo_roles(const ppo_role_settings& settings, stage_context& context) {
  loaded_model model = load_model(settings.model, context);
  adapter_bank& bank = *model.bank;
  const rng random(context.seed);
  load_role(model, "reference", settings.policy);
  start_role(model, "policy", settings.policy, settings.adapter, random.split(stream_key("policy adapter")));
  if (settings.reward_model.empty()) {
    start_role(model, "value", {}, settings.adapter, random.split(stream_key("value adapter")));
  } else {
    load_reward_and_value(model, settings);
  }
  // Rollouts are scored without dropout: with it, the first minibatch's ratio of probabilities would not be 1.
  for (const char* role : {"policy", "value"}) bank.modify(role).adapter.set_dropout(0);
  if (settings.adapter.lora.dropout > 0)
    context.log("note: adapter.dropout is off in ppo, so that the first minibatch's probability ratio is 1");
  bank.freeze("reference");
  if (settings.zero_value_head || !bank.at("value").head.defined()) bank.add_head("value");
  return model;
}

}  // namespace coho::trainer
