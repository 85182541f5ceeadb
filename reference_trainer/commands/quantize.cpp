#include <utility>

#include "checkpoint/hf_model.hpp"
#include "commands/commands.hpp"
#include "decoder/weights.hpp"
#include "models/model_files.hpp"
#include "observe/table.hpp"
#include "run/training_run.hpp"

namespace coho::trainer {

void run_quantize(const config& options, stage_context& context) {
  const auto path = options.require<std::filesystem::path>("model.path", "the folder of the model to be packed");
  const bool double_quantize = options.get<bool>("model.double_quantize", true);
  const std::string type = options.choice("quantize.dtype", "keep", {"keep", "bfloat16", "float16", "float32"});
  const auto shard_bytes = options.get<std::int64_t>("quantize.shard_bytes", 5'000'000'000);
  options.check(shard_bytes > 0, "quantize.shard_bytes", "above 0");
  const auto out = context.out_or("quantized");
  check_output(out, {path});
  if (!context.begin(options)) return;
  use_threads(context);

  hf_checkpoint checkpoint = load_hf_checkpoint(path);
  if (!checkpoint.config.quantization.empty())
    throw file_error(path.string(), "config.json", "this checkpoint is packed already",
                     "give the checkpoint that it was made from");
  weight_form form{.type = checkpoint.tensors.at("model.embed_tokens.weight").scalar_type(),
                   .quantize = nf4_options{.double_quantize = double_quantize}};
  if (type != "keep") form.type = type == "bfloat16" ? at::kBFloat16 : type == "float16" ? at::kHalf : at::kFloat;
  std::int64_t before = 0, after = 0;
  for (const auto& [name, tensor] : checkpoint.tensors) before += static_cast<std::int64_t>(tensor.nbytes());
  const at::Tensor score =
      checkpoint.config.sequence_classification() ? checkpoint.tensors.at("score.weight").clone() : at::Tensor();
  const llama_weights packed = llama_weights::from_tensors(checkpoint.config, std::move(checkpoint.tensors), form);
  tensor_map tensors = packed.tensors();
  if (score.defined()) tensors.emplace("score.weight", score.to(form.type));
  for (const auto& [name, tensor] : tensors) after += static_cast<std::int64_t>(tensor.nbytes());

  llama_config config = packed.config;
  config.quantization = "bitsandbytes";
  config.double_quantization = double_quantize;
  save_hf_checkpoint(out, config, std::move(tensors), path, shard_bytes);
  context.log("quantize: " + format_bytes(static_cast<double>(before)) + " → " +
              format_bytes(static_cast<double>(after)) + " → " + out.string());
}

subcommand make_quantize_command() {
  return {.name = "quantize",
          .help = "pack a model's linears as NF4, in bitsandbytes' form",
          .run = run_quantize,
          .flags = {{"--model", "model.path", "folder of the model"}},
          .sections = {"model", "quantize"},
          .group = "Models"};
}

}  // namespace coho::trainer
