#include "settings/prompt_settings.hpp"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include <coho/error.hpp>

#include "files/data_files.hpp"
#include "resources/chat_format_file.hpp"
#include "resources/template_file.hpp"

namespace coho::trainer {
namespace {

constexpr std::array<std::string_view, 4> known_formats{"dromedary", "llama2_chat", "vicuna", "mistral"};

void read_format(const config& options, prompt_settings& out) {
  out.format_name = options.get<std::string>("prompt.format", "plain");
  if (out.format_name == "plain") return;
  if (std::ranges::find(known_formats, out.format_name) != known_formats.end()) {
    out.chat = chat_formats::by_name(out.format_name);
    return;
  }
  const std::filesystem::path path = out.format_name;
  options.check(path.extension() == ".json" || path.has_parent_path() || !not_there(path), "prompt.format",
                "plain, dromedary, llama2_chat, vicuna, mistral, or the path of a chat format file (JSON)");
  out.format_path = options.get<std::filesystem::path>("prompt.format", {});
  if (!not_there(path)) out.chat = load_chat_format(path);
}

}  // namespace

prompt_settings read_prompt_settings(const config& options) {
  prompt_settings out;
  read_format(options, out);
  out.template_path = prompt_file(options.get<std::filesystem::path>("prompt.template", {}));
  if (!out.template_path.empty() && !not_there(out.template_path))
    out.wording = load_template(template_kind::inference, out.template_path);
  if (out.chat) out.stop = out.chat->stop;
  for (auto& text : options.get<std::vector<std::string>>("prompt.stop", {})) {
    require_option(!text.empty(), "prompt.stop", "\"\"", "not empty");
    out.stop.push_back(std::move(text));
  }
  out.system = options.get<std::string>("prompt.system", "");
  options.check(out.system.empty() || out.format_name != "plain", "prompt.system", "left out in the plain format");
  options.check(
      out.system.empty() || out.template_path.empty(), "prompt.system",
      "left out when prompt.template is given, which is the system text; prompt.template = \"\" makes room for it");
  out.max_tokens = options.get<std::size_t>("prompt.max_tokens", 0);
  return out;
}

prompt_settings read_prompt_settings(const config& options, const std::string& stage, bool trains) {
  prompt_settings out = read_prompt_settings(options);
  const std::string key = stage + ".max_prompt_tokens";
  if (options.has(key) || !trains) out.max_tokens_key = key;
  out.max_tokens = options.get<std::size_t>(key, trains ? out.max_tokens : 0);
  return out;
}

std::string cut_note(std::size_t cut, const prompt_settings& settings, std::size_t of) {
  if (cut == 0) return {};
  return "note: " + std::to_string(cut) + " of " + std::to_string(of) + " prompts were longer than " +
         settings.max_tokens_key + " = " + std::to_string(settings.max_tokens) + " and lost their beginning";
}

}  // namespace coho::trainer
