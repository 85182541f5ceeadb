#pragma once

#include <cmath>
#include <filesystem>
#include <string>

#include "support/temporary_directory.hpp"

namespace coho::test {

/// A folder as `coho ppo` leaves it: `steps` lines of metrics around `level`, samples of the steps 0 and `steps`, and
/// the recipe with its KL coefficient.
inline void write_ppo_run(const std::filesystem::path& folder, int steps, double level, const std::string& kl = "0.02",
                          const std::string& response = "a fox with a new tail") {
  std::filesystem::create_directories(folder);
  std::string metrics;
  for (int i = 0; i < steps; ++i) {
    const auto number = [&](double value) { return std::to_string(value + 0.1 * std::sin(i * 1.7)); };
    metrics += "{\"step\":" + std::to_string(i) + ",\"reward\":" + number(level + i * 0.01) +
               ",\"kl\":" + number(i * 0.05) + ",\"length\":" + number(120) + ",\"entropy\":" + number(1.5) +
               ",\"explained_variance\":" + number(0.5) + ",\"clip_fraction\":" + number(0.1) +
               ",\"learning_rate\":2e-05,\"seconds\":" + number(9) + ",\"seconds_generation\":" + number(5) +
               ",\"seconds_update\":" + number(3) + ",\"reward/score\":" + number(1) +
               ",\"reward/length\":" + number(0.2);
    if (i % 10 == 0)
      metrics += ",\"eval/reward\":" + number(level) + ",\"eval/principle/honest\":" + number(0.5) +
                 ",\"eval/principle/Ethical <b>\":" + number(0.7);
    metrics += "}\n";
  }
  write_bytes(folder / "metrics.jsonl", metrics);
  write_bytes(folder / "config.toml", "seed = 7\nout = '" + folder.string() +
                                          "'\n[ppo]\nsteps = 100\nkl_coefficient = " + kl + "\ngamma = 1.0\n");
  std::string samples;
  for (const int step : {0, steps}) {
    for (const std::string type : {"general", "reasoning"}) {
      for (int k = 0; k < 2; ++k)
        samples += "{\"step\":" + std::to_string(step) + ",\"prompt\":\"" + type + " " + std::to_string(k) +
                   "\",\"type\":\"" + type + "\",\"response\":\"" + (step == 0 ? "a fox with a tail" : response) +
                   "\",\"score\":1.25,\"finished\":" + (k == 0 ? "true" : "false") + ",\"language_match\":true}\n";
    }
  }
  write_bytes(folder / "samples.jsonl", samples);
}

}  // namespace coho::test
