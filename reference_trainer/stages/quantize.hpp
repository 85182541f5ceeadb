#pragma once

#include "cli/application.hpp"

namespace coho::trainer {

/// Packs the linears of a checkpoint as NF4 and writes it in bitsandbytes' form, which this program and transformers
/// open: section "model" (`path`, `double_quantize`), key `quantize.dtype` for what is not packed ("keep", "bfloat16",
/// "float16", "float32"), `quantize.shard_bytes`. Memory holds the packed model and one tensor of the checkpoint at a
/// time.
void run_quantize(const config& options, stage_context& context);
subcommand make_quantize_command();

}  // namespace coho::trainer
