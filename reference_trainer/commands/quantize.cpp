#include <array>
#include <cstdint>
#include <string>
#include <utility>

#include "checkpoint/hf_model.hpp"
#include "commands/commands.hpp"
#include "config/read_options.hpp"
#include "decoder/weights.hpp"
#include "models/model_files.hpp"
#include "observe/format.hpp"
#include "run/output_path.hpp"
#include "run/stage.hpp"
#include "settings/model_settings.hpp"

namespace coho::trainer {

namespace {

// The size of all tensors in memory.
std::int64_t total_bytes(const tensor_map& tensors) {
  std::int64_t out = 0;
  for (const auto& [name, tensor] : tensors) out += static_cast<std::int64_t>(tensor.nbytes());
  return out;
}

// The type of what is not packed.
enum class unpacked_type { keep, bfloat16, float16, float32 };
constexpr auto option_names(unpacked_type) { return std::array{"keep", "bfloat16", "float16", "float32"}; }

struct quantize_options {
  unpacked_type dtype = unpacked_type::keep;
  std::int64_t shard_bytes = 5'000'000'000;

  static void describe(auto&& visit, auto&... o) {
    visit({"dtype", "type of what is not packed"}, o.dtype...);
    visit({"shard_bytes", "largest size of a file that is written", allowed::at_least(1), "bytes"}, o.shard_bytes...);
  }
};

// The section `model` as it is read here: the model is only packed, not computed with.
struct packed_model {
  model_settings model{};

  static void describe(auto&& visit, auto&... o) {
    visit(required({"path", "folder of the model to pack"}), o.model.path...);
    model_settings::describe(only({"double_quantize"}, visit), o.model...);
  }
};

class quantize_stage : public stage {
 public:
  quantize_stage(const config& options, stage_context& context)
      : model_(read_section<packed_model>(options.section("model")).model),
        read_(read_section<quantize_options>(options.section("quantize"))),
        out_(context.out_or("quantized")) {}

  void check(const config&, stage_context&) override { check_output_folder(out_, {model_.path}); }

  void load(const config&, stage_context&) override {
    checkpoint_ = load_hf_checkpoint(model_.path);
    if (!checkpoint_.config.quantization.empty())
      throw file_error(model_.path.string(), "config.json", "this checkpoint is packed already",
                       "give the checkpoint that it was made from");
  }

  void run(stage_context& context) override {
    weight_form form{.type = checkpoint_.tensors.at("model.embed_tokens.weight").scalar_type(),
                     .quantize = nf4_options{.double_quantize = model_.double_quantize}};
    if (read_.dtype == unpacked_type::bfloat16) form.type = at::kBFloat16;
    if (read_.dtype == unpacked_type::float16) form.type = at::kHalf;
    if (read_.dtype == unpacked_type::float32) form.type = at::kFloat;
    const std::int64_t before = total_bytes(checkpoint_.tensors);
    const at::Tensor score =
        checkpoint_.config.sequence_classification() ? checkpoint_.tensors.at("score.weight").clone() : at::Tensor();
    const llama_weights packed = llama_weights::from_tensors(checkpoint_.config, std::move(checkpoint_.tensors), form);
    tensor_map tensors = packed.tensors();
    if (score.defined()) tensors.emplace("score.weight", score.to(form.type));
    const std::int64_t after = total_bytes(tensors);

    llama_config config = packed.config;
    config.quantization = "bitsandbytes";
    config.double_quantization = model_.double_quantize;
    save_hf_checkpoint(out_, config, std::move(tensors), model_.path, read_.shard_bytes);
    context.log("quantize: " + format_bytes(static_cast<double>(before)) + " → " +
                format_bytes(static_cast<double>(after)) + " → " + out_.string());
  }

 private:
  model_settings model_;
  quantize_options read_;
  std::filesystem::path out_;
  hf_checkpoint checkpoint_;
};

// The keys of the section `model` that it reads; the other stages describe the whole section.
option_section packed_section() {
  option_section out = section_options("model", packed_model{});
  out.partial = true;
  return out;
}

}  // namespace

void run_quantize(const config& options, stage_context& context) { run_stage<quantize_stage>(options, context); }

subcommand make_quantize_command() {
  return {.name = "quantize",
          .help = "pack a model's linears as NF4, in bitsandbytes' form",
          .run = run_quantize,
          .flags = {{"--model", "model.path"}},
          .options = {packed_section(), section_options("quantize", quantize_options{})},
          .group = "Models"};
}

}  // namespace coho::trainer
