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
#include "observe/format.hpp"
#include "program/find_recipe.hpp"
#include "program/run_subcommand.hpp"
#include "program/stage_options.hpp"
#include "run/exit_codes.hpp"
#include "run/interruption.hpp"
#include "run/ranks.hpp"
#include "run/report_error.hpp"
#include "run/valid_output.hpp"

namespace coho::trainer {

namespace {

// What the common flags were given.
struct common_values {
  std::string recipe, seed, threads, out, device;
  std::vector<std::string> overrides;
  bool resume = false, dry_run = false, quiet = false, skip_bad = false;
};

// A flag of a subcommand with what the command line gave it.
struct parsed_flag {
  const stage_flag* flag;
  std::vector<std::string> values;
  CLI::Option* option = nullptr;
};

// In the column that CLI11 gives it: help is read on 100 columns.
constexpr std::size_t help_column = 30, help_width = 70;

// A flag's help on lines of the width that CLI11 leaves it.
std::string wrap_help(const std::string& help) {
  std::string out;
  for (const auto& line : wrap_text(help, help_width)) out += (out.empty() ? "" : "\n") + line;
  return out;
}

// The flags of every subcommand; their values go to `flags`.
void add_common(CLI::App& app, common_values& flags) {
  const auto add_value = [&](const char* names, auto& value) {
    const auto& about = find_common_flag(names);
    return app.add_option(names, value, wrap_help(about.help))->group("Common options")->type_name(about.value);
  };
  const auto add_switch = [&](const char* names, bool& value) {
    app.add_flag(names, value, wrap_help(find_common_flag(names).help))->group("Common options");
  };
  add_value("-c,--config", flags.recipe);
  add_value("--set", flags.overrides)->allow_extra_args(false);
  add_value("--out", flags.out);
  add_value("--seed", flags.seed);
  add_value("--threads", flags.threads);
  add_value("--device", flags.device);
  add_switch("--resume", flags.resume);
  add_switch("--dry-run", flags.dry_run);
  add_switch("--skip-bad", flags.skip_bad);
  add_switch("-q,--quiet", flags.quiet);
}

// The message for a command line that does not parse. CLI11 says "The following argument was not expected: --modle";
// naming the nearest flag or subcommand helps more with a typo.
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

// What a run left out or cut, which is counted and reported once.
void log_counts(stage_context& context) {
  for (const auto& line : dropped_parts::of_run().drain_lines()) context.log(line);
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
void run_with_notices(const subcommand& command, const config& options, stage_context& context, bool skip_bad) {
  const auto print = [terminal = context.terminal](std::string_view line) { terminal->print(line); };
  auto& bad = bad_records::setting();
  if (skip_bad) {
    bad.skip_bad_records();
  } else {
    bad.refuse_bad_records();
  }
  dropped_parts::of_run().clear();
  notices::setting().send_to(print);
  position_watch::instance().clear();
  try {
    run_subcommand(command, options, context);
  } catch (...) {
    log_counts(context);
    throw;
  }
  log_counts(context);
}

}  // namespace

application::application(std::string name, std::string description, std::string version)
    : name_(std::move(name)), description_(std::move(description)), version_(std::move(version)) {}

void application::add(subcommand command) { commands_.push_back(std::move(command)); }
void application::add_recipe_folder(std::filesystem::path folder) { recipe_folders_.push_back(std::move(folder)); }

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
    return report_failure(program, std::current_exception());
  }
}

int application::report_failure(const std::string& program, std::exception_ptr failure) {
  if (!ranks_) {
    // Before the processes are connected they all fail alike: one of them reports it.
    const auto described = describe_error(failure);
    return read_launch_environment().rank.value_or(0) == 0 ? report_error(std::cerr, program, failure)
                                                           : static_cast<int>(described.code);
  }
  return end_ranks(*ranks_, program, failure);
}

namespace {

// The end of a stage's --help: the table of its options; empty where it has none.
std::string option_help(const subcommand& command) {
  const auto keys = stage_options(command);
  return keys.empty() ? std::string() : "Options, as keys of a recipe and of --set:\n\n" + option_table(keys);
}

// The help of a flag: its own, or the meaning of its key.
std::string flag_help(const stage_flag& flag, const subcommand& command) {
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
  common_values common;
  std::vector<std::vector<parsed_flag>> parsed;  ///< of each subcommand
  std::vector<CLI::App*> apps;

  command_line(const std::vector<subcommand>& commands, const std::string& name, const std::string& description,
               const std::string& version)
      : app(description, name), parsed(commands.size()) {
    app.get_formatter()->column_width(help_column);
    app.set_version_flag("--version", name + " " + version);
    app.add_option("--dry-run", planned, "plan memory and time of every stage that a recipe holds")
        ->type_name("RECIPE");
    app.require_subcommand(1);
    for (std::size_t i = 0; i < commands.size(); ++i) {
      apps.push_back(app.add_subcommand(commands[i].name, wrap_help(commands[i].help))->group(commands[i].group));
      add_flags(*apps.back(), commands[i], parsed[i]);
      add_common(*apps.back(), common);
      apps.back()->footer([&command = commands[i]] { return option_help(command); });
    }
  }
  command_line(const command_line&) = delete;
  command_line& operator=(const command_line&) = delete;

  /// The number of the subcommand that was given, once the line is parsed.
  std::size_t chosen() const {
    return static_cast<std::size_t>(std::ranges::find_if(apps, [](const CLI::App* a) { return a->parsed(); }) -
                                    apps.begin());
  }

  /// Refuses a common flag with an empty value, which would read as one that is not given.
  void check_values() const {
    for (const char* name : {"--config", "--seed", "--threads", "--out", "--device"}) {
      const auto* flag = apps[chosen()]->get_option(name);
      if (flag->count() > 0 && flag->as<std::string>().empty())
        throw usage_error(std::string(name) + " \"\": expected a value; leave the flag out for the default");
    }
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
  // The flags of a subcommand; `into` is not to move afterwards, as CLI11 keeps references to its values.
  static void add_flags(CLI::App& app, const subcommand& command, std::vector<parsed_flag>& into) {
    into.reserve(command.flags.size());
    for (const auto& flag : command.flags) {
      const std::string help = wrap_help(flag_help(flag, command));
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

  line.check_values();
  const auto& command = commands_[line.chosen()];
  const common_values& common = line.common;
  const std::string& recipe = common.recipe.empty() ? command.recipe : common.recipe;
  auto options = recipe.empty() ? config() : config::load(find_recipe(recipe, recipe_folders_));
  line.apply(options);
  for (const auto& other : commands_) options.allow_sections(other.sections());
  options.allow_keys(shared_keys(commands_));
  if (on_dry_run_ || command.shares_overrides) options.share_overrides();
  if (on_dry_run_) require_reader_of_overrides(options, planned_, commands_);

  // Planning a whole recipe needs no other processes, and MPI can start only once per process.
  ranks_ = on_dry_run_ ? nullptr : start_ranks(command.name, command.parallel);
  install_interrupt_handlers();
  stage_context context(command.name, options, common.resume, common.dry_run, common.quiet, ranks_);
  context.on_dry_run = on_dry_run_;
  run_with_notices(command, options, context, common.skip_bad);
  if (!std::cout.flush()) throw output_error("standard output cannot be written");
  if (ranks_) ranks_->carrier().finish();
  return static_cast<int>(exit_code::success);
}

int application::plan_recipe(std::span<const char* const> words) {
  if (words[2][0] == '-') throw usage_error("--dry-run: a recipe comes next (see " + name_ + " --help)");
  if (read_launch_environment().rank.value_or(0) > 0) return static_cast<int>(exit_code::success);  // rank 0 reports it
  const auto recipe = find_recipe(words[2], recipe_folders_).string();
  application planner = *this;
  const auto stages = recipe_stages(config::load(recipe), commands_);
  planner.planned_ = stages;
  if (stages.empty()) throw config_error(recipe + ": holds the section of no stage");
  std::vector<std::string> without;
  for (const auto& stage : stages) {
    planner.on_dry_run_ = [&](const config&, const std::function<std::string()>& estimate) {
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
