#include "rollouts/rl_prompts.hpp"

#include <algorithm>
#include <numeric>
#include <span>
#include <utility>

#include <coho/error.hpp>

#include "config/read_options.hpp"
#include "files/data_files.hpp"
#include "resources/principle_file.hpp"

namespace coho::trainer {

void guideline_options::check_constraints(const config& section) const {
  section.check(!interventions.empty() || use_interventions.empty(), "use_interventions",
                "left out unless ppo.interventions names the file");
  refuse_unused(section, "intervention_position", interventions.empty() && position != guideline_options{}.position,
                "interventions", "without ppo.interventions");
}

guideline_source::guideline_source(const guideline_options& options, bool dry_run) {
  const auto& [path, interventions, names, count, position] = options;
  if (!interventions.empty() && !(dry_run && is_missing(find_principle_file(interventions)))) {
    interventions_ = load_interventions(find_principle_file(interventions));
    if (!names.empty()) {
      intervention_set chosen = interventions_.all_off();
      try {
        for (const auto& name : names) chosen = chosen.with(name);
      } catch (const argument_error& unknown) {
        throw config_error(std::string("ppo.use_interventions: ") + unknown.what());
      }
      interventions_ = chosen;
    }
  }
  if (path.empty() || (dry_run && is_missing(find_principle_file(path)))) return;
  composer_.emplace(principle_sampler(load_principles(find_principle_file(path)), {.count = count}), interventions_,
                    position);
}

std::vector<std::string> guideline_source::operator()(prompt_type type, const rng& step,
                                                      std::uint64_t prompt_key) const {
  if (composer_) return (*composer_)(type, step, prompt_key);
  rng random = step.split(prompt_key);
  return compose_guideline(interventions_, std::vector<std::string>{}, intervention_position::first, random);
}

std::vector<prompt_record> handle_long_prompts(std::vector<prompt_record> records, const prompter& prompts, bool drop,
                                               const std::filesystem::path& file, stage_context& context) {
  const std::size_t all = records.size();
  const auto is_long = [&](const prompt_record& record) { return !prompts.fits(record.messages()); };
  const auto count =
      static_cast<std::size_t>(drop ? std::erase_if(records, is_long) : std::ranges::count_if(records, is_long));
  const std::string limit = "prompt.max_tokens = " + std::to_string(prompts.max_tokens());
  if (records.empty())
    throw file_error(file.string(), "", "each of its " + std::to_string(all) + " prompts is longer than " + limit,
                     "raise it, or set ppo.long_prompts = \"cut\"");
  if (count > 0)
    context.log("note: " + std::to_string(count) + " of " + std::to_string(all) + " prompts of " + file.string() +
                " are longer than " + limit + " with the words around them, and " +
                (drop ? "are left out" : "lose their beginning"));
  return records;
}

std::vector<prompt_record> read_rl_prompts(const rl_prompt_options& options, const prompter& prompts,
                                           stage_context& context, std::size_t limit) {
  return handle_long_prompts(
      read_records<prompt_record>(options.prompts, limit, options.columns, layout_check(prompts)), prompts,
      options.long_ones == long_prompts::drop, options.prompts, context);
}

rl_prompt to_rl_prompt(const prompt_record& record, const prompter& prompts, std::vector<std::string> guideline,
                       std::uint64_t key) {
  return {.tokens = prompts.tokens(record.messages()),
          .text = record.text(),
          .type = record.type,
          .length_multiplier = record.length_bonus.value_or(1.0),
          .principles = std::move(guideline),
          .key = key};
}

rl_prompt_source::rl_prompt_source(std::vector<prompt_record> records, const prompter& prompts,
                                   guideline_source guidelines, std::size_t rollouts, std::size_t samples_per_prompt,
                                   std::uint64_t seed)
    : records_(std::move(records)),
      prompts_(&prompts),
      guidelines_(std::move(guidelines)),
      rollouts_(rollouts),
      samples_(samples_per_prompt),
      random_(rng(seed).split(stream_key("rl prompts"))) {
  check_sizes(rollouts_, samples_);
}

void rl_prompt_source::check_sizes(std::size_t rollouts, std::size_t samples) {
  require_option(samples > 0, "ppo.samples_per_prompt", samples, "at least 1");
  require_option(rollouts > 0 && rollouts % samples == 0, "ppo.rollouts", rollouts,
                 "at least 1 and a multiple of ppo.samples_per_prompt");
}

std::vector<rl_prompt> rl_prompt_source::operator()(std::uint64_t step) const {
  const std::size_t prompts_per_step = rollouts_ / samples_;
  std::vector<rl_prompt> out;
  std::vector<std::size_t> order(records_.size());
  std::uint64_t shuffled = std::numeric_limits<std::uint64_t>::max();
  for (std::size_t k = 0; k < prompts_per_step; ++k) {
    const std::uint64_t position = step * prompts_per_step + k, pass = position / records_.size();
    if (pass != shuffled) {
      std::iota(order.begin(), order.end(), std::size_t{0});
      rng random = random_.split(pass);
      random.shuffle(order);
      shuffled = pass;
    }
    const prompt_record& record = records_[order[position % records_.size()]];
    const auto lines = guidelines_(record.type, random_.split(stream_key("guideline")).split(step), k);
    for (std::size_t s = 0; s < samples_; ++s) out.push_back(to_rl_prompt(record, *prompts_, lines, k * samples_ + s));
  }
  return out;
}

}  // namespace coho::trainer
