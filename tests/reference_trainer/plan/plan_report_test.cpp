#include "plan/plan_report.hpp"

#include "support/catch.hpp"

using namespace coho::trainer;
using Catch::Matchers::ContainsSubstring;

TEST_CASE("plan report: groups, peaks of phases, time and notes stand in it") {
  memory_plan plan;
  plan.resident = {{"base", "linears", 3'000'000'000}, {"gradients", "policy", 1024}};
  plan.phases = {{.name = "rollout", .terms = {{"cache", "keys and values", 2'000'000'000}}},
                 {.name = "update", .terms = {{"activations", "kept", 5}}}};
  plan.host = {{"rollouts", "tokens", 2048}};
  const time_plan time{
      .phases = {{.name = "generation", .flops = 2e12, .bytes = 3e9, .dequantize_bytes = 1e9, .seconds = 7200}}};
  const auto text = plan_report(llama_config{}, plan, time, {"and a note"});
  CHECK_THAT(text, ContainsSubstring("peak of a device: 4.7 GiB = 5.00 GB"));
  CHECK_THAT(text, ContainsSubstring("2.8 GiB = 3.00 GB"));
  CHECK_THAT(text, ContainsSubstring("1.0 KiB"));
  CHECK_THAT(text, ContainsSubstring("rollouts on the host: 2.0 KiB"));
  CHECK_THAT(text, ContainsSubstring("2.0 h"));
  CHECK(text.ends_with("and a note\n"));
  CHECK(plan_report(llama_config{}, plan, std::nullopt).find("TFLOP") == std::string::npos);
}
