#include <coho/error.hpp>

#include "commands/commands.hpp"
#include "report/run_folder.hpp"
#include "report/run_report.hpp"

namespace coho::trainer {
namespace {

namespace fs = std::filesystem;

// One name a run: as they are given, or in one text with commas between.
std::vector<std::string> read_names(const config& options, const std::vector<fs::path>& paths) {
  const auto given = options.get<std::vector<std::string>>("report.names", {});
  if (given.empty()) return run_names(paths);
  std::vector<std::string> out = given;
  if (given.size() == 1 && paths.size() > 1) {
    out.assign(1, {});
    for (const char c : given.front()) {
      if (c == ',') {
        out.emplace_back();
      } else {
        out.back() += c;
      }
    }
  }
  options.check(out.size() == paths.size(), "report.names",
                "one name for each of the " + std::to_string(paths.size()) + " runs");
  return out;
}

// The page of one run lies with it, that of several belongs to none of them.
fs::path page_path(const stage_context& context, const std::vector<fs::path>& runs) {
  fs::path out = context.out_or(runs.size() == 1 ? runs.front() / "report.html" : fs::path("report.html"));
  if (fs::is_directory(out)) out /= "report.html";
  std::error_code failure;
  if (out.has_parent_path()) fs::create_directories(out.parent_path(), failure);
  if (failure) throw file_error(out.string(), "", "cannot be written: " + failure.message());
  return out;
}

}  // namespace

void run_report(const config& options, stage_context& context) {
  const auto given = options.require<std::vector<std::string>>("report.runs", "the output folders of training runs");
  run_report_options settings;
  settings.title = options.get<std::string>("report.title", "");
  settings.smoothing = options.get<double>("report.smooth", settings.smoothing);
  settings.samples = options.get<std::size_t>("report.samples", settings.samples);
  options.check(settings.smoothing >= 0 && settings.smoothing < 1, "report.smooth", "at least 0 and below 1");
  if (context.dry_run) {
    static_cast<void>(options.get<std::vector<std::string>>("report.names", {}));
    return context.rehearse(options);
  }
  options.check(!given.empty(), "report.runs", "a folder or several");
  std::vector<fs::path> paths;
  for (const auto& path : given)
    for (auto& run : find_runs(path)) paths.push_back(std::move(run));
  const auto names = read_names(options, paths);
  if (!context.begin(options)) return;
  std::vector<run_folder> runs;
  for (std::size_t i = 0; i < paths.size(); ++i) {
    context.stop_if_interrupted();
    std::string note;
    runs.push_back(read_run(paths[i], &note));
    runs.back().name = names[i];
    if (!note.empty()) context.log(note);
  }
  const fs::path out = page_path(context, paths);
  if (settings.title.empty()) settings.title = runs.size() == 1 ? runs.front().name : "Training runs";
  write_report(out, make_run_report(runs, settings));
  context.log(out.string());
}

subcommand make_report_command() {
  return {.name = "report",
          .help = "make a page with the curves, figures and responses of training runs",
          .run = run_report,
          .flags = {{.name = "runs",
                     .key = "report.runs",
                     .help = "output folders of training runs, or folders that hold some",
                     .repeatable = true},
                    {.name = "--names",
                     .key = "report.names",
                     .help = "names of the runs, in their order: a,b,c",
                     .repeatable = true},
                    {"--title", "report.title", "title of the page"},
                    {"--smooth", "report.smooth", "weight of the moving average, from 0 (none) to below 1"},
                    {"--samples", "report.samples", "prompts whose responses are shown"}},
          .sections = {"report"},
          .group = "Use"};
}

}  // namespace coho::trainer
