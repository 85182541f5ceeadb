// The main function of every benchmark: Google Benchmark's own output, for the fastest repetition, and a table of
// ratios.
//
// Rows of the table, where "what" is a name of your choice:
//   what/coho and what/PEER      the time of coho, of the other, and their ratio: below 1, coho is faster
//   a counter floor              the minimum seconds that the machine needs for an iteration, instead of a peer
//   a counter peak_MB in both    the same for memory
//   a counter phase_NAME         seconds of a part of the iteration, against the whole
// The table is appended to the file that COHO_BENCH_TABLE names, otherwise printed.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>

namespace {

struct result {
  std::int64_t order;
  std::string what, side;
  double seconds;
  benchmark::UserCounters counters;
};

std::string text(double value, const char* unit) {
  char out[32];
  std::snprintf(out, sizeof out, value < 10 ? "%.2f %s" : value < 100 ? "%.1f %s" : "%.0f %s", value, unit);
  return out;
}
std::string time_text(double seconds) {
  return seconds < 1e-3 ? text(seconds * 1e6, "us") : seconds < 1 ? text(seconds * 1e3, "ms") : text(seconds, "s");
}

class ratio_reporter : public benchmark::ConsoleReporter {
 public:
  bool failed() const { return failed_; }

  void ReportRuns(const std::vector<Run>& runs) override {
    const auto seconds = [](const Run& run) {
      const double all = run.run_name.time_type == "real_time" ? run.real_accumulated_time : run.cpu_accumulated_time;
      return all / static_cast<double>(run.iterations);
    };
    const Run* best = nullptr;
    for (const Run& run : runs) {
      if (run.error_occurred) {
        failed_ = true;
        return ConsoleReporter::ReportRuns({run});
      }
      if (run.run_type == Run::RT_Iteration && (!best || seconds(run) < seconds(*best))) best = &run;
    }
    if (!best) return;
    Run shown = *best;
    shown.run_name = {};
    shown.run_name.function_name = best->run_name.function_name;
    shown.repetitions = 1;
    ConsoleReporter::ReportRuns({shown});
    const std::string& name = shown.run_name.function_name;
    const std::size_t slash = name.rfind('/');
    const std::string side = slash == std::string::npos ? "coho" : name.substr(slash + 1);
    results_.push_back({best->family_index, name.substr(0, slash), side, seconds(*best), best->counters});
  }

  void Finalize() override {
    ConsoleReporter::Finalize();
    const char* path = std::getenv("COHO_BENCH_TABLE");
    std::FILE* const file = path && *path ? std::fopen(path, "a") : stdout;
    if (!file) {
      std::fprintf(stderr, "cannot write %s (COHO_BENCH_TABLE)\n", path);
      failed_ = true;
      return;
    }
    std::stable_sort(results_.begin(), results_.end(), [](const auto& a, const auto& b) { return a.order < b.order; });
    if (file == stdout) std::puts("");
    if (file == stdout || (std::fseek(file, 0, SEEK_END) == 0 && std::ftell(file) == 0))
      std::fprintf(file, "%-36s %10s  %-26s %6s\n", "", "coho", "against", "ratio");
    for (const result& own : results_) {
      if (own.side == "coho") write_rows(file, own);
    }
    if (file != stdout) std::fclose(file);
  }

 private:
  void write_rows(std::FILE* file, const result& own) const {
    const auto write = [file](const std::string& name, const std::string& mine, const std::string& peer, double ratio) {
      std::fprintf(file, "%-36s %10s  %-26s %6.2f\n", name.c_str(), mine.c_str(), peer.c_str(), ratio);
    };
    for (const result& other : results_) {
      if (other.what != own.what || other.side == "coho") continue;
      write(own.what, time_text(own.seconds), other.side + " " + time_text(other.seconds), own.seconds / other.seconds);
      const auto mine = own.counters.find("peak_MB"), theirs = other.counters.find("peak_MB");
      if (mine == own.counters.end() || theirs == other.counters.end()) continue;
      write(own.what + ", memory", text(mine->second.value, "MB"), other.side + " " + text(theirs->second.value, "MB"),
            mine->second.value / theirs->second.value);
    }
    for (const auto& [name, counter] : own.counters) {
      if (name == "floor") {
        write(own.what, time_text(own.seconds), "floor " + time_text(counter.value), own.seconds / counter.value);
      } else if (name.rfind("phase_", 0) == 0) {
        write(own.what + ", " + name.substr(6), time_text(counter.value), "of " + time_text(own.seconds),
              counter.value / own.seconds);
      }
    }
  }

  std::vector<result> results_;
  bool failed_ = false;
};

}  // namespace

int main(int argc, char** argv) {
  // Interleaved repetitions see the same disturbances on both sides of a ratio.
  char interleave[] = "--benchmark_enable_random_interleaving=true";
  std::vector<char*> arguments(argv, argv + argc);
  arguments.insert(arguments.begin() + 1, interleave);
  int count = static_cast<int>(arguments.size());
  arguments.push_back(nullptr);
  benchmark::Initialize(&count, arguments.data());
  if (benchmark::ReportUnrecognizedArguments(count, arguments.data())) return 2;
  ratio_reporter reporter;
  benchmark::RunSpecifiedBenchmarks(&reporter);
  return reporter.failed() ? 1 : 0;
}
