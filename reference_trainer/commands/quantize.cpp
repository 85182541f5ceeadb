#include <cstdint>
#include <string>
#include <utility>

#include "checkpoint/hf_model.hpp"
#include "commands/commands.hpp"
#include "decoder/weights.hpp"
#include "models/model_files.hpp"
#include "observe/table.hpp"
#include "run/stage.hpp"

namespace coho::trainer {

namespace {

std::int64_t bytes_of(const tensor_map& tensors) {
  std::int64_t out = 0;
  for (const auto& [name, tensor] : tensors) out += static_cast<std::int64_t>(tensor.nbytes());
  return out;
}

class quantize_stage : public stage {
 public:
  quantize_stage(const config& options, stage_context& context)
      : path_(options.require<std::filesystem::path>("model.path", "the folder of the model to be packed")),
        double_quantize_(options.get<bool>("model.double_quantize", true)),
        type_(options.choice("quantize.dtype", "keep", {"keep", "bfloat16", "float16", "float32"})),
        shard_bytes_(options.get<std::int64_t>("quantize.shard_bytes", 5'000'000'000)),
        out_(context.out_or("quantized")) {
    options.check(shard_bytes_ > 0, "quantize.shard_bytes", "above 0");
  }

  void check(const config&, stage_context&) override { check_output(out_, {path_}); }

  void load(const config&, stage_context&) override {
    checkpoint_ = load_hf_checkpoint(path_);
    if (!checkpoint_.config.quantization.empty())
      throw file_error(path_.string(), "config.json", "this checkpoint is packed already",
                       "give the checkpoint that it was made from");
  }

  void run(stage_context& context) override {
    weight_form form{.type = checkpoint_.tensors.at("model.embed_tokens.weight").scalar_type(),
                     .quantize = nf4_options{.double_quantize = double_quantize_}};
    if (type_ != "keep") form.type = type_ == "bfloat16" ? at::kBFloat16 : type_ == "float16" ? at::kHalf : at::kFloat;
    const std::int64_t before = bytes_of(checkpoint_.tensors);
    const at::Tensor score =
        checkpoint_.config.sequence_classification() ? checkpoint_.tensors.at("score.weight").clone() : at::Tensor();
    const llama_weights packed = llama_weights::from_tensors(checkpoint_.config, std::move(checkpoint_.tensors), form);
    tensor_map tensors = packed.tensors();
    if (score.defined()) tensors.emplace("score.weight", score.to(form.type));
    const std::int64_t after = bytes_of(tensors);

    llama_config config = packed.config;
    config.quantization = "bitsandbytes";
    config.double_quantization = double_quantize_;
    save_hf_checkpoint(out_, config, std::move(tensors), path_, shard_bytes_);
    context.log("quantize: " + format_bytes(static_cast<double>(before)) + " → " +
                format_bytes(static_cast<double>(after)) + " → " + out_.string());
  }

 private:
  std::filesystem::path path_;
  bool double_quantize_;
  std::string type_;
  std::int64_t shard_bytes_;
  std::filesystem::path out_;
  hf_checkpoint checkpoint_;
};

}  // namespace

void run_quantize(const config& options, stage_context& context) { run_stage<quantize_stage>(options, context); }

subcommand make_quantize_command() {
  return {.name = "quantize",
          .help = "pack a model's linears as NF4, in bitsandbytes' form",
          .run = run_quantize,
          .flags = {{"--model", "model.path", "folder of the model"}},
          .sections = {"model", "quantize"},
          .group = "Models"};
}

}  // namespace coho::trainer
