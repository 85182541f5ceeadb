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

namespace {

namespace fs = std::filesystem;

constexpr std::size_t default_new_tokens = 640;

}  // namespace

self_align_settings read_self_align_settings(const config& options, bool may_lack_files) {
  const config section = options.section("self_align");
  self_align_settings out;
  out.prompts = section.require<fs::path>("prompts", "the file of prompts");
  out.adapter = options.get<fs::path>("model.adapter", {});
  out.rejected = section.get<std::string>("rejected", "");  // not the path of an input
  const auto rules = principle_file(section.get<fs::path>("rules", shipped("principles/self_align.json")));
  const auto exemplars = section.get<fs::path>("exemplars", shipped("prompts/self_align_exemplars.json"));
  const auto wording = section.get<fs::path>("template", shipped("prompts/self_align.txt"));
  out.batch = section.get<std::size_t>("batch", out.batch);
  out.limit = section.get<std::size_t>("limit", 0);
  out.max_question_tokens = section.get<std::size_t>("max_question_tokens", 0);
  section.check(out.batch > 0, "batch", "at least 1");
  out.model = read_model_settings(options);
  out.engine = read_engine(options);
  out.engine.slots = section.get<std::int64_t>("slots", out.engine.slots);
  section.check(out.engine.slots > 0, "slots", "at least 1");
  out.generation =
      read_generation(options, std::vector<std::string>{}, {.max_new_tokens = default_new_tokens, .temperature = 0.7});
  out.generation.max_new_tokens = section.get<std::size_t>("max_new_tokens", out.generation.max_new_tokens);
  section.check(out.generation.max_new_tokens > 0, "max_new_tokens", "at least 1");
  // A separate key: `ppo`, which shares the section `generation`, rejects values other than 1.
  out.generation.top_p = section.get<double>("top_p", out.generation.top_p);
  section.check(out.generation.top_p > 0 && out.generation.top_p <= 1, "top_p", "above 0 and at most 1");
  const auto stops = section.get<std::vector<std::string>>("stop", {});
  for (const auto& stop : stops) section.check(!stop.empty(), "stop", "a list of texts that are not empty");
  if (!may_lack_files || !(not_there(rules) || not_there(exemplars) || not_there(wording))) {
    out.rules = load_principles(rules);
    out.prompt.emplace(load_template(template_kind::self_align, wording), out.rules, load_exemplars(exemplars));
    out.generation.stop = {out.prompt->stop()};
  }
  out.generation.stop.insert(out.generation.stop.end(), stops.begin(), stops.end());
  out.filters = read_self_align_filters(options, out.prompt ? out.prompt->opening() : "");
  return out;
}

self_align_filter_options read_self_align_filters(const config& options, const std::string& opening) {
  const config section = options.section("self_align");
  self_align_filter_options out;
  for (std::size_t i = 0; i < self_align_faults.size(); ++i)
    if (i != static_cast<std::size_t>(self_align_fault::unfinished))
      out.on[i] = section.get<bool>("filters." + std::string(self_align_faults[i]), true);
  section.check(!section.has("filters.unfinished"), "filters.unfinished",
                "unset: self_align.unfinished = \"keep\", \"trim\" or \"drop\" decides about such answers");
  out.thoughts_opening = opening;
  read_options(section, out);
  out.on[static_cast<std::size_t>(self_align_fault::unfinished)] = out.unfinished == unfinished_answer::drop;
  return out;
}

}  // namespace coho::trainer
