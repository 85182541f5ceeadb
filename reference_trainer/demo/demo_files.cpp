#include "demo/demo_files.hpp"

#include <nlohmann/json.hpp>

#include <coho/principle/principle.hpp>
#include <coho/rng.hpp>

#include "demo/principles.hpp"
#include "files/atomic_file.hpp"

namespace coho::trainer::demo {
namespace {

namespace fs = std::filesystem;

// A record of a file of principles.
nlohmann::json principle_json(const std::string& name, const std::string& definition, const std::string& negative) {
  nlohmann::json out{{"dimension", name}, {"definition", definition}};
  if (!negative.empty()) out["negative_definition"] = negative;
  return out;
}

// JSON Lines.
void write_lines(const fs::path& file, const std::vector<nlohmann::json>& records) {
  std::string text;
  for (const auto& record : records) text += record.dump() + "\n";
  write_file(file, text);
}

// The files of prompts, each drawn from its own stream.
void write_prompts(const fs::path& folder, const demo_options& counts, std::uint64_t seed) {
  const rng random = rng(seed).split(stream_key("demo prompts"));
  const auto draw = [&](const std::string& name, std::size_t count) {
    rng stream = random.split(stream_key(name));
    std::vector<nlohmann::json> records;
    for (std::size_t i = 0; i < count; ++i) records.push_back({{"instruction", render(sample_prompt(stream))}});
    write_lines(folder / (name + ".jsonl"), records);
  };
  draw("train_prompts", counts.pairs);
  draw("held_out_prompts", counts.evaluation_pairs);
  draw("evaluation_prompts", counts.evaluation_prompts);
  std::vector<nlohmann::json> all;
  for (const auto& p : all_prompts()) all.push_back({{"instruction", render(p)}});
  write_lines(folder / "rl_prompts.jsonl", all);
}

// The principles: all of them per wording, those of each policy run, and the intervention.
void write_principles(const fs::path& folder) {
  for (std::size_t w = 0; w < wording_count; ++w) {
    nlohmann::json list = nlohmann::json::array();
    for (const auto& p : principles_in_wording(w))
      list.push_back(principle_json(p.name, p.definition, p.negative_definition));
    write_file(wording_file(folder, w), list.dump(1) + "\n");
  }
  const auto first = principles_in_wording(0);
  for (const auto& run : policy_runs()) {
    nlohmann::json list = nlohmann::json::array();
    for (const auto& [q, negated] : run.principles) {
      const principle p = first[coho::find_principle(first, quality_name(q))];
      list.push_back(negated ? principle_json("not " + p.name, p.negative_definition, "")
                             : principle_json(p.name, p.definition, ""));
    }
    write_file(folder / ("principles-" + run.name + ".json"), list.dump(1) + "\n");
  }
  const principle modest = first[coho::find_principle(first, quality_name(quality::modest))];
  write_file(folder / "interventions.json",
             nlohmann::json::array({principle_json(modest.name, modest.definition, "")}).dump(1) + "\n");
}

}  // namespace

const std::vector<policy_run>& policy_runs() {
  static const std::vector<policy_run> runs{
      {"plain", "plain", {{quality::engaging, false}, {quality::informative, false}}},
      {"intervention", "with intervention", {{quality::engaging, false}, {quality::informative, false}}, true},
      {"honest", "honest only", {{quality::honest, false}}},
      {"example", "example only", {{quality::example, false}}},
      {"not_informative", "NOT informative", {{quality::informative, true}}},
      {"language", "+ language bonus", {{quality::engaging, false}, {quality::informative, false}}, true, 2.0, 0},
      {"length", "+ length bonus", {{quality::engaging, false}, {quality::informative, false}}, true, 0, 0.08},
  };
  return runs;
}

fs::path wording_file(const fs::path& folder, std::size_t w) {
  return folder / ("wording-" + std::to_string(w) + ".json");
}

void write_demo_files(const fs::path& folder, const demo_options& counts, std::uint64_t seed) {
  write_prompts(folder, counts, seed);
  write_principles(folder);
}

}  // namespace coho::trainer::demo
