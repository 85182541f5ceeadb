#include "plan/plan_report.hpp"

#include <string_view>

#include "observe/format.hpp"
#include "observe/table.hpp"

namespace coho::trainer {
namespace {

std::string format_gigabytes(std::int64_t bytes) { return format_number(static_cast<double>(bytes) / 1e9, 2) + " GB"; }

// Bytes with the unit that suits them, and in GB if they are many.
std::string format_size(std::int64_t bytes) {
  return bytes < 1'000'000'000 ? format_bytes(static_cast<double>(bytes))
                               : format_bytes(static_cast<double>(bytes)) + " = " + format_gigabytes(bytes);
}

// Seconds with the digits that a prediction has, unlike format_duration's clock: "1.4 min".
std::string format_estimate(double seconds) {
  if (seconds < 120) return format_short(seconds) + " s";
  return seconds < 7200 ? format_number(seconds / 60, 1) + " min" : format_number(seconds / 3600, 1) + " h";
}

}  // namespace

std::string plan_report(const llama_config& model, const memory_plan& memory, const std::optional<time_plan>& time,
                        const std::vector<std::string>& notes) {
  std::string out = "Plan (docs/memory.md): " + std::to_string(model.num_hidden_layers) + " blocks of width " +
                    std::to_string(model.hidden_size) + ", " +
                    format_number(static_cast<double>(model.parameter_count()) / 1e9, 3) + " G weights\n\n";
  text_table tensors({"held all the time", "of", "bytes"});
  for (const auto& term : memory.resident) tensors.add_row({term.group, term.name, format_size(term.bytes)});
  tensors.add_row({"together", "", format_size(memory.resident_bytes())});
  out += tensors.text();

  if (!memory.phases.empty()) {
    text_table phases({"phase", "holds on top", "bytes"});
    for (const auto& phase : memory.phases) {
      for (const auto& term : phase.terms)
        phases.add_row({phase.name, term.group + ": " + term.name, format_size(term.bytes)});
      phases.add_row({phase.name, "peak of a device", format_size(memory.phase_bytes(phase))});
    }
    out += "\n" + phases.text();
  }
  out += "\npeak of a device: " + format_size(memory.peak_bytes()) + "\n";
  if (!memory.host.empty()) {
    std::int64_t host = 0;
    for (const auto& term : memory.host) host += term.bytes;
    out += "rollouts on the host: " + format_bytes(static_cast<double>(host)) + "\n";
  }
  if (time) {
    text_table phases({"phase of a step", "TFLOP", "GB moved", "at least"});
    for (const auto& work : time->phases)
      phases.add_row({work.name, format_short(work.flops / 1e12),
                      format_short((work.bytes + work.dequantize_bytes) / 1e9), format_estimate(work.seconds)});
    phases.add_row({"together", "", "", format_estimate(time->seconds())});
    out += "\n" + phases.text();
  }
  for (const auto& note : notes) out += note + "\n";
  return out;
}

}  // namespace coho::trainer
