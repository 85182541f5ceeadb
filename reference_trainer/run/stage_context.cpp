#include "run/stage_context.hpp"

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <sstream>
#include <thread>
#include <unistd.h>
#include <utility>

#include "config/read_options.hpp"
#include "distributed/launch.hpp"
#include "distributed/process_group.hpp"
#include "distributed/same_run.hpp"
#include "run/interruption.hpp"
#include "run/report_error.hpp"
#include "run/resumed_recipe.hpp"
#include "run/run_recipe.hpp"

namespace coho::trainer {

namespace {

// All cores, or with several ranks a rank's part of its machine's.
std::size_t default_threads(process_group& ranks) {
  return ranks.size() > 1 ? threads_per_rank(ranks.carrier()) : std::max(1u, std::thread::hardware_concurrency());
}

// Whether stderr is a terminal on which a line can be redrawn: the "dumb" ones of editors cannot.
bool is_terminal() {
  const char* kind = std::getenv("TERM");
  return ::isatty(2) != 0 && (kind == nullptr || std::string_view(kind) != "dumb");
}

}  // namespace

stage_context::stage_context(std::string stage, const config& options, bool resume_run, bool dry, bool silent,
                             std::shared_ptr<process_group> group)
    : name(std::move(stage)),
      resume(resume_run),
      dry_run(dry),
      ranks(group ? std::move(group) : std::make_shared<process_group>()),
      recipe_(options) {
  quiet = silent || !ranks->first();
  terminal = std::make_shared<console>(std::cerr, is_terminal(), quiet);
  auto general = read_section<general_options>(options, {.threads = default_threads(*ranks)});
  seed = general.seed;
  threads = general.threads;
  device = std::move(general.device);
  if (general.out) out = *general.out;
}

void general_options::check_constraints(const config& section) const {
  const bool numbered = device.starts_with("cuda:") && device.size() > 5 && device.size() < 8 &&
                        device.find_first_not_of("0123456789", 5) == std::string::npos;
  section.check(device == "cpu" || device == "cuda" || numbered, "device", "cpu, cuda or cuda:0, cuda:1, …");
}

void stage_context::end_dry_run(const config& options, const std::function<std::string()>& estimate) {
  options.check_unknown();
  if (on_dry_run) return on_dry_run(options, estimate);
  if (!ranks->first()) return;
  // The plan comes first: where it fails nothing is printed.
  std::istringstream lines(estimate ? estimate() : std::string());
  std::cout << options.resolved();
  // As comments: the output is still a recipe.
  const char* gap = "\n";
  for (std::string line; std::getline(lines, line); gap = "")
    std::cout << gap << (line.empty() ? "#" : "# ") << line << '\n';
  std::cout.flush();
}

void stage_context::start_run(const config& options, const std::filesystem::path& directory) {
  options.check_unknown();
  stop_if_interrupted();
  if (ranks->size() > 1) require_same_run(*ranks, run_fingerprints(options.resolved(), options.read_paths()));
  if (directory.empty()) return;
  if (ranks->first()) {
    std::error_code failure;
    std::filesystem::create_directories(directory, failure);
    if (failure) throw output_error(directory.string() + ": cannot be made: " + failure.message());
    // A checkpoint that is refused later leaves the recipe that it belongs to.
    if (!resume || !has_checkpoint(directory)) save_recipe(directory);
  }
  ranks->barrier();
}

void stage_context::save_recipe(const std::filesystem::path& directory) const {
  if (ranks->first()) save_run_recipe(recipe_, recipe_in_folder(directory));
}

bool stage_context::interrupted() const noexcept { return trainer::interrupted(); }

bool stage_context::interrupted_anywhere() {
  if (!ranks->any(interrupted())) return false;
  agree_to_stop();
  ranks->announce_agreed_stop();
  return true;
}

void stage_context::stop_if_interrupted() const {
  if (interrupted()) throw interrupted_error();
}

}  // namespace coho::trainer
