#include "run/output_path.hpp"

#include <string>
#include <system_error>

#include "config/config.hpp"
#include "jsonl/jsonl.hpp"
#include "run/report_error.hpp"

namespace coho::trainer {

void refuse_same_file(std::string_view key, const std::filesystem::path& out,
                      const std::vector<std::filesystem::path>& inputs) {
  for (const auto& input : inputs) {
    std::error_code none;
    if (!input.empty() && std::filesystem::equivalent(out, input, none))
      throw config_error(std::string(key) + " = " + out.string() +
                         " is a file that this stage reads: give another one");
  }
}

void check_output_folder(const std::filesystem::path& out, const std::vector<std::filesystem::path>& inputs) {
  std::error_code none;
  if (std::filesystem::exists(out, none) && !std::filesystem::is_directory(out, none))
    throw config_error("out = " + out.string() + " is a file: give the name of a folder");
  for (const auto& input : inputs) {
    if (!input.empty() && std::filesystem::equivalent(out, input, none))
      throw config_error("out = " + out.string() +
                         " is the folder of a model that this stage reads: give another folder");
  }
}

void create_parent_folder(const std::filesystem::path& out) {
  const auto folder = out.parent_path();
  if (folder.empty()) return;
  std::error_code failure;
  std::filesystem::create_directories(folder, failure);
  if (failure) throw output_error(folder.string() + ": cannot be made: " + failure.message());
}

bool log_if_complete(const std::filesystem::path& out, stage_context& context) {
  if (!jsonl_writer::is_complete(out)) return false;
  context.log(out.string() + " is complete: nothing to do");
  return true;
}

}  // namespace coho::trainer
