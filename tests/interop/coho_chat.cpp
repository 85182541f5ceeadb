// coho's side of tests/interop/chat_templates.py: reads cases, one JSON object per line, from the standard input:
//
//     {"template": text, "variables": object, "limits": {name: number}}     limits are optional
//
// and prints an object per case: {"text": …, "generated": [[begin, end], …]} in bytes, or {"error": …, "line": …} where
// the template fails. The time is 2024-07-26 08:05:09. After `rounds N` as arguments: N renderings of each case, and
// the processor's seconds of one as "seconds".
#include <ctime>
#include <exception>
#include <iostream>
#include <optional>
#include <string>

#include <nlohmann/json.hpp>

#include "chat_template/chat_template.hpp"

namespace {

using namespace coho::trainer;
using nlohmann::ordered_json;

std::tm fixed_time() {
  std::tm out{};
  out.tm_year = 124, out.tm_mon = 6, out.tm_mday = 26, out.tm_hour = 8, out.tm_min = 5, out.tm_sec = 9;
  out.tm_wday = 5, out.tm_yday = 207;
  return out;
}

chat_template_options options_of(const ordered_json& test) {
  chat_template_options out{.now = fixed_time};
  const auto given = test.value("limits", ordered_json::object());
  auto& limits = out.limits;
  limits.output_bytes = given.value("output_bytes", limits.output_bytes);
  limits.string_bytes = given.value("string_bytes", limits.string_bytes);
  limits.memory_bytes = given.value("memory_bytes", limits.memory_bytes);
  limits.steps = given.value("steps", limits.steps);
  limits.depth = given.value("depth", limits.depth);
  limits.range_items = given.value("range_items", limits.range_items);
  return out;
}

ordered_json answer(const ordered_json& test, int rounds) {
  try {
    const chat_template form(test.at("template").get<std::string>(), "template");
    const auto options = options_of(test);
    const auto begin = std::clock();
    auto rendered = form.render(test.at("variables"), options);
    for (int i = 1; i < rounds; ++i) rendered = form.render(test.at("variables"), options);
    const double seconds = static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC / rounds;
    auto spans = ordered_json::array();
    for (const auto& span : rendered.generated) spans.push_back({span.begin, span.end});
    ordered_json out{{"text", rendered.text}, {"generated", spans}, {"marks", form.marks_generation()}};
    if (rounds > 1) out["seconds"] = seconds;
    return out;
  } catch (const template_error& error) {
    return {{"error", error.cause()}, {"line", error.line()}, {"what", error.what()}};
  }
}

}  // namespace

int main(int argc, char** argv) {
  const int rounds = argc == 3 && std::string(argv[1]) == "rounds" ? std::stoi(argv[2]) : 1;
  if (argc != 1 && rounds == 1) {
    std::cerr << "usage: coho_chat [rounds N] < CASES\n";
    return 2;
  }
  try {
    for (std::string line; std::getline(std::cin, line);)
      std::cout << answer(ordered_json::parse(line), rounds).dump() << '\n' << std::flush;
  } catch (const std::exception& error) {
    std::cerr << "coho_chat: " << error.what() << '\n';
    return 1;
  }
  return 0;
}
