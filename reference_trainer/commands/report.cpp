#include <fstream>
#include <string_view>

#include <coho/error.hpp>

#include "commands/commands.hpp"
#include "config/read_options.hpp"
#include "report/run_folder.hpp"
#include "report/run_report.hpp"
#include "run/stage.hpp"

namespace coho::trainer {
namespace {

namespace fs = std::filesystem;

// One name per run: as given, or comma-separated in one text, or the names of the folders. config_error unless there
// are as many as runs.
std::vector<std::string> choose_names(const config& options, const std::vector<std::string>& given,
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

constexpr std::string_view report_start = "<!DOCTYPE html>";

// Whether a file begins like the pages that this command writes, so that another report may replace it.
bool is_report(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  std::string start(report_start.size(), '\0');
  in.read(start.data(), static_cast<std::streamsize>(start.size()));
  return in.gcount() == 0 || start == report_start;
}

// Where the page is written: that of one run in its folder, that of several in none of them. Makes the folder.
fs::path page_path(const stage_context& context, const std::vector<fs::path>& runs) {
  fs::path out = context.out_or(runs.size() == 1 ? runs.front() / "report.html" : fs::path("report.html"));
  if (fs::is_directory(out)) out /= "report.html";
  if (fs::is_regular_file(out) && !is_report(out))
    throw config_error("out = " + out.string() + " is a file that is not a report: give another one");
  std::error_code failure;
  if (out.has_parent_path()) fs::create_directories(out.parent_path(), failure);
  if (failure) throw file_error(out.string(), "", "cannot be written: " + failure.message());
  return out;
}

struct report_options {
  std::vector<std::string> runs{}, names{};
  run_report_options page{.title = {}};

  static void describe(auto&& visit, auto&... o) {
    visit(required({"runs", "output folders of training runs, or folders that hold some"}), o.runs...);
    visit(otherwise("those of the folders", {"names", "names of the runs, in their order: a,b,c"}), o.names...);
    visit(otherwise("the run's name", {"title", "title of the page"}), o.page.title...);
    visit({"smooth", "weight of the moving average; 0: none", allowed::in_from(0, 1)}, o.page.smoothing...);
    visit({"samples", "number of prompts whose responses are shown", {}, "prompts"}, o.page.samples...);
  }
  // Throws config_error for an empty list.
  void check_constraints(const config& section) const { section.check(!runs.empty(), "runs", "a folder or several"); }
};

class report_stage : public stage {
 public:
  report_stage(const config& options, stage_context&)
      : read_(read_section<report_options>(options.section("report"))) {}

  void load(const config& options, stage_context&) override {
    for (const auto& path : read_.runs)
      for (auto& run : find_runs(path)) paths_.push_back(std::move(run));
    names_ = choose_names(options, read_.names, paths_);
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
    if (read_.page.title.empty()) read_.page.title = runs.size() == 1 ? runs.front().name : "Training runs";
    write_report(out, make_run_report(runs, read_.page));
    context.log(out.string());
  }

 private:
  report_options read_;
  std::vector<fs::path> paths_;
  std::vector<std::string> names_;
};

}  // namespace

void run_report(const config& options, stage_context& context) { run_stage<report_stage>(options, context); }

subcommand make_report_command() {
  return {.name = "report",
          .help = "make a page with the curves, figures and responses of training runs",
          .run = run_report,
          .flags = {{.name = "runs", .key = "report.runs", .repeatable = true},
                    {.name = "--names", .key = "report.names", .repeatable = true},
                    {"--title", "report.title"},
                    {"--smooth", "report.smooth", "weight of the moving average, from 0 (none) to below 1"},
                    {"--samples", "report.samples", "prompts whose responses are shown"}},
          .options = {section_options("report", report_options{})},
          .group = "Use"};
}

}  // namespace coho::trainer
