#include "settings/prompt_settings.hpp"

#include <algorithm>
#include <array>
#include <iomanip>
#include <sstream>
#include <string_view>
#include <utility>

#include <coho/error.hpp>

#include "config/read_options.hpp"
#include "files/data_files.hpp"
#include "resources/chat_format_file.hpp"
#include "resources/template_file.hpp"

namespace coho::trainer {
namespace {

constexpr std::array<std::string_view, 4> known_formats{"dromedary", "llama2_chat", "vicuna", "mistral"};

constexpr const char* format_names =
    "model, plain, dromedary, llama2_chat, vicuna, mistral, or the path of a chat format file (JSON)";

// Whether no key of the recipe says how conversations are written.
bool leaves_format_open(const config& options) {
  const auto given = [&](const char* key) {
    const auto texts = options.peek<std::vector<std::string>>(key).value_or(std::vector<std::string>{});
    return std::ranges::any_of(texts, [](const std::string& text) { return !text.empty(); });
  };
  return !options.has("prompt.format") && !given("prompt.template") && !given("sft.templates");
}

// The folder of the model, whose template it may be.
std::filesystem::path model_folder(const config& options) {
  return options.peek<std::filesystem::path>("model.path").value_or(std::filesystem::path());
}

// YYYY-MM-DD as the beginning of that day; nothing where it is no date.
std::optional<std::tm> parse_date(const std::string& text) {
  std::tm out{};
  std::istringstream in(text);
  in >> std::get_time(&out, "%Y-%m-%d");
  if (in.fail() || in.peek() != std::istringstream::traits_type::eof()) return std::nullopt;
  out.tm_isdst = -1;
  std::tm same = out;
  if (std::mktime(&same) == -1 || same.tm_mday != out.tm_mday) return std::nullopt;  // also sets the day of the week
  return same;
}

// Sets `chat`, and `format_path` where prompt.format names a file, which may not be there yet.
void read_format(const config& options, prompt_settings& out) {
  if (out.format_name == "plain") return;
  if (out.format_name == "model") {
    // A folder that is not there yet does not spoil a dry run.
    if (const auto folder = model_folder(options); !is_missing(folder))
      out.own_template = require_chat_template(folder, out.chat_template_name);
    return;
  }
  if (std::ranges::find(known_formats, out.format_name) != known_formats.end()) {
    out.chat = chat_formats::by_name(out.format_name);
    return;
  }
  const std::filesystem::path path = out.format_name;
  options.check(path.extension() == ".json" || path.has_parent_path() || !is_missing(path), "prompt.format",
                format_names);
  out.format_path = path;
  options.add_path("prompt.format", path);  // read as text, and now known to be a file
  if (!is_missing(path)) out.chat = load_chat_format(path);
}

}  // namespace

void prompt_options::check_constraints(const config& section) const {
  section.check(system.empty() || format != "plain", "system", "left out in the plain format");
  section.check(template_name.empty() || format != "model", "template",
                "left out in the model's own format: prompt.system gives the system text");
  refuse_unused(section, "chat_template", format != "model" && chat_template != "default", "format",
                "unless format is model");
  section.check(parse_date(date).has_value(), "date", "a day as YYYY-MM-DD");
  section.check(
      system.empty() || template_name.empty(), "system",
      "left out when prompt.template is given, which is the system text; prompt.template = \"\" makes room for it");
}

prompt_settings read_prompt_settings(const config& options) {
  prompt_options read;
  if (leaves_format_open(options) && find_chat_template(model_folder(options))) read.format = "model";
  read = read_section(options.section("prompt"), read);
  prompt_settings out{.format_name = read.format, .system = read.system, .max_tokens = read.max_tokens};
  out.chat_template_name = read.chat_template;
  out.date = *parse_date(read.date);
  read_format(options, out);
  out.template_path = find_prompt_file(read.template_name);
  if (!out.template_path.empty() && !is_missing(out.template_path))
    out.wording = load_template(template_kind::inference, out.template_path);
  if (out.chat) out.stop = out.chat->stop;
  for (const auto& text : read.stop) {
    require_option(!text.empty(), "prompt.stop", "\"\"", "not empty");
    out.stop.push_back(text);
  }
  return out;
}

prompt_settings read_prompt_settings(const config& options, const std::string& stage, bool trains) {
  prompt_settings out = read_prompt_settings(options);
  const config section = options.section(stage);
  if (section.has("max_prompt_tokens") || !trains) out.max_tokens_key = stage + ".max_prompt_tokens";
  out.max_tokens = read_section<prompt_limit<true>>(section, {trains ? out.max_tokens : 0}).max_prompt_tokens;
  return out;
}

std::vector<prompt_settings> read_sft_prompts(const config& options,
                                              const std::vector<std::filesystem::path>& templates) {
  const prompt_settings base = read_prompt_settings(options, "sft", true);
  if (templates.empty()) return {base};
  options.check(base.system.empty(), "sft.templates", "unset if prompt.system gives the system text");
  options.check(base.format_name != "model", "sft.templates", "unset if prompt.format is model");
  // A recipe for several stages may hold both: the others read prompt.template.
  const bool meant =
      options.place("prompt.template").starts_with("--") || options.prevails("prompt.template", "sft.templates");
  options.check(base.template_path.empty() || !meant, "prompt.template",
                "left out where sft.templates is given, or given with sft.templates = []: those replace it");
  std::vector<prompt_settings> out;
  for (const auto& name : templates) {
    prompt_settings form = base;
    form.template_path = find_prompt_file(name);
    form.wording.reset();
    if (!is_missing(form.template_path)) form.wording = load_template(template_kind::inference, form.template_path);
    out.push_back(std::move(form));
  }
  return out;
}

std::string prompt_cut_note(std::size_t cut, const prompt_settings& settings, std::size_t of) {
  if (cut == 0) return {};
  return "note: " + std::to_string(cut) + " of " + std::to_string(of) + " prompts were longer than " +
         settings.max_tokens_key + " = " + std::to_string(settings.max_tokens) + " and lost their beginning";
}

}  // namespace coho::trainer
