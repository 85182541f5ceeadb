#include "demo/base_training.hpp"

#include <sstream>

#include <coho/train/supervised.hpp>

#include "checkpoint/hf_model.hpp"
#include "demo/corpus.hpp"
#include "files/data_files.hpp"
#include "files/read_file.hpp"
#include "models/model_files.hpp"
#include "observe/format.hpp"
#include "observe/metrics_log.hpp"
#include "optimization/adamw.hpp"
#include "roles/policy_role.hpp"
#include "run/stage_context.hpp"
#include "run/training_run.hpp"
#include "tokenizer/sentencepiece_training.hpp"

namespace coho::trainer::demo {
namespace {

// The corpus of a run of so many steps, with the templates that the stages render.
corpus make_corpus(std::size_t steps) {
  const auto text = [](const char* name) {
    return read_file(shipped_file((std::filesystem::path("demo/prompts") / name).string()));
  };
  return corpus({text("judge.txt"), text("reward.txt"), text("inference.txt")}, {.steps = steps});
}

// Trains a tokenizer of 900 pieces, room for every word of the world whole, and writes it to `path`.
sentencepiece_tokenizer make_tokenizer(const corpus& source, std::uint64_t seed, const std::filesystem::path& path) {
  rng random(seed, 1);
  std::vector<std::string> lines;
  for (const auto& text : tokenizer_texts(source, 4000, random)) {
    std::istringstream stream(text);
    for (std::string line; std::getline(stream, line);)
      if (!line.empty()) lines.push_back(line);
  }
  return train_sentencepiece(lines, 900, path, {.character_coverage = 1.0});
}

// The smallest shape that learns to judge: three layers of width 64. 512 positions hold any prompt of the judge.
llama_config base_config(std::int64_t vocabulary, const sentencepiece_tokenizer& tokenizer) {
  llama_config config;
  config.vocab_size = vocabulary;
  config.hidden_size = 64;
  config.intermediate_size = 176;
  config.num_hidden_layers = 3;
  config.num_attention_heads = config.num_key_value_heads = 4;
  config.head_dim = 16;
  config.max_position_embeddings = 512;
  config.rms_norm_eps = 1e-5;
  config.bos_token_id = tokenizer.bos();
  config.eos_token_ids = {tokenizer.eos()};
  config.torch_dtype = "float32";
  return config;
}

// A document as tokens with the weights of its spans. Tokens before the first and after the last weight only cost time
// in the head: the former become the prompt, the latter are dropped.
supervised_example make_document_example(const document& text, const sentencepiece_tokenizer& tokenizer) {
  std::vector<token> tokens;
  for (const token id : tokenizer.encode(text.text)) tokens.push_back(id);
  std::vector<double> weights(tokens.size(), 0.0);
  std::size_t byte = 0;
  for (std::size_t t = 0; t < tokens.size(); ++t) {
    // The first token includes the space that the tokenizer puts before every text.
    const std::size_t begin = byte;
    byte += tokenizer.token_bytes(tokens[t]).size() - (t == 0 && text.text.front() != ' ' ? 1 : 0);
    for (const auto& span : text.spans)
      if (begin < span.end && byte > span.begin) weights[t] = span.weight;
  }
  if (text.end_weight > 0) {
    tokens.push_back(tokenizer.eos());
    weights.push_back(text.end_weight);
  }
  const auto first = static_cast<std::size_t>(
      std::find_if(weights.begin(), weights.end(), [](double w) { return w > 0; }) - weights.begin());
  while (!weights.empty() && weights.back() == 0) {
    weights.pop_back();
    tokens.pop_back();
  }
  supervised_example out{.prompt = {tokenizer.bos()}, .response = {}, .token_weights = {}};
  for (std::size_t t = 0; t < tokens.size(); ++t) {
    if (t < first) {
      out.prompt.push_back(tokens[t]);
    } else {
      out.response.push_back(tokens[t]);
      out.token_weights.push_back(weights[t]);
    }
  }
  return out;
}

}  // namespace

void train_base(const std::filesystem::path& out, std::size_t steps, stage_context& context) {
  use_threads(context);
  std::filesystem::create_directories(out);
  const corpus source = make_corpus(steps);
  const sentencepiece_tokenizer tokenizer = make_tokenizer(source, context.seed, out / "tokenizer.model");
  const llama_config config = base_config(static_cast<std::int64_t>(tokenizer.size()), tokenizer);

  loaded_model model;
  model.directory = out;
  model.bank =
      std::make_unique<adapter_bank>(llama_weights::random(config, rng(context.seed).split(stream_key("base")), 0.06));
  model.bank->add_full("policy");
  parameter_set& parameters = model.bank->train("policy");
  adamw optimizer(parameters, {.beta1 = 0.9, .beta2 = 0.98, .weight_decay = 0.01});
  policy_role policy(*model.bank, "policy");
  const std::size_t batch = source.options().documents_per_step;
  supervised_trainer trainer(policy, optimizer,
                             supervised_options{.learning_rate = {.peak = 3.5e-3,
                                                                  .kind = schedule_kind::cosine,
                                                                  .warmup_steps = 40,
                                                                  .total_steps = std::max<std::size_t>(steps, 41),
                                                                  .floor_fraction = 0.1},
                                                .batch_size = batch,
                                                .micro_batch = {.sequences = 16, .tokens = 0, .sort_by_length = true}});
  metrics_log log(context.out.empty() ? std::filesystem::path{} : out.parent_path() / "base-training");
  auto bar = context.start_progress("base model", steps, "steps");
  double smoothed = 0;
  for (std::size_t step = 0; step < steps; ++step) {
    context.stop_if_interrupted();
    rng random(context.seed, step);
    std::vector<supervised_example> examples;
    for (const auto& text : source.batch(step, random)) examples.push_back(make_document_example(text, tokenizer));
    const auto s = trainer.step(std::span<const supervised_example>(examples));
    smoothed = step == 0 ? s.loss : smoothed + 0.05 * (s.loss - smoothed);
    log.add_scalars(static_cast<std::int64_t>(step),
                    {{"loss", s.loss}, {"learning_rate", s.learning_rate}, {"gradient_norm", s.gradient_norm}});
    bar.advance(1, "loss " + format_number(smoothed, 3));
  }
  log.flush();
  save_role(model, "policy", out);
  bar.finish("loss " + format_number(smoothed, 3));
}

}  // namespace coho::trainer::demo
