#pragma once

#include <filesystem>

#include <coho/prompt/template.hpp>

namespace coho::trainer {

/// Reads a prompt template and checks its placeholders. A byte order mark is skipped and Windows line ends become plain
/// ones, so that the same words give the same tokens.
///
/// Throws `file_error` naming the file, and the placeholder where one is wrong; also for text that is not UTF-8.
///
///     auto judge = coho::trainer::load_template(coho::template_kind::judge, "prompts/judge.txt");
prompt_template load_template(template_kind kind, const std::filesystem::path& path);

}  // namespace coho::trainer
