#include "settings/wording_settings.hpp"

#include "config/read_options.hpp"
#include "files/data_files.hpp"

namespace coho::trainer {

wording_options wording_options::defaults(const config& options) {
  // Without reading it: a chat format of one's own is another stage's to check.
  options.declare({"prompt.format"});
  const auto format = options.peek<std::string>("prompt.format");
  return {.wording = format == "dromedary" ? question_form::dromedary : question_form::plain};
}

std::filesystem::path read_wording_file(const config& options, const std::string& name) {
  const config section = options.section("eval");
  auto read = wording_options::defaults(options);
  read_only(section, read, {"wording"});
  const std::string file = read.wording == question_form::plain ? name : name + "_dromedary";
  read.template_name = shipped_file("prompts/" + file + ".txt");
  read_only(section, read, {"template"});
  return find_prompt_file(read.template_name);
}

}  // namespace coho::trainer
