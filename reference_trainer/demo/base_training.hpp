#pragma once

#include <filesystem>

#include "program/application.hpp"

namespace coho::trainer::demo {

/// Trains tokenizer and base model of the toy world for `steps` optimizer steps on text from the world's generator, and
/// writes both to `out` as a Hugging Face folder. The result depends on the context's seed. Throws interrupted_error;
/// nothing is resumed.
void train_base(const std::filesystem::path& out, std::size_t steps, stage_context& context);

}  // namespace coho::trainer::demo
