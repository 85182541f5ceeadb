#pragma once

#include <cstddef>

#include <coho/options.hpp>

namespace coho::trainer::demo {

/// The part of the section `demo` that trains the base model.
struct base_options {
  std::size_t base_steps = 1250;

  static void describe(auto&& visit, auto&... o) {
    visit({"base_steps", "of training the base model", allowed::at_least(1), "steps"}, o.base_steps...);
  }
};

/// The section `demo`.
struct demo_options {
  bool quick = false, from_scratch = false;
  base_options base{};
  std::size_t pairs = 1500, evaluation_pairs = 400, evaluation_prompts = 512;

  static void describe(auto&& visit, auto&... o) {
    visit({"short", "a few steps of each stage, for a quick check; thresholds are not checked"}, o.quick...);
    visit({"from_scratch", "also train the base model"}, o.from_scratch...);
    base_options::describe(visit, o.base...);
    visit({"pairs", "of responses that are judged", {}, "pairs"}, o.pairs...);
    visit({"evaluation_pairs", "held out", {}, "pairs"}, o.evaluation_pairs...);
    visit({"evaluation_prompts", "that the policies answer", {}, "prompts"}, o.evaluation_prompts...);
  }
};

}  // namespace coho::trainer::demo
