#pragma once

#include <filesystem>

#include "commands/application.hpp"

namespace coho::trainer::demo {

/// Trains tokenizer and base model of the toy world from the world's own generator into a Hugging Face directory.
void train_base(const std::filesystem::path& out, std::size_t steps, stage_context& context);

}  // namespace coho::trainer::demo
