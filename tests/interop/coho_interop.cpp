// coho's side of tests/interop/round_trip.py: does what a job file (JSON) asks for.
//
//     coho_interop JOB.json     "settings": ["model.path=…", "adapter.rank=4", …], a recipe's keys;
//                               "role": files of a role, or "fresh": seed of a new one (settings adapter.…);
//                               "head": [bias]?, "tokens": [[1, 5, …], …]?, "outputs": "….safetensors"?,
//                               "merge": true?, "save": folder?, "quantize": folder?, "texts": ["…", …]?,
//                               "conversations": [[["user", "Hi"], …], …]?
//
// outputs: logits.0, logits.1, … [T, V] of each sequence, and scores [B], the scalar head at each last token; with
// texts tokens.0, … as a model reads each, and ends, the tokens at which a response ends, in increasing order; with
// conversations conversation.0, …, their tokens in the form of prompt.format, and, of those that end with a reply,
// learnt.0, …, the weights of these.
#include <algorithm>
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <nlohmann/json.hpp>

#include <coho/rng.hpp>

#include "checkpoint/bitsandbytes.hpp"
#include "checkpoint/hf_model.hpp"
#include "checkpoint/hf_names.hpp"
#include "checkpoint/tensor_io.hpp"
#include "config/config.hpp"
#include "decoder/layout.hpp"
#include "files/json_file.hpp"
#include "models/model_files.hpp"
#include "models/prompter.hpp"
#include "run/stage_context.hpp"
#include "settings/model_settings.hpp"
#include "settings/prompt_settings.hpp"

namespace {

using namespace coho;
using namespace coho::trainer;

at::Tensor random_like(const at::Tensor& like, rng random, double deviation) {
  at::Tensor out = at::empty(like.sizes(), at::kDouble);
  for (std::int64_t i = 0; i < out.numel(); ++i) out.data_ptr<double>()[i] = deviation * random.normal();
  return out.to(like.options());
}

/// A fresh adapter changes nothing: every number that is trained is moved, and a head is made where one is asked for.
void start_fresh(loaded_model& model, const nlohmann::json& job, const config& options) {
  const rng random{job["fresh"].get<std::uint64_t>()};
  adapter_bank& bank = *model.bank;
  start_role(model, "role", {}, read_adapter_settings(options), random);
  if (job.contains("head")) {
    const auto weight = random_like(at::empty({1, bank.config().hidden_size}, at::kFloat), random.split(1), 0.3);
    bank.set_head("role", weight, at::tensor(job["head"].get<std::vector<double>>(), at::kFloat));
  }
  const auto bias = bank.at("role").head.defined() ? bank.at("role").head.bias.clone() : at::Tensor();
  const at::Tensor values = bank.train("role").values();
  values.add_(random_like(values, random.split(2), 0.05));
  if (bias.defined()) bank.modify("role").head.bias.copy_(bias);
}

void write_outputs(loaded_model& model, const nlohmann::json& job) {
  adapter_bank& bank = *model.bank;
  tensor_map outputs;
  std::vector<double> scores;
  const auto sequences = job["tokens"].get<std::vector<std::vector<std::int64_t>>>();
  // All sequences packed in one call, as the trainer runs them.
  std::vector<std::int64_t> lengths, packed;
  for (const auto& tokens : sequences) {
    lengths.push_back(static_cast<std::int64_t>(tokens.size()));
    packed.insert(packed.end(), tokens.begin(), tokens.end());
  }
  const auto hidden = bank.hidden("role", at::tensor(packed, at::kLong), sequence_layout(lengths)).to(at::kFloat);
  std::int64_t first = 0;
  for (std::size_t i = 0; i < sequences.size(); ++i) {
    const auto rows = hidden.narrow(0, first, lengths[i]);
    first += lengths[i];
    outputs["logits." + std::to_string(i)] = at::linear(rows, bank.head("role").to(at::kFloat)).contiguous();
    if (bank.at("role").head.defined())
      scores.push_back(bank.scalar_output("role", rows.narrow(0, lengths[i] - 1, 1)).item<double>());
  }
  if (!scores.empty()) outputs["scores"] = at::tensor(scores, at::kFloat);
  const auto put = [&](const std::string& name, const std::vector<token>& ids) {
    outputs[name] = at::tensor(std::vector<std::int64_t>(ids.begin(), ids.end()), at::kLong);
  };
  const auto texts = job.value("texts", std::vector<std::string>());
  for (std::size_t i = 0; i < texts.size(); ++i) {
    auto ids = model.tokenizer->begin_tokens();
    for (const token id : model.tokenizer->encode(texts[i])) ids.push_back(id);
    put("tokens." + std::to_string(i), ids);
  }
  if (!texts.empty()) {
    auto ends = model.end_tokens();
    std::ranges::sort(ends);
    put("ends", ends);
  }
  write_tensors(job["outputs"].get<std::string>(), outputs);
}

void write_conversations(const loaded_model& model, const config& options, const nlohmann::json& job) {
  const prompter prompts(read_prompt_settings(options), model);
  tensor_map outputs;
  std::size_t number = 0;
  for (const auto& turns : job["conversations"]) {
    std::vector<chat_message> messages;
    for (const auto& turn : turns) {
      const std::string role = turn[0];
      messages.push_back({role == "system" ? chat_role::system
                          : role == "user" ? chat_role::user
                                           : chat_role::assistant,
                          turn[1].get<std::string>()});
    }
    const bool answered = messages.back().role == chat_role::assistant;
    const auto learnt = answered ? prompts.training_tokens(messages) : chat_tokens{prompts.tokens(messages), {}};
    const std::string name = std::to_string(number++);
    outputs["conversation." + name] =
        at::tensor(std::vector<std::int64_t>(learnt.tokens.begin(), learnt.tokens.end()), at::kLong);
    if (answered) outputs["learnt." + name] = at::tensor(learnt.weights(), at::kFloat);
  }
  write_tensors(job["outputs"].get<std::string>(), outputs);
}

void quantize_base(const std::filesystem::path& from, const std::filesystem::path& to) {
  const auto checkpoint = load_hf_checkpoint(from);
  auto config = checkpoint.config;
  config.quantization = "bitsandbytes";
  tensor_map tensors;
  for (const auto& [name, tensor] : checkpoint.tensors) {
    if (is_layer_linear(name)) {
      tensors.merge(nf4_tensors(name, quantize_nf4(tensor)));
    } else {
      tensors[name] = tensor;
    }
  }
  save_hf_checkpoint(to, config, tensors, from);
}

void run(const nlohmann::json& job) {
  const at::NoGradGuard no_gradient;
  const config options(job["settings"].get<std::vector<std::string>>());
  loaded_model model = load_model(read_model_settings(options), stage_context("interop", options, false, false, true));
  if (job.contains("quantize")) quantize_base(model.directory, job["quantize"].get<std::string>());
  if (job.contains("fresh")) {
    start_fresh(model, job, options);
  } else {
    load_role(model, "role", job.value("role", std::string()));
  }
  if (job.contains("conversations")) {
    write_conversations(model, options, job);
  } else if (job.contains("outputs")) {
    write_outputs(model, job);
  }
  if (job.value("merge", false)) {
    auto merged = model.bank->at("role").adapter.merge(model.bank->base());
    model.bank->add_full("merged", std::move(merged));
    save_role(model, "merged", job["save"].get<std::string>());
  } else if (job.contains("save")) {
    save_role(model, "role", job["save"].get<std::string>());
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: coho_interop JOB.json\n");
    return 2;
  }
  try {
    run(read_json(argv[1]));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "coho_interop: %s\n", error.what());
    return 1;
  }
  return 0;
}
