#include "settings/self_align_settings.hpp"

#include <algorithm>

#include <coho/error.hpp>

#include "config/read_options.hpp"
#include "files/data_files.hpp"
#include "resources/exemplar_file.hpp"
#include "resources/principle_file.hpp"
#include "resources/template_file.hpp"
#include "settings/generation_settings.hpp"

namespace coho::trainer {

namespace fs = std::filesystem;

generation_options self_align_sampling() { return {.max_new_tokens = 640, .temperature = 0.7}; }

void self_align_options::resolve(const config& section) {
  check_columns(section, columns, prompt_columns);
  for (const auto& text : stop) section.check(!text.empty(), "stop", "a list of texts that are not empty");
  filters.resolve(section);
}

self_align_settings read_self_align_settings(const config& options, bool may_lack_files) {
  self_align_settings out;
  out.model = read_model_settings(options);
  out.adapter = read_starting_adapter(options);
  out.engine = read_engine(options);
  out.generation = read_generation(options, std::vector<std::string>{}, self_align_sampling());

  // Keys of its own, because one recipe may serve `ppo` too, which rejects values of top_p other than 1.
  const config section = options.section("self_align");
  self_align_options read{.rules = shipped_file("principles/self_align.json"),
                          .exemplars = shipped_file("prompts/self_align_exemplars.json"),
                          .template_name = shipped_file("prompts/self_align.txt"),
                          .max_new_tokens = out.generation.max_new_tokens,
                          .slots = out.engine.slots,
                          .top_p = out.generation.top_p};
  read_options(section, read, {"thoughts_opening"});
  out.prompts = read.prompts;
  out.columns = read.columns;
  out.rejected = read.rejected;
  out.batch = read.batch;
  out.limit = read.limit;
  out.max_question_tokens = read.max_question_tokens;
  out.engine.slots = read.slots;
  out.generation.max_new_tokens = read.max_new_tokens;
  out.generation.top_p = read.top_p;
  const auto rules = find_principle_file(read.rules);
  if (!may_lack_files || !(is_missing(rules) || is_missing(read.exemplars) || is_missing(read.template_name))) {
    out.rules = load_principles(rules);
    out.prompt.emplace(load_template(template_kind::self_align, read.template_name), out.rules,
                       load_exemplars(read.exemplars));
    out.generation.stop = {out.prompt->stop()};
  }
  out.generation.stop.insert(out.generation.stop.end(), read.stop.begin(), read.stop.end());
  read.filters.thoughts_opening = out.prompt ? out.prompt->thoughts_opening() : "";
  read_only(section, read, {"thoughts_opening"});
  out.filters = read.filters;
  return out;
}

}  // namespace coho::trainer
