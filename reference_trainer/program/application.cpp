#include "program/application.hpp"

#include <algorithm>
#include <iostream>
#include <utility>

#include <CLI/CLI.hpp>

#include "config/spelling.hpp"
#include "distributed/launch.hpp"
#include "distributed/process_group.hpp"
#include "files/notices.hpp"
#include "jsonl/bad_records.hpp"
#include "jsonl/dropped_parts.hpp"
#include "llama/position_watch.hpp"
#include "program/stage_options.hpp"
#include "run/exit_codes.hpp"
#include "run/interruption.hpp"
#include "run/ranks.hpp"
#include "run/report_error.hpp"
#include "run/valid_output.hpp"

namespace coho::trainer {

namespace {

struct common_flags {
  std::string recipe, seed, threads, out, device;
  std::vector<std::string> overrides;
  bool resume = false, dry_run = false, quiet = false, skip_bad = false;
};

struct parsed_flag {
  const stage_flag* flag;
  std::vector<std::string> values;
  CLI::Option* option = nullptr;
};

void add_common(CLI::App& app, common_flags& flags) {
  const auto group = "Common options";
  app.add_option("-c,--config", flags.recipe, "recipe: a TOML file, or the name of a built-in one")
      ->group(group)
      ->type_name("FILE");
  app.add_option("--set", flags.overrides, "override a recipe's key; may be repeated")
      ->group(group)
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
  app.add_option("--out", flags.out, "where results go")->group(group)->type_name("PATH");
  app.add_option("--seed", flags.seed, "seed of all random numbers")->group(group)->type_name("N");
  app.add_option("--threads", flags.threads, "threads to use")->group(group)->type_name("N");
  app.add_option("--device", flags.device, "cpu, cuda or cuda:1")->group(group)->type_name("NAME");
  app.add_flag("--resume", flags.resume, "go on from where an interrupted run stopped")->group(group);
  app.add_flag("--dry-run", flags.dry_run, "print the resolved configuration and a plan of memory and time, and stop")
      ->group(group);
  app.add_flag("--skip-bad", flags.skip_bad,
               "pass over records that cannot be used, with a note each, instead of stopping")
      ->group(group);
  app.add_flag("-q,--quiet", flags.quiet, "no progress and no log lines")->group(group);
}

// CLI11 says "The following argument was not expected: --modle"; naming the nearest flag helps more with a typo.
std::string explain_usage(const CLI::App& app, const CLI::ParseError& problem, int argc, const char* const* argv) {
  const CLI::App* active = &app;
  for (const auto* chosen : app.get_subcommands()) active = chosen;
  std::vector<std::string> known;
  if (active == &app) {
    for (const auto* sub : app.get_subcommands([](const CLI::App*) { return true; })) known.push_back(sub->get_name());
  }
  for (const auto* option : active->get_options()) {
    for (const auto& name : option->get_lnames()) known.push_back("--" + name);
    for (const auto& name : option->get_snames()) known.push_back("-" + name);
  }
  for (int i = 1; i < argc; ++i) {
    const std::string word = std::string(argv[i]).substr(0, std::string_view(argv[i]).find('='));
    if (active != &app && word == active->get_name()) continue;
    if (std::ranges::find(known, word) != known.end()) continue;
    if (!word.starts_with("-") && active != &app) continue;
    const auto meant = nearest(word, known);
    const std::string kind = word.starts_with("-") ? "unknown flag " : "unknown subcommand ";
    return kind + word + (meant.empty() ? "" : "; did you mean " + meant + "?");
  }
  return problem.what();
}

// The counts of a run.
void say_counts(stage_context& context) {
  for (const auto& line : dropped_parts::of_run().take_lines()) context.log(line);
  const auto& positions = position_watch::instance();
  if (positions.count() > 1)
    context.log("note: " + std::to_string(positions.count()) +
                " times a sequence was read that is longer than the model is made for; the longest had " +
                std::to_string(positions.longest()) + " tokens");
  if (const auto count = bad_records::setting().count(); count > 0)
    context.log(std::to_string(count) + " records that cannot be used were passed over");
}

// Runs a subcommand. Messages from code without a context go to its terminal, each line once; counts are printed at
// the end, even if the stage fails: they may tell why.
void run_noted(const subcommand& command, const config& options, stage_context& context, bool skip_bad) {
  const auto print = [terminal = context.terminal](std::string_view line) { terminal->print(line); };
  auto& bad = bad_records::setting();
  if (skip_bad) {
    bad.skip_all();
  } else {
    bad.refuse_all();
  }
  dropped_parts::of_run().clear();
  notices::setting().send_to(print);
  position_watch::instance().clear();
  try {
    command.run(options, context);
  } catch (...) {
    say_counts(context);
    throw;
  }
  say_counts(context);
}

}  // namespace

application::application(std::string name, std::string description, std::string version)
    : name_(std::move(name)), description_(std::move(description)), version_(std::move(version)) {}

void application::add(subcommand command) { commands_.push_back(std::move(command)); }
void application::add_recipe_folder(std::filesystem::path folder) { recipe_folders_.push_back(std::move(folder)); }

std::filesystem::path application::find_recipe(const std::string& name) const {
  std::error_code ignored;
  const bool folder_of_that_name = std::filesystem::is_directory(name, ignored);
  if (std::filesystem::exists(name, ignored) && !folder_of_that_name) return name;
  std::vector<std::string> known;
  for (const auto& folder : recipe_folders_) {
    // "recipes/NAME.toml" is equivalent to NAME, in any working folder.
    for (const auto& candidate : {folder / name, folder / (name + ".toml"), folder.parent_path() / name}) {
      if (std::filesystem::is_regular_file(candidate, ignored)) return candidate;
    }
    for (const auto& entry : std::filesystem::directory_iterator(folder, ignored)) {
      if (entry.path().extension() == ".toml") known.push_back(entry.path().stem().string());
    }
  }
  if (folder_of_that_name) return name;  // reading it reports the error
  const auto meant = nearest(std::filesystem::path(name).stem().string(), known);
  throw file_error(name, "", "no such recipe", meant.empty() ? "" : "did you mean the built-in recipe " + meant + "?");
}

int application::run(int argc, const char* const* argv) {
  const valid_output out(std::cout), err(std::cerr);
  try {
    return dispatch(argc, argv);
  } catch (...) {
    std::cout.flush();
    std::string program = name_;
    for (int i = 1; i < argc; ++i) {
      if (std::ranges::any_of(commands_, [&](const subcommand& c) { return c.name == argv[i]; })) {
        program += " " + std::string(argv[i]);
        break;
      }
    }
    return fail(program, std::current_exception());
  }
}

int application::fail(const std::string& program, std::exception_ptr failure) {
  if (!ranks_) {
    // Before the processes are connected they all fail alike: one of them reports it.
    const auto described = describe_error(failure);
    return read_launch().rank.value_or(0) == 0 ? report_error(std::cerr, program, failure)
                                               : static_cast<int>(described.code);
  }
  return end_ranks(*ranks_, program, failure);
}

namespace {

// The end of a stage's help.
std::string help_on_options(const subcommand& command) {
  const auto keys = options_of(command);
  return keys.empty() ? std::string() : "Options, as keys of a recipe and of --set:\n" + option_table(keys);
}

// Of a flag: its own, or the meaning of its key.
std::string help_of(const stage_flag& flag, const subcommand& command) {
  if (!flag.help.empty()) return flag.help;
  for (const auto& section : command.options)
    for (const auto& option : section.options)
      if (option.key == flag.key) return option.meaning;
  return {};
}

/// The parsed command line; `app` and its parts refer to each other.
struct command_line {
  CLI::App app;
  std::string planned;
  common_flags common;
  std::vector<std::vector<parsed_flag>> parsed;  ///< of each subcommand
  std::vector<CLI::App*> apps;

  command_line(const std::vector<subcommand>& commands, const std::string& name, const std::string& description,
               const std::string& version)
      : app(description, name), parsed(commands.size()) {
    app.set_version_flag("--version", name + " " + version);
    app.add_option("--dry-run", planned, "plan memory and time of every stage that a recipe holds")
        ->type_name("RECIPE");
    app.require_subcommand(1);
    for (std::size_t i = 0; i < commands.size(); ++i) {
      apps.push_back(app.add_subcommand(commands[i].name, commands[i].help)->group(commands[i].group));
      add_flags(*apps.back(), commands[i], parsed[i]);
      add_common(*apps.back(), common);
      apps.back()->footer([&command = commands[i]] { return help_on_options(command); });
    }
  }
  command_line(const command_line&) = delete;
  command_line& operator=(const command_line&) = delete;

  std::size_t chosen() const {
    return static_cast<std::size_t>(std::ranges::find_if(apps, [](const CLI::App* a) { return a->parsed(); }) -
                                    apps.begin());
  }

  /// Sets the given keys: the subcommand's flags, then the common ones, then --set.
  void apply(config& options) const {
    for (const auto& entry : parsed[chosen()]) {
      if (entry.option->count() == 0) continue;
      const auto origin = entry.flag->name.substr(entry.flag->name.rfind(',') + 1);
      if (!entry.flag->fixed_value.empty()) {
        options.set_text(entry.flag->key, entry.flag->fixed_value, origin);
      } else if (entry.flag->repeatable && entry.values.size() > 1) {
        options.set_list(entry.flag->key, entry.values, origin);
      } else {
        options.set_text(entry.flag->key, entry.values.back(), origin + " " + entry.values.back());
      }
    }
    const std::pair<const char*, const std::string*> shared[] = {
        {"seed", &common.seed}, {"threads", &common.threads}, {"out", &common.out}, {"device", &common.device}};
    for (const auto& [key, value] : shared) {
      if (!value->empty()) options.set_text(key, *value, "--" + std::string(key) + " " + *value);
    }
    for (const auto& entry : common.overrides) options.set(entry);
  }

 private:
  static void add_flags(CLI::App& app, const subcommand& command, std::vector<parsed_flag>& into) {
    into.reserve(command.flags.size());
    for (const auto& flag : command.flags) {
      const std::string help = help_of(flag, command);
      auto& entry = into.emplace_back(parsed_flag{&flag, {}});
      if (!flag.fixed_value.empty()) {
        entry.option = app.add_flag(flag.name, help);
      } else {
        entry.option = app.add_option(flag.name, entry.values, help)
                           ->type_name("VALUE")
                           ->allow_extra_args(flag.repeatable && !flag.name.starts_with("-"));
        if (!flag.repeatable) entry.option->expected(1);
      }
    }
  }
};

}  // namespace

int application::dispatch(int argc, const char* const* argv) {
  if (argc > 2 && std::string_view(argv[1]) == "--dry-run") return plan_recipe({argv, static_cast<std::size_t>(argc)});
  command_line line(commands_, name_, description_, version_);
  if (argc < 2) {
    std::cerr << line.app.help();
    return static_cast<int>(exit_code::usage);
  }
  try {
    line.app.parse(argc, argv);
  } catch (const CLI::CallForHelp& request) {
    return line.app.exit(request);
  } catch (const CLI::CallForVersion& request) {
    return line.app.exit(request);
  } catch (const CLI::ParseError& problem) {
    throw usage_error(explain_usage(line.app, problem, argc, argv) + " (see " + name_ + " --help)");
  }

  const auto& command = commands_[line.chosen()];
  const common_flags& common = line.common;
  const std::string& recipe = common.recipe.empty() ? command.recipe : common.recipe;
  auto options = recipe.empty() ? config() : config::load(find_recipe(recipe));
  line.apply(options);
  for (const auto& other : commands_) options.allow_sections(other.sections());

  // Planning a whole recipe needs no other processes, and MPI can start only once per process.
  ranks_ = on_rehearsal_ ? nullptr : start_ranks(command.name, command.parallel);
  install_interrupt_handlers();
  stage_context context(command.name, options, common.resume, common.dry_run, common.quiet, ranks_);
  context.on_rehearsal = on_rehearsal_;
  run_noted(command, options, context, common.skip_bad);
  if (!std::cout.flush()) throw output_error("standard output cannot be written");
  if (ranks_) ranks_->carrier().finish();
  return static_cast<int>(exit_code::success);
}

std::vector<recipe_stage> stages_of(const config& recipe, const std::vector<subcommand>& commands) {
  const auto sections = recipe.keys();
  const auto holds = [&](std::string name) {
    std::ranges::replace(name, '-', '_');  // the stage self-align has the section self_align
    return std::ranges::find(sections, name) != sections.end();
  };
  std::vector<recipe_stage> out;
  for (const auto& command : commands) {
    // The demo passes file names to the sections of the other stages.
    if (holds("demo") && command.name != "demo") continue;
    for (const auto& variant : command.variants)
      if (holds(variant.section)) out.push_back({&command, &variant});
    if (holds(command.name)) out.push_back({&command});
  }
  return out;
}

int application::plan_recipe(std::span<const char* const> words) {
  if (words[2][0] == '-') throw usage_error("--dry-run: a recipe comes next (see " + name_ + " --help)");
  if (read_launch().rank.value_or(0) > 0) return static_cast<int>(exit_code::success);  // rank 0 reports it
  const auto recipe = find_recipe(words[2]).string();
  application planner = *this;
  const auto stages = stages_of(config::load(recipe), commands_);
  if (stages.empty()) throw config_error(recipe + ": holds the section of no stage");
  std::vector<std::string> without;
  for (const auto& stage : stages) {
    planner.on_rehearsal_ = [&](const config&, const std::function<std::string()>& estimate) {
      if (!estimate) {
        without.push_back(stage.title());
        return;
      }
      std::cout << "== " << stage.title() << '\n' << estimate() << "\n\n";
    };
    std::vector<const char*> line{words[0], stage.command->name.c_str(), "--config", recipe.c_str(), "--dry-run"};
    if (stage.variant) line.push_back(stage.variant->flag.c_str());
    line.insert(line.end(), words.begin() + 3, words.end());
    planner.dispatch(static_cast<int>(line.size()), line.data());
  }
  const char* gap = "not planned: ";
  for (const auto& title : without) std::cout << std::exchange(gap, ", ") << title;
  std::cout << (without.empty() ? "" : "\n") << std::flush;
  return static_cast<int>(exit_code::success);
}

}  // namespace coho::trainer
