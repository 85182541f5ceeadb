#pragma once

#include <filesystem>

#include "program/application.hpp"

namespace coho::trainer::demo {

/// Trains tokenizer and base model of the toy world on text from the world's generator, into a Hugging Face directory.
void train_base(const std::filesystem::path& out, std::size_t steps, stage_context& context);

}  // namespace coho::trainer::demo
