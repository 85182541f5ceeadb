#include <coho/error.hpp>

#include "commands/commands.hpp"
#include "report/run_folder.hpp"
#include "report/run_report.hpp"
#include "run/stage.hpp"

namespace coho::trainer {
namespace {

namespace fs = std::filesystem;

// One name per run: as given, or comma-separated in one text.
std::vector<std::string> names_of(const config& options, const std::vector<std::string>& given,
                                  const std::vector<fs::path>& paths) {
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

// The page of one run goes into its folder, that of several into none of them.
fs::path page_path(const stage_context& context, const std::vector<fs::path>& runs) {
  fs::path out = context.out_or(runs.size() == 1 ? runs.front() / "report.html" : fs::path("report.html"));
  if (fs::is_directory(out)) out /= "report.html";
  std::error_code failure;
  if (out.has_parent_path()) fs::create_directories(out.parent_path(), failure);
  if (failure) throw file_error(out.string(), "", "cannot be written: " + failure.message());
  return out;
}

class report_stage : public stage {
 public:
  report_stage(const config& options, stage_context&)
      : given_(options.require<std::vector<std::string>>("report.runs", "the output folders of training runs")),
        names_given_(options.get<std::vector<std::string>>("report.names", {})) {
    settings_.title = options.get<std::string>("report.title", "");
    settings_.smoothing = options.get<double>("report.smooth", settings_.smoothing);
    settings_.samples = options.get<std::size_t>("report.samples", settings_.samples);
    options.check(settings_.smoothing >= 0 && settings_.smoothing < 1, "report.smooth", "at least 0 and below 1");
    options.check(!given_.empty(), "report.runs", "a folder or several");
  }

  void load(const config& options, stage_context&) override {
    for (const auto& path : given_)
      for (auto& run : find_runs(path)) paths_.push_back(std::move(run));
    names_ = names_of(options, names_given_, paths_);
  }

  void run(stage_context& context) override {
    std::vector<run_folder> runs;
    for (std::size_t i = 0; i < paths_.size(); ++i) {
      context.stop_if_interrupted();
      std::string note;
      runs.push_back(read_run(paths_[i], &note));
      runs.back().name = names_[i];
      if (!note.empty()) context.log(note);
    }
    const fs::path out = page_path(context, paths_);
    if (settings_.title.empty()) settings_.title = runs.size() == 1 ? runs.front().name : "Training runs";
    write_report(out, make_run_report(runs, settings_));
    context.log(out.string());
  }

 private:
  std::vector<std::string> given_, names_given_;
  run_report_options settings_;
  std::vector<fs::path> paths_;
  std::vector<std::string> names_;
};

}  // namespace

void run_report(const config& options, stage_context& context) { run_stage<report_stage>(options, context); }

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
